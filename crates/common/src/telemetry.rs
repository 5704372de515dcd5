//! Logs: one line per state change, to standard error, as text for people or JSON for machines.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging and metrics for this process. A second call changes nothing.
pub fn init(log: &Log) -> anyhow::Result<()> {
    crate::metrics::init();
    let filter = EnvFilter::try_new(quieted(&log.level)).map_err(|error| {
        anyhow::anyhow!(
            "log.level {:?} is not a filter such as `info` or `attune=debug`: {error}",
            log.level
        )
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match log.format {
        LogFormat::Text => registry.with(layer).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was already started");
    }
    Ok(())
}

/// The RabbitMQ client reports every lost connection as an error of its own; we tell the same once, with what follows
/// from it. Whoever names `lapin` in the filter hears it.
fn quieted(level: &str) -> String {
    if level.contains("lapin") {
        level.to_owned()
    } else {
        format!("lapin=off,{level}")
    }
}
