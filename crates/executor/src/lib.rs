//! The executor decides: events meet rules and become enforcements and executions, lost work is rescued, old days are
//! removed. It runs no action and observes nothing.
//!
//! Everything it does can be repeated: ids follow from causes, and guards stand in the statements themselves.

pub mod admit;
pub mod decide;
pub mod rescue;
pub mod rules;
pub mod slots;
pub mod status;
mod upkeep;

use attune_common::service::Context;

/// Runs the executor until the process stops.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let status = status::Status::default();
    context.spawn("rescue", rescue::run(context.clone(), status.clone()));
    context.spawn("slots", slots::run(context.clone()));
    context.spawn("upkeep", upkeep::run(context.clone()));
    context.spawn("executor health", status::run(context.clone(), status));
    decide::run(context).await
}
