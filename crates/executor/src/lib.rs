//! The executor decides: events meet rules and become enforcements and executions, lost work is rescued, expired days are
//! removed. It runs no action and observes nothing.
//!
//! Every step is idempotent: ids are derived from their cause, and each statement checks its own preconditions.

pub mod corrupt;
pub mod decide;
pub mod rescue;
pub mod rules;
pub mod slots;
pub mod status;
mod upkeep;

use attune_common::service::{Context, every};

/// Runs the executor until the process stops.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let status = status::Status::default();
    context.spawn("rescue", rescue::run(context.clone(), status.clone()));
    context.spawn("slots", slots::run(context.clone()));
    context.spawn("definitions", corrupt::run(context.clone()));
    context.spawn("upkeep", upkeep::run(context.clone()));
    let reported = status.clone();
    every(&context, "executor health", status::PERIOD, move |context| {
        status::report(context, reported.clone())
    });
    decide::run(context, status).await
}
