//! What PostgreSQL counts by itself.

use attune_common::store::Error;
use sqlx::PgPool;

/// The server that is measured.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Server {
    pub version: String,
    pub fsync: String,
    pub synchronous_commit: String,
    pub wal_sync_method: String,
    pub wal_level: String,
    pub shared_buffers: String,
}

pub async fn server(pool: &PgPool) -> Result<Server, Error> {
    sqlx::query_as!(
        Server,
        r#"select current_setting('server_version') as "version!", current_setting('fsync') as "fsync!",
                  current_setting('synchronous_commit') as "synchronous_commit!", current_setting('wal_sync_method') as "wal_sync_method!",
                  current_setting('wal_level') as "wal_level!", current_setting('shared_buffers') as "shared_buffers!""#
    )
    .fetch_one(pool)
    .await
}

/// Totals since the server's statistics began; the difference of two readings is what a run cost. They may be a second old.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    pub commits: i64,
    pub wal_records: i64,
    pub wal_bytes: f64,
    pub wal_syncs: i64,
    pub execution_updates: i64,
    pub execution_hot_updates: i64,
    pub event_queue_updates: i64,
    pub event_queue_hot_updates: i64,
    pub execution_queue_updates: i64,
    pub execution_queue_hot_updates: i64,
}

pub async fn counters(pool: &PgPool) -> Result<Counters, Error> {
    sqlx::query_as!(
        Counters,
        r#"select (select xact_commit from pg_stat_database where datname = current_database()) as "commits!",
                  w.wal_records as "wal_records!", w.wal_bytes::float8 as "wal_bytes!", w.wal_sync as "wal_syncs!",
                  e.updates as "execution_updates!", e.hot as "execution_hot_updates!",
                  v.n_tup_upd as "event_queue_updates!", v.n_tup_hot_upd as "event_queue_hot_updates!",
                  q.n_tup_upd as "execution_queue_updates!", q.n_tup_hot_upd as "execution_queue_hot_updates!"
           from pg_stat_wal w,
                (select coalesce(sum(n_tup_upd), 0)::bigint as updates, coalesce(sum(n_tup_hot_upd), 0)::bigint as hot
                 from pg_stat_user_tables where relname ~ '^execution_[0-9]{8}$') e,
                (select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'event_queue'::regclass) v,
                (select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'execution_queue'::regclass) q"#
    )
    .fetch_one(pool)
    .await
}

/// What must not grow in a long run.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub connections: i64,
    /// The hot queues with their indexes, in bytes.
    pub queues: i64,
    pub database: i64,
}

pub async fn sizes(pool: &PgPool) -> Result<Sizes, Error> {
    sqlx::query_as!(
        Sizes,
        r#"select (select count(*) from pg_stat_activity where datname = current_database()) as "connections!",
                  pg_total_relation_size('event_queue') + pg_total_relation_size('execution_queue') as "queues!",
                  pg_database_size(current_database()) as "database!""#
    )
    .fetch_one(pool)
    .await
}
