//! The metrics of this process, in the text format of Prometheus. The documentation lists names and labels. Labels have few
//! values and never contain ids.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::OnceLock;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Durations from half a millisecond to a minute.
const SECONDS: [f64; 15] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// The `# HELP` text of each metric. A test checks that it is complete.
pub const HELP: [(&str, &str); 39] = [
    ("attune_build_info", "1"),
    ("attune_bus_up", "1 while the broker is connected"),
    (
        "attune_connections_evicted_total",
        "idle connections that were closed to make room for others",
    ),
    (
        "attune_connections_refused_total",
        "connections that were refused: too many from one address, or in total",
    ),
    ("attune_controls_total", "messages on the bus, sent or dropped"),
    (
        "attune_db_pool",
        "connections to the database, by state: idle, used, max",
    ),
    ("attune_dispatch_seconds", "time from ready to claimed"),
    ("attune_enforcements_total", "enforcements, by status"),
    ("attune_event_queue_depth", "events that wait for a decision"),
    ("attune_event_queue_oldest_seconds", "age of the oldest waiting event"),
    ("attune_events_total", "events written"),
    ("attune_execution_queue_depth", "executions that wait for a worker"),
    (
        "attune_execution_queue_oldest_seconds",
        "age of the oldest waiting execution",
    ),
    ("attune_execution_seconds", "time from claim to exit of the action"),
    (
        "attune_executions_total",
        "executions that ended on this worker, by status",
    ),
    ("attune_feeds_total", "messages on the bus, sent or dropped"),
    (
        "attune_fenced_results_total",
        "results that arrived after a rescue and were not accepted",
    ),
    (
        "attune_file_rescans_total",
        "scans of directories, by reason: start, period, overflow",
    ),
    (
        "attune_file_watches",
        "file watches, by state: watching, waiting, error",
    ),
    (
        "attune_http_request_seconds",
        "time to the start of the response, by method and route",
    ),
    (
        "attune_http_requests_total",
        "requests to the API, by method, route and status",
    ),
    ("attune_login_failures_total", "sign-ins that were refused"),
    (
        "attune_purged_rows_total",
        "expired rows that this API removed, by table",
    ),
    ("attune_rescued_total", "executions that were rescued"),
    (
        "attune_retention_last_run_timestamp_seconds",
        "last retention run of the table whose run is the oldest",
    ),
    (
        "attune_retention_removed_partitions_total",
        "daily partitions that were removed since the installation",
    ),
    (
        "attune_retention_removed_rows_total",
        "rows of history that were removed since the installation",
    ),
    ("attune_rule_evaluation_seconds", "evaluating one batch of events"),
    (
        "attune_rule_loops_total",
        "enforcements skipped because a rule would run in a loop",
    ),
    (
        "attune_shed_total",
        "requests that were refused because of the event backlog",
    ),
    ("attune_timer_lateness_seconds", "event committed minus scheduled"),
    ("attune_timer_missed_total", "occurrences counted in gaps"),
    ("attune_timers", "timers, by state: active, disabled, error, overdue"),
    ("attune_wakes_total", "messages on the bus, sent or dropped"),
    (
        "attune_webhook_inbox_dropped_total",
        "webhook requests that were not stored in the inbox, because too many arrived at once",
    ),
    ("attune_watched_files", "files of the file watches of this sensor"),
    ("attune_webhook_rejected_total", "webhook requests that were refused"),
    ("attune_worker_slots", "slots, by state: busy, free"),
    (
        "attune_worker_spooled_results",
        "results on disk that wait for the database",
    ),
];

/// Starts collecting in this process. A second call has no effect.
pub fn init() {
    let built = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS);
    let Ok(builder) = built else {
        tracing::error!("invalid histogram buckets");
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

/// All metrics in text form.
pub fn render() -> String {
    HANDLE.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Must be called regularly: otherwise histograms that are never scraped grow without bound.
pub fn upkeep() {
    if let Some(handle) = HANDLE.get() {
        handle.run_upkeep();
    }
}
