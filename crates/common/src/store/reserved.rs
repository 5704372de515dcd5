//! A connection of its own, for what must not wait behind other work in a pool (renewals, results, rescues), and for the
//! loops that ask again and again (claims, decisions).
//!
//! Measured for the latter (docs/PERFORMANCE.md, "A connection of its own"): a pool hands out the connection that has
//! rested longest, whose server process is the coldest, and asks it for a sign of life afterwards.

use super::Error;
use sqlx::{Connection as _, PgConnection, PgPool, postgres::PgConnectOptions};
use std::{
    io,
    pin::pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A connection that rested for so long is asked whether its server is still there, and has to say so in that time.
pub(super) const RESTED: Duration = Duration::from_secs(1);
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

/// Opened when it is first needed. After an error, or when whoever used it gave up in the middle, it is not used again:
/// the next use opens another, and a server that does not answer is not waited for.
#[derive(Debug)]
pub struct Reserved {
    options: PgConnectOptions,
    /// And when it answered last.
    connection: Option<(PgConnection, Instant)>,
}

impl Reserved {
    /// To the same database as the pool's.
    pub fn beside(pool: &PgPool) -> Self {
        Self {
            options: (*pool.connect_options()).clone(),
            connection: None,
        }
    }

    /// Asks, and waits for the answer no longer than that. The connection is kept when there was one.
    pub async fn ask<T>(
        &mut self,
        limit: Duration,
        question: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let asked = async {
            let mut connection = self.open().await?;
            let answer = question(&mut connection).await?;
            self.connection = Some((connection, Instant::now()));
            Ok(answer)
        };
        // On the heap: whoever asks would otherwise carry the whole conversation in each of its own futures.
        within(limit, Box::pin(asked)).await
    }

    async fn open(&mut self) -> Result<PgConnection, Error> {
        if let Some((mut connection, answered_at)) = self.connection.take()
            && (answered_at.elapsed() < RESTED || within(ANSWERED_WITHIN, connection.ping()).await.is_ok())
        {
            return Ok(connection);
        }
        PgConnection::connect_with(&self.options).await
    }

    /// Says goodbye to the server.
    pub async fn close(&mut self) {
        if let Some((connection, _)) = self.connection.take() {
            // It is gone either way.
            let _ = connection.close().await;
        }
    }
}

/// What a database may take for one answer. A server that is frozen or cut off keeps nobody longer.
const ANSWER: Duration = Duration::from_secs(10);

/// The answer of the database, or an error when there is none in ten seconds.
pub async fn in_time<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    within(ANSWER, asked).await
}

/// The answer of the database, or an error when there is none in time. What hung is given up: a connection inside is closed.
pub async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    // Dropped after the note: its connection goes back to a pool that knows already.
    let asked = pin!(asked);
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
        note_silence();
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
pub fn note_silence() {
    *SILENT_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Did anything hang a moment ago?
pub(super) fn was_silent() -> bool {
    let at = *SILENT_AT.lock().unwrap_or_else(PoisonError::into_inner);
    at.is_some_and(|at| at.elapsed() < DOUBTED)
}
