//! When the next delayed execution of the pool becomes due, so that a retry starts then and not at the next poll.
//!
//! The database is queried once a second and after something became due, and only when nothing is left to claim. A failed
//! query costs only punctuality: polling finds what is due anyway.

use attune_common::store::{DedicatedConnection, PgConnection, execution_queue};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const INTERVAL: Duration = Duration::from_secs(1);
/// Longer than the interval between two queries, so that nothing becomes due unnoticed.
pub const HORIZON: Duration = Duration::from_millis(2_500);

#[derive(Debug, Default)]
pub struct NextDue {
    queried_at: Option<Instant>,
    next: Option<Instant>,
}

impl NextDue {
    /// Finds out what becomes due soon.
    pub async fn refresh(&mut self, connection: &mut DedicatedConnection, pool: &str, limit: Duration) {
        let now = Instant::now();
        // This worker or another one has claimed what was due; what follows is unknown.
        let has_passed = self.next.is_some_and(|next| next <= now);
        if !has_passed && self.queried_at.is_some_and(|at| at.elapsed() < INTERVAL) {
            return;
        }
        self.queried_at = Some(now);
        self.next = None;
        let query = async |connection: &mut PgConnection| execution_queue::next_due(connection, pool, HORIZON).await;
        match connection.with_timeout(limit, query).await {
            // Counted from now: the answer cannot be early.
            Ok(next) => self.next = next.map(|within| Instant::now() + within),
            Err(error) => tracing::debug!(%error, "failed to query the next delayed execution"),
        }
    }

    /// Resolves when an execution has become due.
    pub async fn reached(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }
}
