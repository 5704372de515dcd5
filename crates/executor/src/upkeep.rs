//! Creates partitions ahead of time and removes expired days, once an hour, on whichever executor is first.

use attune_common::{
    service::Context,
    store::{Error, lease, pack_value, slot, upkeep, with_timeout},
};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(3600);
/// The pause after a failure, for example when a reader held a lock.
const RETRY_AFTER: Duration = Duration::from_secs(60);
/// What is done when the time is up remains done.
const TIMEOUT: Duration = Duration::from_secs(120);

pub async fn run(context: Context) -> anyhow::Result<()> {
    context.stopping().run_until_cancelled(Box::pin(rounds(&context))).await;
    Ok(())
}

async fn rounds(context: &Context) {
    loop {
        let pause = match with_timeout(TIMEOUT, round(context)).await {
            Ok(()) => PERIOD,
            Err(error) => {
                tracing::warn!(%error, "failed to maintain partitions; retrying in 60 s");
                RETRY_AFTER
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn round(context: &Context) -> Result<(), Error> {
    if let Some(made) = upkeep::make_partitions(&context.pool).await?
        && made > 0
    {
        tracing::info!(made, "created partitions for the coming days");
    }
    let changed = upkeep::keep(&context.pool, &context.config.retention.tables()).await?;
    if !changed.is_empty() {
        tracing::info!(
            tables = changed.join(", "),
            "the configuration changed the retention of these tables"
        );
    }
    slot::forget_starts(&context.pool).await?;
    lease::forget_extensions(&context.pool).await?;
    pack_value::expire(&context.pool).await?;
    for removed in upkeep::expire(&context.pool).await? {
        tracing::info!(
            partition = removed.partition,
            rows = removed.rows,
            "removed history older than its retention"
        );
    }
    Ok(())
}
