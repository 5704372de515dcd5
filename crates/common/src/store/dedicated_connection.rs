//! A connection of its own: for what must not wait behind other work in a pool (renewals, results, rescues), and for loops
//! that ask again and again (ingest, claims, decisions).
//!
//! Measured for the latter (docs/PERFORMANCE.md, "A connection of its own"): a pool hands out the connection that has
//! rested longest, whose server process is the coldest, and asks it for a sign of life afterwards.

use super::{Error, is_unavailable, lease};
use crate::clock;
use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};
use std::{
    io,
    pin::pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A connection that rested for so long is asked whether its server is still there, and has to say so in that time.
pub(super) const RESTED: Duration = Duration::from_secs(1);
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(2);
/// A server process remembers plans and partitions: it is replaced now and then, as pools do it.
const LIFETIME: Duration = Duration::from_mins(30);
/// Between two tries to connect to a server that is starting.
const PAUSE: Duration = Duration::from_millis(20);

/// Opened when it is first needed. When the database was away, or whoever used it gave up in the middle, it is not used
/// again: the next use opens another.
#[derive(Debug)]
pub struct DedicatedConnection {
    options: PgConnectOptions,
    open: Option<Open>,
    /// The worker whose existence the connection shows.
    present: Option<Uuid>,
}

/// Instants are by the clock that counts suspension.
#[derive(Debug)]
struct Open {
    connection: PgConnection,
    since: Duration,
    answered_at: Duration,
}

impl DedicatedConnection {
    /// To the same database as the pool's.
    pub fn for_pool(pool: &PgPool) -> Self {
        Self {
            options: (*pool.connect_options()).clone(),
            open: None,
            present: None,
        }
    }

    /// The same; while it is open, the database knows that the worker's process exists.
    pub fn of_worker(pool: &PgPool, worker: Uuid) -> Self {
        Self {
            present: Some(worker),
            ..Self::for_pool(pool)
        }
    }

    /// Asks, and waits for the answer no longer than that; a transaction that the question begins, it also ends.
    pub async fn with_timeout<T>(
        &mut self,
        limit: Duration,
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let asked = async {
            let mut open = self.open(limit).await?;
            let answer = question(&mut open.connection).await;
            // A database that says no is there.
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
        // On the heap: whoever asks would otherwise carry the whole conversation in each of its own futures.
        with_timeout(limit, Box::pin(asked)).await
    }

    async fn open(&mut self, limit: Duration) -> Result<Open, Error> {
        let now = clock::since_boot();
        if let Some(mut open) = self.open.take()
            && now.saturating_sub(open.since) < LIFETIME
            && (now.saturating_sub(open.answered_at) < RESTED
                || with_timeout(ANSWERED_WITHIN, open.connection.ping()).await.is_ok())
        {
            return Ok(open);
        }
        let mut connection = connect(&self.options, limit * 4 / 5).await?;
        if let Some(worker) = self.present {
            lease::show_presence(&mut connection, worker).await?;
        }
        Ok(Open {
            connection,
            since: now,
            answered_at: now,
        })
    }

    /// Says goodbye to the server.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            // It is gone either way.
            let _ = open.connection.close().await;
        }
    }
}

/// A server that is starting, or has no place at this moment, is asked again for so long.
async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, Error> {
    let began = Instant::now();
    loop {
        match PgConnection::connect_with(options).await {
            Err(error) if is_passing(&error) && began.elapsed() < patience => tokio::time::sleep(PAUSE).await,
            ended => return ended,
        }
    }
}

fn is_passing(error: &Error) -> bool {
    match error {
        // Nobody listens there, or the socket is not there yet.
        Error::Io(error) => matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound),
        Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

/// What a database may take for one answer. A server that is frozen or cut off keeps nobody longer.
const ANSWER: Duration = Duration::from_secs(10);

/// The answer of the database, or an error when there is none in ten seconds.
pub async fn with_default_timeout<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    with_timeout(ANSWER, asked).await
}

/// The answer of the database, or an error when there is none in time. What hung is given up: a connection inside is closed.
pub async fn with_timeout<T>(limit: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // Dropped after the note: its connection goes back to a pool that knows already.
    let asked = pin!(asked);
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
        mark_unresponsive();
        Err(Error::Io(io::Error::new(
            io::ErrorKind::TimedOut,
            "the database did not answer in time",
        )))
    })
}

/// After something hung, pools look for so long at what comes back to them.
const DOUBTED: Duration = Duration::from_secs(30);

static SILENT_AT: Mutex<Option<Instant>> = Mutex::new(None);

/// Something that was asked of the database is given up.
pub fn mark_unresponsive() {
    *SILENT_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Did anything hang a moment ago?
pub(super) fn recently_unresponsive() -> bool {
    let at = *SILENT_AT.lock().unwrap_or_else(PoisonError::into_inner);
    at.is_some_and(|at| at.elapsed() < DOUBTED)
}
