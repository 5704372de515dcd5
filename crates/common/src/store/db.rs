//! Connections: how they are opened, what bounds them, and which errors are worth another try.

use super::{
    dedicated_connection::{ANSWERED_WITHIN, RESTED, recently_unresponsive},
    reach, with_timeout,
};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    Connection as _, PgExecutor, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr as _, time::Duration};

pub type Error = sqlx::Error;

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// No statement of a service runs longer, no lock is waited for longer, and no transaction idles longer.
/// A frozen client loses its row locks when it idles in a transaction for this long.
const IDLE_IN_TRANSACTION: &str = "5s";
const STATEMENT: &str = "15s";
const LOCK: &str = "5s";

/// Opens a pool. It connects when it is first used: a database that is down is found out there.
pub fn pool(url: &SecretString, name: &str, connections_max: u32) -> anyhow::Result<PgPool> {
    let options = PgConnectOptions::from_str(url.expose_secret())
        .context("database.url is not a PostgreSQL address such as postgres://user:password@host/name")?;
    let options = options
        .application_name(name)
        .options([
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION),
            ("statement_timeout", STATEMENT),
            ("lock_timeout", LOCK),
            // A client that is cut off holds neither locks nor a place.
            ("tcp_user_timeout", "10s"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("client_connection_check_interval", "5s"),
            ("timezone", "UTC"),
            // The hot statements look up a few rows by their keys, whatever the statistics of a queue say that is empty
            // now and holds 100,000 rows in a minute: they are planned once, by index, and never compiled. Planned each
            // time with ten partitions, a claim spends more on planning than on its rows.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("jit", "off"),
        ])
        .statement_cache_capacity(256);
    Ok(lazily(options, connections_max))
}

/// Names the database without any secret: the same for all services of one installation on a host.
pub fn place(pool: &PgPool) -> String {
    let options = pool.connect_options();
    let host = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let name = options.get_database().unwrap_or(options.get_username());
    format!("{host}:{}/{name}", options.get_port())
}

/// A pool of one, to the same database: what is asked again and again keeps a server process that is warm. `store::DedicatedConnection`
/// is the same for whoever needs no transaction.
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
                // What was used a moment ago is as good as its last answer. What has rested may lead to a server that is
                // gone: it is thrown away here, and not at the cost of whoever asks next.
                if idle.idle_for > RESTED {
                    with_timeout(ANSWERED_WITHIN, connection.ping()).await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move {
                // Otherwise a statement that was given up on a connection that leads nowhere keeps its place in the pool
                // until TCP gives up too. Not after every use: it is a round trip, and hardly ever there is a doubt.
                if recently_unresponsive() {
                    with_timeout(ANSWERED_WITHIN, connection.ping()).await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// Says goodbye to the server. One that is frozen or cut off is not waited for.
pub async fn close(pool: &PgPool) {
    let _ = tokio::time::timeout(Duration::from_secs(2), pool.close()).await;
}

/// Brings the schema up to date. Safe to run from several processes at once: sqlx takes an advisory lock.
pub async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    reach(pool).await?;
    MIGRATOR
        .run(pool)
        .await
        .context("failed to bring the database's schema up to date")
}

/// Is the schema the one that this program was built with?
pub async fn schema_accepted(pool: &PgPool) -> Result<bool, Error> {
    let newest = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    // Not checked at compile time: sqlx makes this table itself, when it migrates for the first time.
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

/// When the database server was started, and how long ago that was by its own clock: a new instant means that it was away.
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

/// A deadlock, a serialization failure or a lock that was not free: the same statement may succeed at once.
pub fn is_retryable(error: &Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40P01" | "40001")) || is_locked(error)
}

/// Somebody holds a lock, and did not let go of it in time.
pub fn is_locked(error: &Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("55P03")
}
