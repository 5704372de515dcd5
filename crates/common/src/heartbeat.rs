//! Every service has a row that says where it runs and that it lives.

use crate::{
    service::{Context, Kind, host},
    store::service_instance,
};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(5);

pub async fn run(kind: Kind, context: Context) -> anyhow::Result<()> {
    let instance = service_instance::Instance {
        id: context.instance,
        kind: kind.as_str(),
        host: host(),
        pid: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
        version: env!("CARGO_PKG_VERSION"),
    };
    loop {
        if let Err(error) = service_instance::beat(&context.pool, &instance, &context.health.part(kind.as_str())).await
        {
            tracing::debug!(%error, "the heartbeat could not be written");
        }
        tokio::select! {
            () = context.stopping().cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    if let Err(error) = service_instance::leave(&context.pool, context.instance).await {
        tracing::debug!(%error, "the service's row could not be removed; it will expire");
    }
    Ok(())
}
