//! Metrics of this process, in the text form that Prometheus reads. Names and labels are listed in the documentation;
//! labels are bounded, never ids.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Durations from half a millisecond to a minute.
const SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// Starts collecting in this process. A second call changes nothing.
pub fn init() {
    let built = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
    let Ok(builder) = built else {
        tracing::error!("the buckets of metrics are not right");
        return;
    };
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        let _ = HANDLE.set(handle);
        metrics::gauge!("attune_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    }
}

/// What was collected so far.
pub fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// To be called now and then: without it, what nobody reads would pile up.
pub fn upkeep() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}
