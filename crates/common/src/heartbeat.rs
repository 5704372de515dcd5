//! Every service has a row in the database with its host and a heartbeat.

use crate::{
    context::{Context, Kind, host},
    saturating,
    store::{service_instance, with_timeout},
};
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(3);
/// How long a service that shuts down tries to remove its row.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

pub async fn run(kind: Kind, context: Context) -> anyhow::Result<()> {
    let instance = service_instance::Instance {
        id: context.instance,
        kind: kind.as_str(),
        host: host(),
        pid: saturating::i32(std::process::id()),
        version: env!("CARGO_PKG_VERSION"),
    };
    loop {
        let health = context.health.part(kind.as_str());
        let beat = service_instance::beat(&context.pool, &instance, &health);
        let beaten = tokio::select! {
            () = context.stopping().cancelled() => break,
            beaten = with_timeout(INTERVAL, beat) => beaten,
        };
        if let Err(error) = beaten {
            tracing::debug!(%error, "failed to write the heartbeat");
        }
        tokio::select! {
            () = context.stopping().cancelled() => break,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
    if let Err(error) = with_timeout(LEAVE_TIMEOUT, service_instance::leave(&context.pool, context.instance)).await {
        tracing::debug!(%error, "failed to remove the row of the service; it will expire");
    }
    Ok(())
}
