//! Logs: one line per state change, to standard error, as text for people or JSON for machines. And spans of what happens
//! to an event, for a collector, in programs that are built with the feature `otlp`.

use crate::config::{Log, LogFormat, Telemetry};
use std::{fmt::Display, io::IsTerminal as _, time::Duration};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};
use uuid::Uuid;

#[cfg(feature = "otlp")]
mod export;

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

/// Spans are exported while this is there; what waits when it goes is handed on first.
#[must_use = "nothing is exported after it"]
#[derive(Debug)]
pub struct Exporting(());

impl Drop for Exporting {
    fn drop(&mut self) {
        export::end();
    }
}

/// Starts exporting spans, when a collector is configured.
pub fn export(telemetry: &Telemetry, service: &str) -> anyhow::Result<Exporting> {
    if let Some(endpoint) = &telemetry.otlp_endpoint {
        export::start(endpoint, service)?;
    }
    Ok(Exporting(()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Below,
}

/// What began a trace is over: its root span. Steps are told afterwards, because one statement serves many events.
pub fn began(name: &'static str, trace_id: Uuid, took: Duration, fields: &[(&'static str, &dyn Display)]) {
    export::span(Place::Root, name, trace_id, took, fields);
}

/// A step that follows from what began the trace is over.
pub fn followed(name: &'static str, trace_id: Uuid, took: Duration, fields: &[(&'static str, &dyn Display)]) {
    export::span(Place::Below, name, trace_id, took, fields);
}

#[cfg(not(feature = "otlp"))]
mod export {
    use super::{Display, Duration, Place, Uuid};

    pub(super) fn start(endpoint: &str, _: &str) -> anyhow::Result<()> {
        anyhow::bail!(
            "telemetry.otlp_endpoint is {endpoint:?}, but this program cannot export spans: remove the setting, or build \
             with `--features otlp`"
        )
    }

    pub(super) fn end() {}

    pub(super) fn span(_: Place, _: &'static str, _: Uuid, _: Duration, _: &[(&'static str, &dyn Display)]) {}

    #[cfg(test)]
    mod tests {
        #[test]
        fn a_program_that_cannot_export_says_so_at_its_start() {
            let mut telemetry = crate::config::Telemetry::default();
            assert!(
                crate::telemetry::export(&telemetry, "attune").is_ok(),
                "nothing is asked of it"
            );
            telemetry.otlp_endpoint = Some("http://127.0.0.1:4318".to_owned());
            let refused = crate::telemetry::export(&telemetry, "attune").expect_err("it cannot");
            assert!(refused.to_string().contains("--features otlp"), "{refused}");
        }
    }
}
