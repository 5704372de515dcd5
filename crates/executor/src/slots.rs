//! Moves on executions that wait for a concurrency key where finishing transactions cannot: the policy changed meanwhile,
//! or an older execution must make room for a newer one (`cancel_previous`).
//!
//! It is derived from the current rows, so it is idempotent and may be late. Work left behind by a crash is found in the
//! next round.

use attune_common::{
    bus::{Control, Wake},
    service::{Context, jittered},
    slots,
    store::{Error, slot, with_default_timeout},
};
use std::{pin::pin, time::Duration};

const PERIOD: Duration = Duration::from_secs(5);

/// Checks every few seconds, and at once when definitions change.
pub async fn run(context: Context) -> anyhow::Result<()> {
    context.stopping().run_until_cancelled(Box::pin(rounds(&context))).await;
    Ok(())
}

async fn rounds(context: &Context) {
    let mut controls = context.bus.controls();
    let pulse = context.health.pulse("executor", "slots");
    loop {
        pulse.beat();
        if let Err(error) = round(context).await {
            tracing::warn!(%error, "failed to check the executions that wait for concurrency keys; retrying");
        }
        let mut pause = pin!(pulse.idle(tokio::time::sleep(jittered(PERIOD))));
        loop {
            tokio::select! {
                () = &mut pause => break,
                control = controls.recv() => if matches!(control, Control::DefinitionsChanged) { break },
            }
        }
    }
}

/// Checks all keys that executions wait for.
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
