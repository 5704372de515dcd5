//! Each service has a row that records where it runs and that it is alive.

use crate::{
    context::{Context, Kind, host},
    saturating,
    store::{service_instance, with_timeout},
};
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(3);
/// Until a worker has reported, its row lacks its pool, which waiting executions and alerts need.
const FIRST_PERIOD: Duration = Duration::from_millis(100);
/// Removing the row at the end is worth no longer delay.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

pub async fn run(kind: Kind, context: Context) -> anyhow::Result<()> {
    context.stopping().run_until_cancelled(beat(kind, &context)).await;
    if let Err(error) = with_timeout(LEAVE_TIMEOUT, service_instance::leave(&context.pool, context.instance)).await {
        tracing::debug!(%error, "failed to remove the service's row; it will expire");
    }
    Ok(())
}

async fn beat(kind: Kind, context: &Context) {
    let instance = service_instance::Instance {
        id: context.instance,
        kind: kind.as_str(),
        host: host(),
        pid: saturating::i32(std::process::id()),
        version: env!("CARGO_PKG_VERSION"),
    };
    loop {
        let is_complete = kind != Kind::Worker || context.health.has_reported(kind.as_str());
        let health = context.health.part(kind.as_str());
        if let Err(error) = with_timeout(PERIOD, service_instance::beat(&context.pool, &instance, &health)).await {
            tracing::debug!(%error, "failed to write the heartbeat");
        }
        tokio::time::sleep(if is_complete { PERIOD } else { FIRST_PERIOD }).await;
    }
}
