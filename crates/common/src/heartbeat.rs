//! Every service has a row that says where it runs and that it lives.

use crate::{
    service::{Context, Kind, host},
    store::{service_instance, with_timeout},
};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(3);
/// The last words of a service that stops are not worth more.
const FAREWELL: Duration = Duration::from_secs(2);

pub async fn run(kind: Kind, context: Context) -> anyhow::Result<()> {
    let instance = service_instance::Instance {
        id: context.instance,
        kind: kind.as_str(),
        host: host(),
        pid: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
        version: env!("CARGO_PKG_VERSION"),
    };
    loop {
        let health = context.health.part(kind.as_str());
        let beat = service_instance::beat(&context.pool, &instance, &health);
        let beaten = tokio::select! {
            () = context.stopping().cancelled() => break,
            beaten = with_timeout(EVERY, beat) => beaten,
        };
        if let Err(error) = beaten {
            tracing::debug!(%error, "the heartbeat could not be written");
        }
        tokio::select! {
            () = context.stopping().cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    if let Err(error) = with_timeout(FAREWELL, service_instance::leave(&context.pool, context.instance)).await {
        tracing::debug!(%error, "the service's row could not be removed; it will expire");
    }
    Ok(())
}
