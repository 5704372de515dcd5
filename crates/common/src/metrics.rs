//! Metrics of this process, in the text form that Prometheus reads. Names and labels are listed in the documentation;
//! labels are bounded, never ids.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Durations from half a millisecond to a minute.
const SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// What each metric tells, for `# HELP`. A test holds it complete.
pub const HELP: [(&str, &str); 35] = [
    ("attune_build_info", "1"),
    ("attune_bus_up", "1 while the broker answers"),
    (
        "attune_connections_evicted_total",
        "connections that waited and were closed for another one",
    ),
    (
        "attune_connections_refused_total",
        "connections that were refused: too many of one address, or of all",
    ),
    ("attune_controls_total", "messages on the bus, sent or dropped"),
    (
        "attune_db_pool",
        "connections to the database, by state: idle, used, max",
    ),
    ("attune_dispatch_seconds", "from the instant it may start to the claim"),
    ("attune_enforcements_total", "what rules made of events"),
    ("attune_event_queue_depth", "events that wait for their decision"),
    (
        "attune_event_queue_oldest_seconds",
        "how long the oldest of these events waits",
    ),
    ("attune_events_total", "events written"),
    ("attune_execution_queue_depth", "executions that wait for a worker"),
    (
        "attune_execution_queue_oldest_seconds",
        "how long the oldest of these waits",
    ),
    ("attune_execution_seconds", "from the claim to the end of the action"),
    ("attune_executions_total", "how they ended, of this worker"),
    ("attune_feeds_total", "messages on the bus, sent or dropped"),
    (
        "attune_fenced_results_total",
        "results that came too late and were not accepted",
    ),
    (
        "attune_http_request_seconds",
        "until the answer began, by method and pattern of the route",
    ),
    (
        "attune_http_requests_total",
        "requests to the API, by method, pattern of the route and status",
    ),
    ("attune_login_failures_total", "sign-ins that were refused"),
    (
        "attune_purged_rows_total",
        "expired rows that this API removed, by table",
    ),
    ("attune_rescued_total", "work whose worker vanished"),
    (
        "attune_retention_last_run_timestamp_seconds",
        "when the table that waits longest was last looked through for what is too old",
    ),
    (
        "attune_retention_removed_partitions_total",
        "days of history that were removed since the installation",
    ),
    (
        "attune_retention_removed_rows_total",
        "rows of history that were removed since the installation",
    ),
    ("attune_rule_evaluation_seconds", "evaluating one batch of events"),
    ("attune_shed_total", "requests that were refused because events pile up"),
    ("attune_timer_lateness_seconds", "event committed minus scheduled"),
    ("attune_timer_missed_total", "occurrences counted in gaps"),
    ("attune_timers", "active, disabled, error, overdue"),
    ("attune_wakes_total", "messages on the bus, sent or dropped"),
    (
        "attune_webhook_inbox_dropped_total",
        "webhook requests that the inbox could not keep, because too many came at once",
    ),
    ("attune_webhook_rejected_total", "webhook requests that were refused"),
    ("attune_worker_slots", "busy, free"),
    (
        "attune_worker_spooled_results",
        "results on disk that wait for the database",
    ),
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
        // The kind of a metric does not matter for its description.
        for (name, help) in HELP {
            metrics::describe_gauge!(name, help);
        }
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
