//! Sends spans to a collector, in batches and from a separate thread: nothing waits for it, and spans that the collector does
//! not accept are lost.

use super::kind;
use crate::clock;
use anyhow::Context as _;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor as _,
    },
};
use std::{
    fmt::Display,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};
use uuid::Uuid;

/// The most spans that wait for the collector: more than one tick of the sensor creates.
const WAITING_MAX: usize = 16_384;
const INTERVAL: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(3);

static PROCESSOR: OnceLock<BatchSpanProcessor> = OnceLock::new();

pub(super) fn start(endpoint: &str, service: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        endpoint.starts_with("http://"),
        "invalid telemetry.otlp_endpoint {endpoint:?}; must be the http:// address of a collector, such as http://127.0.0.1:4318"
    );
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(TIMEOUT)
        .build()
        .with_context(|| format!("failed to export spans to telemetry.otlp_endpoint {endpoint:?}"))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(WAITING_MAX)
        .with_scheduled_delay(INTERVAL);
    let exporter = LoggingExporter {
        exporter,
        failing: AtomicBool::new(false),
    };
    let mut processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches.build())
        .build();
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_service_name(service.to_owned());
    processor.set_resource(&resource.with_attribute(version).build());
    let _ = PROCESSOR.set(processor);
    Ok(())
}

/// Sends the spans that wait, and stops.
pub(super) fn end() {
    if let Some(processor) = PROCESSOR.get() {
        let _ = processor.shutdown_with_timeout(TIMEOUT);
    }
}

pub(super) fn span(
    kind: kind::SpanKind,
    name: &'static str,
    trace_id: Uuid,
    took: Duration,
    fields: &[(&'static str, &dyn Display)],
) {
    let Some(processor) = PROCESSOR.get() else {
        return;
    };
    // Derived from the trace id, so that steps in other processes find their root.
    let (_, root) = trace_id.as_u64_pair();
    let root = SpanId::from(root);
    let (id, parent) = match kind {
        kind::SpanKind::Root => (root, SpanId::INVALID),
        kind::SpanKind::Step => (SpanId::from(rand::random::<u64>()), root),
    };
    let trace_id = TraceId::from(trace_id.as_u128());
    let end_time = SystemTime::from(clock::now());
    processor.on_end(SpanData {
        span_context: SpanContext::new(trace_id, id, TraceFlags::SAMPLED, false, TraceState::NONE),
        parent_span_id: parent,
        parent_span_is_remote: true,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: end_time.checked_sub(took).unwrap_or(end_time),
        end_time,
        attributes: fields
            .iter()
            .map(|(name, value)| KeyValue::new(*name, value.to_string()))
            .collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("attune").build(),
    });
}

/// Logs once when the collector becomes unavailable, and once when it is available again.
#[derive(Debug)]
struct LoggingExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    failing: AtomicBool,
}

impl SpanExporter for LoggingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exported = self.exporter.export(batch).await;
        let failed_before = self.failing.swap(exported.is_err(), Ordering::Relaxed);
        match &exported {
            Err(error) if !failed_before => {
                tracing::warn!(%error, "failed to export spans; they are lost until the collector accepts them");
            }
            Ok(()) if failed_before => tracing::info!("the collector accepts spans again"),
            _ => {}
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
