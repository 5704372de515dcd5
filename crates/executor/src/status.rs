//! What the executor says of itself.

use attune_common::{
    health,
    service::Context,
    store::{event_queue, execution_queue, in_time, upkeep},
};
use chrono::{DateTime, Utc};
use serde_json::json;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Counting long queues takes a while.
const EVERY: Duration = Duration::from_secs(2);

/// Shared by the loops of one executor.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Rescued>>);

#[derive(Debug, Clone, Copy, Default)]
struct Rescued {
    last_at: Option<DateTime<Utc>>,
    total: u64,
}

impl Status {
    pub fn rescued(&self, count: usize, at: DateTime<Utc>) {
        let mut rescued = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rescued.last_at = Some(at);
        rescued.total += count as u64;
    }

    fn get(&self) -> Rescued {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub async fn run(context: Context, status: Status) -> anyhow::Result<()> {
    loop {
        match look(&context, &status).await {
            Ok(()) => {}
            Err(error) => {
                context
                    .health
                    .report("executor", health::Status::Failing, json!({"error": error.to_string()}));
            }
        }
        tokio::select! {
            () = context.stopping().cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn look(context: &Context, status: &Status) -> Result<(), attune_common::store::Error> {
    let events = in_time(event_queue::depth(&context.pool)).await?;
    let executions = in_time(execution_queue::depth(&context.pool)).await?;
    let partitions = in_time(upkeep::partitions(&context.pool)).await?;
    #[expect(clippy::cast_precision_loss, reason = "gauges of counts")]
    {
        metrics::gauge!("attune_event_queue_depth").set(events.pending as f64);
        metrics::gauge!("attune_execution_queue_depth", "pool" => "all").set(executions.ready as f64);
    }
    metrics::gauge!("attune_event_queue_oldest_seconds").set(events.oldest_seconds);
    let rescued = status.get();
    let worst = if events.quarantined > 0 || partitions.days_ahead < 2 || partitions.in_default > 0 {
        health::Status::Degraded
    } else {
        health::Status::Ok
    };
    let detail = json!({
        "events": {"pending": events.pending, "oldest_seconds": events.oldest_seconds, "quarantined": events.quarantined},
        "executions": {"ready": executions.ready, "waiting": executions.waiting, "running": executions.running, "oldest_seconds": executions.oldest_seconds},
        "rescued": {"total": rescued.total, "last_at": rescued.last_at},
        "partitions": {"days_ahead": partitions.days_ahead, "rows_in_default": partitions.in_default},
    });
    context.health.report("executor", worst, detail);
    Ok(())
}
