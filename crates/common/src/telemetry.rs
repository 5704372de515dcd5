//! Logs: one line per state change, to standard error, as text or JSON. And spans of the steps of an event, exported to a
//! collector by programs that are built with the feature `otlp`.

use crate::config::{Log, LogFormat, Telemetry};
use std::{fmt::Display, io::IsTerminal as _, time::Duration};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};
use uuid::Uuid;

#[cfg(feature = "otlp")]
mod export;
mod kind;

use kind::SpanKind;

/// Starts logging and metrics for this process. A second call has no effect.
pub fn init(log: &Log) -> anyhow::Result<()> {
    crate::metrics::init();
    let filter = EnvFilter::try_new(without_lapin(&log.level)).map_err(|error| {
        anyhow::anyhow!(
            "invalid log.level {:?}; must be a filter such as `info` or `attune=debug`: {error}",
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
        tracing::debug!("logging is already started");
    }
    Ok(())
}

/// Disables the log of the RabbitMQ client unless the filter mentions `lapin`: the bus logs lost connections itself.
fn without_lapin(level: &str) -> String {
    if level.contains("lapin") {
        level.to_owned()
    } else {
        format!("lapin=off,{level}")
    }
}

/// Exports spans until it is dropped. Dropping it sends the spans that wait.
#[must_use = "dropping it ends the export"]
#[derive(Debug)]
pub struct Exporting(());

impl Drop for Exporting {
    fn drop(&mut self) {
        export::end();
    }
}

/// Starts exporting spans if a collector is configured.
pub fn export(telemetry: &Telemetry, service: &str) -> anyhow::Result<Exporting> {
    if let Some(endpoint) = &telemetry.otlp_endpoint {
        export::start(endpoint, service)?;
    }
    Ok(Exporting(()))
}

/// Records the root span of a trace, after its end. Spans are recorded afterwards, because one statement serves many events.
pub fn began(name: &'static str, trace_id: Uuid, took: Duration, fields: &[(&'static str, &dyn Display)]) {
    export::span(SpanKind::Root, name, trace_id, took, fields);
}

/// Records a step of a trace, after its end.
pub fn followed(name: &'static str, trace_id: Uuid, took: Duration, fields: &[(&'static str, &dyn Display)]) {
    export::span(SpanKind::Step, name, trace_id, took, fields);
}

#[cfg(not(feature = "otlp"))]
mod export {
    use super::{Display, Duration, SpanKind, Uuid};

    pub(super) fn start(endpoint: &str, _: &str) -> anyhow::Result<()> {
        anyhow::bail!(
            "telemetry.otlp_endpoint is {endpoint:?}, but this program was built without `otlp`; remove the setting, or build \
             with `--features otlp`"
        )
    }

    pub(super) fn end() {}

    pub(super) fn span(_: SpanKind, _: &'static str, _: Uuid, _: Duration, _: &[(&'static str, &dyn Display)]) {}

    #[cfg(test)]
    mod tests {
        #[test]
        fn a_program_without_otlp_refuses_an_endpoint() {
            let mut telemetry = crate::config::Telemetry::default();
            assert!(
                crate::telemetry::export(&telemetry, "attune").is_ok(),
                "no endpoint is set"
            );
            telemetry.otlp_endpoint = Some("http://127.0.0.1:4318".to_owned());
            let refused = crate::telemetry::export(&telemetry, "attune").expect_err("an endpoint is set");
            assert!(refused.to_string().contains("--features otlp"), "{refused}");
        }
    }
}
