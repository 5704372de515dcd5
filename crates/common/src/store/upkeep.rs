//! Partitions made ahead, expired rows removed. Idempotent, and harmless when several processes try at once.

use super::Error;
use sqlx::PgPool;

/// Only one process does upkeep at a time; the others find nothing to do.
const UPKEEP_LOCK: i64 = 0x61_74_74_75_6e_65;

/// Makes the partitions of the days to come. `None`: another process is at it.
pub async fn make_partitions(pool: &PgPool) -> Result<Option<i32>, Error> {
    let mut tx = pool.begin().await?;
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

/// Drops partitions older than their table keeps, and forgets keys that are over.
pub async fn expire(pool: &PgPool) -> Result<Vec<Removed>, Error> {
    let mut tx = pool.begin().await?;
    if !alone(&mut tx).await? {
        return Ok(Vec::new());
    }
    let removed = sqlx::query_as!(
        Removed,
        r#"select dropped as "partition!", removed as "rows!" from partition_expire()"#
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    sqlx::query!("delete from event_dedup where expires_at < db_now()")
        .execute(pool)
        .await?;
    sqlx::query!("delete from service_instance where heartbeat_at < db_now() - interval '5 minutes'")
        .execute(pool)
        .await?;
    Ok(removed)
}

/// A reader of a partition must not make inserts wait behind the upkeep: give up quickly and come again.
async fn alone(tx: &mut sqlx::PgConnection) -> Result<bool, Error> {
    sqlx::query!("select set_config('lock_timeout', '100ms', true)")
        .fetch_one(&mut *tx)
        .await?;
    sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "alone!""#, UPKEEP_LOCK)
        .fetch_one(tx)
        .await
}

/// How many days ahead have partitions, and how many rows lie in defaults (there should be none).
#[derive(Debug)]
pub struct Partitions {
    pub days_ahead: i64,
    pub in_default: i64,
}

pub async fn partitions(pool: &PgPool) -> Result<Partitions, Error> {
    sqlx::query_as!(
        Partitions,
        r#"select (select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid
                   where i.inhparent = 'event'::regclass and c.relname > 'event_' || to_char(db_now() at time zone 'UTC', 'YYYYMMDD')
                     and c.relname ~ '_\d{8}$') as "days_ahead!",
                  (select count(*) from event_default) + (select count(*) from execution_default) as "in_default!""#
    )
    .fetch_one(pool)
    .await
}
