//! A dedicated connection: for work that must not wait behind other work in a pool (renewals, results, rescues), and
//! for loops with frequent queries (ingest, claims, decisions).
//!
//! Measured for the latter (docs/development/performance.md, "A connection of its own"): a pool returns the connection
//! that has been idle longest, whose server process has the coldest caches, and pings it first.

use super::{
    presence,
    timeout::{ANSWER_TIMEOUT, IDLE_CHECK, with_timeout},
    violation::is_unavailable,
};
use crate::clock;
use sqlx::{Connection as _, Error, PgConnection, PgPool, postgres::PgConnectOptions};
use std::{
    io,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A server process caches plans and partitions without bound, so it is replaced regularly, as pools do.
const LIFETIME: Duration = Duration::from_mins(30);
/// Between two attempts to connect to a starting server.
const PAUSE: Duration = Duration::from_millis(20);

/// Connects on first use. After an unavailable database or a cancelled query the connection is discarded, and the next
/// use opens another.
#[derive(Debug)]
pub struct DedicatedConnection {
    options: PgConnectOptions,
    open: Option<Open>,
    /// The worker whose presence the connection shows.
    worker: Option<Uuid>,
}

/// Instants are by the clock that counts suspension.
#[derive(Debug)]
struct Open {
    connection: PgConnection,
    since: Duration,
    answered_at: Duration,
}

impl DedicatedConnection {
    /// A connection to the database of the pool.
    pub fn for_pool(pool: &PgPool) -> Self {
        Self {
            options: (*pool.connect_options()).clone(),
            open: None,
            worker: None,
        }
    }

    /// A connection that also shows the database, while it is open, that the worker's process exists.
    pub fn of_worker(pool: &PgPool, worker: Uuid) -> Self {
        Self {
            worker: Some(worker),
            ..Self::for_pool(pool)
        }
    }

    /// Runs a query with a time limit. A query that begins a transaction must also end it.
    pub async fn with_timeout<T>(
        &mut self,
        limit: Duration,
        query: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let answer = async {
            let mut open = self.open(limit).await?;
            let answer = query(&mut open.connection).await;
            // An error of the database itself is an answer.
            if answer
                .as_ref()
                .err()
                .is_none_or(|error| error.as_database_error().is_some() && !is_unavailable(error))
            {
                open.answered_at = clock::since_boot();
                self.open = Some(open);
            }
            answer
        };
        // Boxed to keep callers' futures small.
        with_timeout(limit, Box::pin(answer)).await
    }

    async fn open(&mut self, limit: Duration) -> Result<Open, Error> {
        let now = clock::since_boot();
        if let Some(mut open) = self.open.take()
            && now.saturating_sub(open.since) < LIFETIME
            && (now.saturating_sub(open.answered_at) < IDLE_CHECK
                || with_timeout(ANSWER_TIMEOUT, open.connection.ping()).await.is_ok())
        {
            return Ok(open);
        }
        let mut connection = connect(&self.options, limit * 4 / 5).await?;
        if let Some(worker) = self.worker {
            presence::show(&mut connection, worker).await?;
        }
        Ok(Open {
            connection,
            since: now,
            answered_at: now,
        })
    }

    /// Closes the connection.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            // It is unusable either way.
            let _ = open.connection.close().await;
        }
    }
}

/// Retries while the server is starting or has no free connection slot.
async fn connect(options: &PgConnectOptions, limit: Duration) -> Result<PgConnection, Error> {
    let started = Instant::now();
    loop {
        match PgConnection::connect_with(options).await {
            Err(error) if is_transient(&error) && started.elapsed() < limit => tokio::time::sleep(PAUSE).await,
            ended => return ended,
        }
    }
}

fn is_transient(error: &Error) -> bool {
    match error {
        // No server listens yet, or its socket does not exist yet.
        Error::Io(error) => matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound),
        Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}
