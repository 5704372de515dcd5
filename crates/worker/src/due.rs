//! When the next delayed execution of the pool becomes due, so that a retry starts then and not at the next poll.
//!
//! The database is asked once a second and after something became due, and only when nothing is left to claim. A failed look
//! costs nothing but punctuality: what is due is found by polling anyway.

use attune_common::store::{DedicatedConnection, PgConnection, execution_queue};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

const EVERY: Duration = Duration::from_secs(1);
/// Longer than the time between two looks, so that nothing becomes due unnoticed.
pub const HORIZON: Duration = Duration::from_millis(2_500);

#[derive(Debug, Default)]
pub struct Due {
    looked_at: Option<Instant>,
    next: Option<Instant>,
}

impl Due {
    /// Finds out what becomes due soon.
    pub async fn look(&mut self, line: &mut DedicatedConnection, pool: &str, patience: Duration) {
        let now = Instant::now();
        // What was due has been claimed, or another worker has it: what comes after it is not known.
        let is_over = self.next.is_some_and(|next| next <= now);
        if !is_over && self.looked_at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.looked_at = Some(now);
        self.next = None;
        let look = async |connection: &mut PgConnection| execution_queue::next_due(connection, pool, HORIZON).await;
        match line.with_timeout(patience, look).await {
            // Counted from now: the answer cannot be early.
            Ok(next) => self.next = next.map(|within| Instant::now() + within),
            Err(error) => tracing::debug!(%error, "the next delayed execution is not known"),
        }
    }

    /// Resolves when something has become due.
    pub async fn reached(&self) {
        match self.next {
            Some(next) => sleep_until(next).await,
            None => std::future::pending().await,
        }
    }
}
