//! The worker's health report and gauges.

use crate::{claim::Worker, runner::isolation::InEffect, spool::Depth};
use attune_common::{health::Status, service::Context};
use serde_json::json;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

pub const PERIOD: Duration = Duration::from_secs(1);

/// Reports the worker's state to health and to the metrics.
pub fn report(context: &Context, worker: &Worker, spool: &Depth, isolation: &InEffect, key: &AtomicBool) {
    let spooled = spool.get();
    let (slots, running) = (worker.slots_max(), worker.running());
    #[expect(clippy::cast_precision_loss, reason = "gauges of counts")]
    {
        metrics::gauge!("attune_worker_slots", "state" => "busy").set(running as f64);
        metrics::gauge!("attune_worker_spooled_results").set(spooled as f64);
        metrics::gauge!("attune_worker_slots", "state" => "free").set(slots.saturating_sub(running) as f64);
    }
    let key = key.load(Ordering::Relaxed);
    let renewed = worker.since_renewal().as_secs_f64();
    let detail = json!({"pool": context.config.worker.pool, "slots": slots, "running": running, "renewed_seconds_ago": renewed, "spool": spooled, "isolation": isolation, "sweeper": worker.has_sweeper(), "pool_key": key});
    let status = if !key || spooled > 0 || !worker.leases_are_renewable() || !worker.has_sweeper() {
        Status::Degraded
    } else {
        Status::Ok
    };
    context.health.report("worker", status, detail);
}
