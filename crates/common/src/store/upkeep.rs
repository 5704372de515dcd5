//! Creates partitions in advance and removes expired rows. Idempotent and safe to run in several processes.

use super::{Error, Transaction};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use sqlx::{PgExecutor, PgPool};
use utoipa::ToSchema;

/// Only one process runs upkeep at a time; the others skip it.
const UPKEEP_LOCK: i64 = 0x61_74_74_75_6e_65;

/// Creates the partitions of the coming days. `None` if another process is doing so.
pub async fn make_partitions(pool: &PgPool) -> Result<Option<i32>, Error> {
    let mut tx = Transaction::begin(pool).await?;
    if !alone(&mut tx).await? {
        return Ok(None);
    }
    let made = sqlx::query_scalar!(r#"select partition_upkeep() as "made!""#)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Some(made))
}

#[derive(Debug)]
pub struct Removed {
    pub partition: String,
    pub rows: i64,
}

/// Drops partitions older than their table's retention, and removes expired keys.
pub async fn expire(pool: &PgPool) -> Result<Vec<Removed>, Error> {
    let mut tx = Transaction::begin(pool).await?;
    if !alone(&mut tx).await? {
        return Ok(Vec::new());
    }
    let removed = sqlx::query_as!(
        Removed,
        r#"select dropped as "partition!", removed as "rows!" from partition_expire()"#
    )
    .fetch_all(&mut *tx)
    .await?;
    remember(&mut tx, &removed).await?;
    tx.commit().await?;
    sqlx::query!(
        "delete from event_dedup
         where expires_at < db_now()
            or created_at < db_now() - make_interval(days => (select keep_days from partitioned_table where name = 'event'))"
    )
        .execute(pool)
        .await?;
    super::pack_archive::expire(pool).await?;
    super::timer_history::forget_applied(pool).await?;
    sqlx::query!("delete from service_instance where heartbeat_at < db_now() - interval '5 minutes'")
        .execute(pool)
        .await?;
    Ok(removed)
}

/// Adds to the counters of removed rows and partitions.
async fn remember(tx: &mut sqlx::PgConnection, removed: &[Removed]) -> Result<(), Error> {
    let (partitions, rows): (Vec<_>, Vec<_>) = removed.iter().map(|it| (it.partition.clone(), it.rows)).unzip();
    sqlx::query!(
        r"with lost as (
              select regexp_replace(partition, '_(\d{8}|default)$', '') as name, count(*) filter (where partition ~ '\d{8}$') as partitions, sum(rows) as rows
              from unnest($1::text[], $2::bigint[]) as r (partition, rows) group by 1
          )
          update partitioned_table t set
              expired_at = db_now(),
              removed_at = case when l.name is null then t.removed_at else db_now() end,
              removed_partitions = t.removed_partitions + coalesce(l.partitions, 0),
              removed_rows = t.removed_rows + coalesce(l.rows, 0)
          from partitioned_table o left join lost l on l.name = o.name where o.name = t.name",
        &partitions,
        &rows
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Sets the retention of tables. Returns those that changed.
pub async fn keep(pool: &PgPool, days: &[(&str, i32)]) -> Result<Vec<String>, Error> {
    let (names, days): (Vec<_>, Vec<_>) = days.iter().map(|(name, days)| ((*name).to_owned(), *days)).unzip();
    sqlx::query_scalar!(
        "update partitioned_table t set keep_days = g.days from unnest($1::text[], $2::integer[]) as g (name, days)
         where t.name = g.name and t.keep_days <> g.days returning t.name",
        &names,
        &days
    )
    .fetch_all(pool)
    .await
}

/// The retention of a table, and what it has removed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Retention {
    pub table: String,
    pub keep_days: i32,
    /// The first retained day.
    pub oldest_day: Option<NaiveDate>,
    pub partitions: i64,
    /// When the retention last ran.
    pub expired_at: Option<DateTime<Utc>>,
    /// When it last removed something.
    pub removed_at: Option<DateTime<Utc>>,
    pub removed_partitions: i64,
    pub removed_rows: i64,
}

pub async fn retention(pool: &PgPool) -> Result<Vec<Retention>, Error> {
    sqlx::query_as!(
        Retention,
        r#"select t.name as table, t.keep_days, c.oldest_day as "oldest_day?", c.partitions as "partitions!",
                  t.expired_at, t.removed_at, t.removed_partitions, t.removed_rows
           from partitioned_table t cross join lateral (
               select min(substring(c.relname from '\d{8}$')::date) as oldest_day, count(*) as partitions
               from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = t.name::regclass and c.relname ~ '_\d{8}$'
           ) c order by t.name"#
    )
    .fetch_all(pool)
    .await
}

/// For how many days an event prevents a repeat of its key.
pub async fn event_days(db: impl PgExecutor<'_>) -> Result<i32, Error> {
    sqlx::query_scalar!("select keep_days from partitioned_table where name = 'event'")
        .fetch_one(db)
        .await
}

/// A reader of a partition must not block inserts behind the upkeep, so the lock times out quickly and is retried.
async fn alone(tx: &mut sqlx::PgConnection) -> Result<bool, Error> {
    sqlx::query!("select set_config('lock_timeout', '100ms', true)")
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "alone!""#, UPKEEP_LOCK)
        .fetch_one(tx)
        .await
}

/// The number of days ahead with partitions, and the number of rows in default partitions (there should be none).
#[derive(Debug)]
pub struct Partitions {
    pub days_ahead: i64,
    pub in_default: i64,
    /// When the retention last ran, and what it has removed so far.
    pub expired_at: Option<DateTime<Utc>>,
    pub removed_partitions: i64,
    pub removed_rows: i64,
}

pub async fn partitions(pool: &PgPool) -> Result<Partitions, Error> {
    sqlx::query_as!(
        Partitions,
        r#"select (select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
                   where i.inhparent = 'event'::regclass and c.relname > 'event_' || to_char(db_now() at time zone 'UTC', 'YYYYMMDD')
                     and c.relname ~ '_\d{8}$') as "days_ahead!",
                  (select count(*) from event_default) + (select count(*) from execution_default) as "in_default!",
                  min(expired_at) as expired_at, coalesce(sum(removed_partitions), 0)::bigint as "removed_partitions!",
                  coalesce(sum(removed_rows), 0)::bigint as "removed_rows!"
           from partitioned_table"#
    )
    .fetch_one(pool)
    .await
}
