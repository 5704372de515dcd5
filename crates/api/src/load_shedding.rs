//! Load shedding. When events pile up because the executors fall behind, the API refuses requests by priority: reads of
//! history first, then manual runs and events, and much later webhooks, because a sender may not retry. Definitions,
//! cancels, sign-in and health always work, and timers and running executions are not affected.
//!
//! Only the age of events that have not failed counts: a poisoned event does not indicate load. Executions do not count
//! either, because they may wait for other reasons, such as a concurrency limit or a pool without a worker.

use crate::problem::Problem;
use attune_common::store::{PgPool, event_queue, with_timeout};
use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::Response,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The loop that measures the backlog also reports the health of the API, so it must not block for longer.
const MEASURE_TIMEOUT: Duration = Duration::from_secs(2);

/// How important a route is under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Lists of history, explanations, dry runs.
    History,
    /// Manual runs, reruns and events.
    Manual,
    Webhook,
    /// Never refused.
    Essential,
}

impl Priority {
    const REFUSABLE: [Self; 3] = [Self::History, Self::Manual, Self::Webhook];

    /// The label of the metric and the name in health.
    fn as_str(self) -> &'static str {
        match self {
            Self::History => "looking",
            Self::Manual => "by_hand",
            Self::Webhook => "webhooks",
            Self::Essential => "never",
        }
    }

    /// The age of the oldest event, in seconds, from which requests of this priority are refused.
    fn refused_from(self) -> u64 {
        match self {
            Self::History => 10,
            Self::Manual => 60,
            Self::Webhook => 600,
            Self::Essential => u64::MAX,
        }
    }
}

/// The age of the oldest event that waits for its decision, in seconds.
#[derive(Debug, Clone, Default)]
pub struct Backlog(Arc<AtomicU64>);

impl Backlog {
    /// Queries the database. If that fails, the last value remains; the database probe reports the failure.
    pub async fn measure(&self, pool: &PgPool) {
        match with_timeout(MEASURE_TIMEOUT, event_queue::oldest_seconds(pool)).await {
            Ok(seconds) => {
                let oldest = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                self.0.store(oldest.as_secs(), Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(%error, "failed to query the age of the oldest event"),
        }
    }

    pub fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn refuses(&self, priority: Priority) -> bool {
        self.seconds() >= priority.refused_from()
    }

    /// The priorities that are refused at the moment, for health.
    pub fn refused(&self) -> Vec<&'static str> {
        let refused = Priority::REFUSABLE
            .into_iter()
            .filter(|priority| self.refuses(*priority));
        refused.map(Priority::as_str).collect()
    }
}

/// Refuses a request of a low priority before it reaches the database.
pub async fn layer(
    State((backlog, priority)): State<(Backlog, Priority)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if backlog.refuses(priority) {
        metrics::counter!("attune_shed_total", "what" => priority.as_str()).increment(1);
        let detail = format!(
            "overloaded: the oldest event has been waiting for {} seconds; retry when the executors have caught up",
            backlog.seconds()
        );
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(10));
    }
    Ok(next.run(request).await)
}
