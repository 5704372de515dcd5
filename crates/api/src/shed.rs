//! When events pile up because the executors cannot keep up, requests are refused, in the order of what they are worth:
//! first whoever looks at history, then runs and events by hand, and long after that webhooks, whose senders may not come
//! again. Definitions, cancels, sign-in and health are always answered, and nothing here touches timers and what runs.
//!
//! Only the age of events counts that nobody failed at: one that cannot be decided says nothing of the others. Executions may wait for reasons of their own: a pool without a worker, a limit.

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

/// Whoever looks also reports that the API lives, which must not wait longer.
const LOOKED_WITHIN: Duration = Duration::from_secs(2);

/// What a request is worth when not everything can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// Lists of history, explanations, dry runs.
    Looking,
    /// Runs, repeats and events that a person or a program asks for.
    ByHand,
    /// Webhooks.
    Outside,
    Always,
}

impl Worth {
    const REFUSED: [Self; 3] = [Self::Looking, Self::ByHand, Self::Outside];

    fn as_str(self) -> &'static str {
        match self {
            Self::Looking => "looking",
            Self::ByHand => "by_hand",
            Self::Outside => "webhooks",
            Self::Always => "never",
        }
    }

    /// Refused while the oldest event has waited for so many seconds.
    fn refused_from(self) -> u64 {
        match self {
            Self::Looking => 10,
            Self::ByHand => 60,
            Self::Outside => 600,
            Self::Always => u64::MAX,
        }
    }
}

/// For how many seconds the oldest event has been waiting for its decision.
#[derive(Debug, Clone, Default)]
pub struct Pressure(Arc<AtomicU64>);

impl Pressure {
    /// Asks the database. One that does not answer is told of elsewhere; here it changes nothing.
    pub async fn look(&self, pool: &PgPool) {
        match with_timeout(LOOKED_WITHIN, event_queue::oldest_seconds(pool)).await {
            Ok(seconds) => {
                let oldest = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                self.0.store(oldest.as_secs(), Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(%error, "the age of waiting events cannot be looked at"),
        }
    }

    pub fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn refuses(&self, worth: Worth) -> bool {
        self.seconds() >= worth.refused_from()
    }

    /// What is refused now, for people.
    pub fn refused(&self) -> Vec<&'static str> {
        let refused = Worth::REFUSED.into_iter().filter(|worth| self.refuses(*worth));
        refused.map(Worth::as_str).collect()
    }
}

/// Stands in front of a route, before anything is asked of the database.
pub async fn stand(
    State((pressure, worth)): State<(Pressure, Worth)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if pressure.refuses(worth) {
        metrics::counter!("attune_shed_total", "what" => worth.as_str()).increment(1);
        let detail = format!(
            "events have been waiting for {} seconds: this is refused until the executors have caught up",
            pressure.seconds()
        );
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail).retry_after(10));
    }
    Ok(next.run(request).await)
}
