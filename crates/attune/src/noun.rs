//! Commands of the form `attune NOUN VERB`. A noun is data ([`table`]): its routes, columns, filters and verbs.

mod call;
mod command;
mod edit;
mod own;
mod read;
pub mod table;
mod write;

pub use call::{Call, Nouns, Verbs};
pub use own::{pool_rows, schedule};
pub use write::warn;

use table::Does;

/// Runs a command of a noun.
pub fn run(call: &Call) -> anyhow::Result<()> {
    let options = call.common()?;
    options.run(async |session| match call.verb.does {
        Does::List => read::list(session, call).await,
        Does::Get => read::get(session, call).await,
        Does::Rows { suffix, shape } => read::rows(session, call, suffix, shape).await,
        Does::Create => write::create(session, call).await,
        Does::Edit => edit::edit(session, call).await,
        Does::Delete => write::delete(session, call).await,
        Does::Post { suffix, done } => write::post(session, call, suffix, done).await,
        Does::Own(own) => own::run(session, call, own).await,
    })
}
