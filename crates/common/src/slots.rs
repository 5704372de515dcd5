//! Making room for newer executions (`cancel_previous`): whoever admitted one calls this at once, and executors look again
//! every few seconds for what a crash left undone.
//!
//! It follows from the rows as they are (of each key the newest stay), so it can be repeated and may be late.

use crate::{
    bus::{Bus, Control, Feed, FeedKind, Wake},
    store::{
        Error, PgPool, Transaction, execution,
        slot::{self, Superseded},
    },
};
use attune_domain::execution::ExecutionStatus;

/// Stops what newer executions are to replace. True: there may be more.
pub async fn make_room(pool: &PgPool, bus: &dyn Bus) -> Result<bool, Error> {
    let superseded = slot::superseded(pool).await?;
    let mut progress = false;
    for Superseded { id, pool: of } in &superseded {
        let mut tx = Transaction::begin(pool).await?;
        let stopped = execution::supersede(&mut tx, *id).await?;
        tx.commit().await?;
        // It may have ended meanwhile, which is as good; or another session has it locked, and the next look finds it again.
        let Some(Ok(status)) = stopped else { continue };
        progress = true;
        if status == ExecutionStatus::Canceling {
            bus.control(Control::Cancel { execution_id: *id });
        } else {
            // Its slot has passed on already.
            bus.wake(Wake::executions(of.as_str()));
        }
        tracing::info!(execution_id = %id, status = status.as_str(), "a newer execution takes its place");
        bus.feed(Feed {
            execution_id: Some(*id),
            ..Feed::new(FeedKind::execution(status))
        });
    }
    Ok(progress && i64::try_from(superseded.len()).is_ok_and(|found| found >= slot::BATCH))
}

/// The same, where it may fail: executors will do it a little later.
pub async fn make_room_soon(pool: &PgPool, bus: &dyn Bus) {
    if let Err(error) = make_room(pool, bus).await {
        tracing::warn!(%error, "what newer executions replace is canceled a little later");
    }
}
