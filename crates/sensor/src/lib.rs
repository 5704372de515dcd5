//! The sensor observes: timers become events. It never evaluates a rule.
//!
//! Any number of sensors work on the same rows, without a leader: `for update skip locked` shares them out.

mod alarm;
pub mod settle;
pub mod tick;
pub mod timer_manager;

use attune_common::service::Context;

pub use timer_manager::TimerManager;

/// Runs the sensor until the process stops.
pub async fn run(context: Context) -> anyhow::Result<()> {
    TimerManager::new(&context).run().await
}
