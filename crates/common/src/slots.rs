//! Cancels older executions for newer ones (`cancel_previous`). The service that admitted a newer execution calls this at once,
//! and executors call it every few seconds to complete what a crash interrupted.
//!
//! The result depends only on the rows (the newest executions of each key remain), so it can be repeated and may be late.

use crate::{
    announce,
    bus::{Bus, Control, Wake},
    store::{
        Error, PgPool, Transaction, execution,
        slot::{self, Superseded},
    },
};
use attune_domain::execution::ExecutionStatus;

/// Stops the executions that newer ones replace. True if there may be more.
pub async fn make_room(pool: &PgPool, bus: &dyn Bus) -> Result<bool, Error> {
    let superseded = slot::superseded(pool).await?;
    let mut progress = false;
    for Superseded { id, pool: of } in &superseded {
        let mut tx = Transaction::begin(pool).await?;
        let stopped = execution::supersede(&mut tx, *id).await?;
        tx.commit().await?;
        // It has ended meanwhile, or another session has locked it and the next call finds it again.
        let Some(Ok(status)) = stopped else { continue };
        progress = true;
        if status == ExecutionStatus::Canceling {
            bus.control(Control::Cancel { execution_id: *id });
        } else {
            // Its slot is already assigned to the next execution.
            bus.wake(Wake::executions(of.as_str()));
        }
        tracing::info!(execution_id = %id, status = status.as_str(), "stopping an execution that a newer one replaces");
        announce::execution(bus, *id, None, status);
    }
    Ok(progress && i64::try_from(superseded.len()).is_ok_and(|found| found >= slot::BATCH))
}

/// Like [`make_room`], but only logs an error: executors retry it soon.
pub async fn make_room_soon(pool: &PgPool, bus: &dyn Bus) {
    if let Err(error) = make_room(pool, bus).await {
        tracing::warn!(%error, "failed to cancel superseded executions; an executor retries soon");
    }
}
