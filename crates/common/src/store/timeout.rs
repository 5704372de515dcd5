//! Time limits of queries. Every query of a service has one: sqlx has none, and a frozen server never answers.

use crate::sync::lock;
use sqlx::Error;
use std::{
    io,
    pin::pin,
    sync::Mutex,
    time::{Duration, Instant},
};

/// A connection that was idle for this long is checked before its next use.
pub(super) const IDLE_CHECK: Duration = Duration::from_secs(1);
/// The limit of that check.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The default limit of a query, so that a frozen or unreachable server blocks no caller for longer.
const DEFAULT: Duration = Duration::from_secs(10);

/// Runs a query with a limit of ten seconds.
pub async fn with_default_timeout<T>(query: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    with_timeout(DEFAULT, query).await
}

/// Runs a query with a time limit. A query that times out is dropped, and its connection is closed.
pub async fn with_timeout<T>(limit: Duration, query: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // Dropped after `mark_unresponsive`, so that the pool checks its connection.
    let query = pin!(query);
    tokio::time::timeout(limit, query).await.unwrap_or_else(|_| {
        mark_unresponsive();
        Err(Error::Io(io::Error::new(
            io::ErrorKind::TimedOut,
            "the database did not answer in time",
        )))
    })
}

/// How long pools check released connections after a timeout.
const CHECK_RELEASED: Duration = Duration::from_secs(30);

static TIMED_OUT_AT: Mutex<Option<Instant>> = Mutex::new(None);

/// Records that a query has timed out.
pub fn mark_unresponsive() {
    *lock(&TIMED_OUT_AT) = Some(Instant::now());
}

/// Whether a query has timed out recently.
pub(super) fn recently_unresponsive() -> bool {
    let at = *lock(&TIMED_OUT_AT);
    at.is_some_and(|at| at.elapsed() < CHECK_RELEASED)
}
