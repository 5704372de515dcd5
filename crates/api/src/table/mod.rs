//! The table of routes: every operation of the API, who may call it, and how the documentation describes it.
//!
//! A route that is not in [`routes`] does not exist, and a row cannot be written without the right that it needs.

mod access;
mod definitions;
mod occurrences;
mod operations;
mod secrets;
mod timers;
mod webhooks;

use crate::route::Route;

pub fn routes() -> Vec<Route> {
    [
        access::sign_in(),
        access::web(),
        operations::documentation(),
        definitions::packs(),
        definitions::runtimes(),
        timers::triggers(),
        timers::timers(),
        definitions::actions(),
        definitions::rules(),
        occurrences::events(),
        occurrences::executions(),
        webhooks::webhooks(),
        secrets::secrets(),
        secrets::values(),
        operations::operations(),
        access::identities(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
