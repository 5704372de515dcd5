//! Partitions made ahead, expired days removed: hourly, by whichever executor comes first.

use attune_common::{
    service::Context,
    store::{lease, slot, upkeep, with_timeout},
};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(3600);
/// After a failure, for example because a reader held a lock.
const AGAIN: Duration = Duration::from_secs(60);
/// It is worth no more; what it has done by then stays.
const DONE_WITHIN: Duration = Duration::from_secs(120);

pub async fn run(context: Context) -> anyhow::Result<()> {
    loop {
        let pause = match with_timeout(DONE_WITHIN, once(&context)).await {
            Ok(()) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "the upkeep of partitions has to wait");
                AGAIN
            }
        };
        tokio::select! {
            () = context.stopping().cancelled() => return Ok(()),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn once(context: &Context) -> Result<(), attune_common::store::Error> {
    if let Some(made) = upkeep::make_partitions(&context.pool).await?
        && made > 0
    {
        tracing::info!(made, "made partitions for the days to come");
    }
    let changed = upkeep::keep(&context.pool, &context.config.retention.tables()).await?;
    if !changed.is_empty() {
        tracing::info!(
            tables = changed.join(", "),
            "the configuration changes how long history is kept"
        );
    }
    slot::forget_starts(&context.pool).await?;
    lease::forget_extensions(&context.pool).await?;
    for removed in upkeep::expire(&context.pool).await? {
        tracing::info!(
            partition = removed.partition,
            rows = removed.rows,
            "removed what is older than it is kept"
        );
    }
    Ok(())
}
