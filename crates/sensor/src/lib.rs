//! The sensor observes: it turns due timers and changed files into events. It never evaluates a rule.
//!
//! Any number of sensors work on the same rows without a leader: `for update skip locked` distributes the timers.
//!
//! A tick, from file to file: `scheduler` sleeps until a timer is due, [`tick`] claims it and writes what follows,
//! [`evaluate`] computes that from the timer's row, and `attune_common::announce` wakes an executor. [`files`] watches
//! directories.

mod alarm;
pub mod evaluate;
pub mod files;
mod health;
mod scheduler;
pub mod tick;
pub mod timer_manager;

use attune_common::service::Context;
use scheduler::Scheduler;
use std::pin::pin;

pub use timer_manager::TimerManager;

/// Runs the sensor until the process stops.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let timers = TimerManager::new(&context);
    let mut scheduled = pin!(Scheduler::new(&context, timers.clone())?.run());
    let watching = files::run(context.clone());
    context.spawn("file watches", async move {
        watching.await;
        Ok(())
    });
    tokio::select! {
        () = &mut scheduled => {}
        () = context.stopping().cancelled() => {
            timers.stop_all();
            scheduled.await;
        }
    }
    Ok(())
}
