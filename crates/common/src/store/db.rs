//! Connections: pools, time limits, and which errors can be retried.

use super::{
    reach::reach,
    timeout::{ANSWER_TIMEOUT, IDLE_CHECK, recently_unresponsive, with_timeout},
};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    ConnectOptions as _, Connection as _, Error, PgExecutor, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr as _, time::Duration};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Limits of every statement, lock and idle transaction of a service. A frozen client loses its row locks after this time.
const IDLE_IN_TRANSACTION: &str = "5s";
const STATEMENT: &str = "15s";
const LOCK: &str = "5s";

/// Creates a pool. It connects on first use, so an unavailable database is not noticed here.
pub fn pool(url: &SecretString, name: &str, connections_max: u32) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.expose_secret())
        .context("invalid database.url; must be an address like postgres://user:password@host/name")?;
    let options = options
        .application_name(name)
        .options([
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
            ("statement_timeout", STATEMENT),
            ("lock_timeout", LOCK),
            // A disconnected client must hold neither locks nor a connection slot.
            ("tcp_user_timeout", "10s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("client_connection_check_interval", "5s"),
            ("timezone", "UTC"),
            // The hot statements find a few rows by their keys, whatever the statistics of a queue that is empty now and
            // has 100,000 rows in a minute. So they are planned once, by index, and never compiled. With ten partitions, a
            // claim that is planned each time spends more on planning than on its rows.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
        ])
        .statement_cache_capacity(256);
    Ok(lazily(options, connections_max))
}

/// Identifies the database without a secret. The same for all services of one installation on a host.
pub fn place(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let name = options.get_database().unwrap_or(options.get_username());
    format!("{host}:{}/{name}", options.get_port())
}

/// A pool of one connection to the same database, so that a frequent query keeps a warm server process.
/// `store::DedicatedConnection` is the alternative for callers that need no transaction.
pub fn single_connection_pool(pool: &PgPool) -> PgPool {
    lazily((*pool.connect_options()).clone(), 1)
}

fn lazily(options: PgConnectOptions, connections_max: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .min_connections(0)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_secs(300))
        .test_before_acquire(false)
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                // A connection that was just used works. The server of an idle one may be gone: check it here, so that the
                // caller does not get the error.
                if idle.idle_for > IDLE_CHECK {
                    with_timeout(ANSWER_TIMEOUT, connection.ping()).await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                // Otherwise a dead connection with a timed-out statement occupies its place in the pool until TCP times
                // out. Not after every use, because it costs a round trip.
                if recently_unresponsive() {
                    with_timeout(ANSWER_TIMEOUT, connection.ping()).await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// Closes the pool. Does not wait for a frozen or unreachable server.
pub async fn close(pool: &PgPool) {
    let _ = tokio::time::timeout(Duration::from_secs(2), pool.close()).await;
}

/// Migrates the schema. Safe to run in several processes at once: sqlx takes an advisory lock.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    reach(pool).await?;
    // A migration may be slow, and a warning about it would print the whole file.
    let options = (*pool.connect_options()).clone().disable_statement_logging();
    let quiet = lazily(options, 1);
    let migrated = MIGRATOR.run(&quiet).await;
    close(&quiet).await;
    migrated.context("failed to migrate the database schema")
}

/// Whether the schema is at least as new as this program requires.
pub async fn schema_accepted(pool: &PgPool) -> Result<bool, Error> {
    let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    // Not checked at compile time: sqlx creates this table in the first migration.
    let applied = sqlx::query_scalar::<_, Option<i64>>("select max(version) from _sqlx_migrations where success")
        .fetch_one(pool)
        .await;
    match applied {
        Ok(applied) => Ok(applied.is_some_and(|applied| applied >= newest)),
        Err(error)
            if error
                .as_database_error()
                .and_then(sqlx::error::DatabaseError::code)
                .as_deref()
                == Some("42P01") =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The start time of the database server, and its uptime by its own clock. A changed start time means that it was restarted.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    pub started_at: DateTime<Utc>,
    pub up_seconds: f64,
}

pub async fn server(db: impl PgExecutor<'_>) -> Result<Server, Error> {
    sqlx::query_as!(
        Server,
        r#"select pg_postmaster_start_time() as "started_at!",
                  extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8 as "up_seconds!""#
    )
    .fetch_one(db)
    .await
}

/// The database's clock, which alone decides what is due.
pub async fn now<'e>(db: impl PgExecutor<'e>) -> Result<DateTime<Utc>, Error> {
    sqlx::query_scalar!(r#"select db_now() as "now!""#).fetch_one(db).await
}

/// Returns when everything that was committed before is on disk, also by commits that did not wait for it: the log is written in
/// order. The message has no reader; a transaction that writes nothing would not wait.
pub async fn flush<'e>(db: impl PgExecutor<'e>) -> Result<(), Error> {
    sqlx::query_scalar!("select pg_logical_emit_message(true, 'attune', '')::text")
        .fetch_one(db)
        .await
        .map(drop)
}

/// True for a deadlock, a serialization failure or a lock timeout: an immediate retry may succeed.
pub fn is_retryable(error: &Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40P01" | "40001")) || is_locked(error)
}

/// Another session held a lock for too long.
pub fn is_locked(error: &Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("55P03")
}
