//! What finishing transactions cannot do for slots: policies that changed while executions waited, and making room for
//! newer ones (`cancel_previous`).
//!
//! Everything here follows from the rows as they are, so it can be repeated and may be late; whoever dies in between
//! leaves it to the next look.

use attune_common::{
    bus::{Control, Wake},
    service::{Context, jittered},
    slots,
    store::{Error, slot, with_default_timeout},
};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(5);

/// Looks every few seconds, and when definitions changed.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let mut controls = context.bus.controls();
    let pulse = context.health.pulse("executor", "slots");
    loop {
        pulse.beat();
        if let Err(error) = round(&context).await {
            tracing::warn!(%error, "the lines of concurrency keys cannot be looked at; trying again");
        }
        let pause = pulse.idle(tokio::time::sleep(jittered(EVERY)));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = context.stopping().cancelled() => return Ok(()),
                () = &mut pause => break,
                control = controls.recv() => if matches!(control, Control::DefinitionsChanged) { break },
            }
        }
    }
}

/// One look at all lines.
pub async fn round(context: &Context) -> Result<(), Error> {
    let open = with_default_timeout(slot::open_lines(&context.pool)).await?;
    if !open.is_empty() {
        for pool in with_default_timeout(slot::pass_on(&context.pool, &open)).await? {
            context.bus.wake(Wake::executions(pool));
        }
    }
    while with_default_timeout(slots::make_room(&context.pool, &*context.bus)).await? {}
    Ok(())
}
