//! File watches: who watches, and the versions of files that are accounted for.

use super::{Error, event_queue::interval};
use attune_domain::{
    EventId, TriggerId, TriggerRef,
    file_watch::{Change, ChangeKind, Version},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// An enabled trigger.
#[derive(Debug, Clone)]
pub struct Watched {
    pub id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub config: Value,
}

/// The enabled file watches.
pub async fn list(pool: &PgPool) -> Result<Vec<Watched>, Error> {
    sqlx::query_as!(
        Watched,
        "select t.id, t.ref as trigger_ref, t.config from trigger t join pack p on p.id = t.pack_id
         where t.kind = 'file_watch' and t.enabled and p.enabled order by t.id"
    )
    .fetch_all(pool)
    .await
}

/// A position: a trigger, and the host whose disk it describes (empty: any one host).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    pub trigger: TriggerId,
    pub host: String,
}

/// A sensor that watches.
#[derive(Debug, Clone)]
pub struct Observer {
    pub sensor: Uuid,
    pub host: String,
}

/// Claims a position that no other sensor watches. Returns whether it belongs to this sensor now.
pub async fn claim(pool: &PgPool, at: &Position, observer: &Observer, lease: Duration) -> Result<bool, Error> {
    let claimed = sqlx::query!(
        // Most often another sensor watches: then nothing is locked.
        "insert into file_watch as w (trigger_id, host, sensor_id, sensor_host, lease_until)
         select t.id, $2, $3, $4, db_now() + $5::interval from trigger t
         where t.id = $1 and t.enabled
           and not exists (select from file_watch o where o.trigger_id = t.id and o.host = $2 and o.sensor_id <> $3 and o.lease_until > db_now())
         on conflict (trigger_id, host) do update
             set sensor_id = excluded.sensor_id, sensor_host = excluded.sensor_host, lease_until = excluded.lease_until
             where w.sensor_id = excluded.sensor_id or w.lease_until is null or w.lease_until <= db_now()",
        at.trigger.0,
        at.host,
        observer.sensor,
        observer.host,
        interval(lease) as sqlx::postgres::types::PgInterval
    )
    .execute(pool)
    .await?;
    Ok(claimed.rows_affected() > 0)
}

/// Renews the leases of a sensor, except for rows that a transaction has locked, and returns the positions that still belong to
/// it.
pub async fn renew(pool: &PgPool, held: &[Position], sensor: Uuid, lease: Duration) -> Result<Vec<Position>, Error> {
    let (triggers, hosts): (Vec<i64>, Vec<String>) = held.iter().map(|at| (at.trigger.0, at.host.clone())).unzip();
    sqlx::query_as!(
        Position,
        r#"with mine as materialized (
               select w.trigger_id, w.host from unnest($1::bigint[], $2::text[]) as g (trigger_id, host)
               join file_watch w on w.trigger_id = g.trigger_id and w.host = g.host
               where w.sensor_id = $3 order by w.trigger_id, w.host for update of w skip locked
           ),
           renewed as (
               update file_watch w set lease_until = db_now() + $4::interval from mine
               where w.trigger_id = mine.trigger_id and w.host = mine.host
           )
           select w.trigger_id as "trigger!: TriggerId", w.host as "host!" from unnest($1::bigint[], $2::text[]) as g (trigger_id, host)
           join file_watch w on w.trigger_id = g.trigger_id and w.host = g.host
           where w.sensor_id = $3"#,
        &triggers,
        &hosts,
        sensor,
        interval(lease) as sqlx::postgres::types::PgInterval
    )
    .fetch_all(pool)
    .await
}

/// Ends the lease of a sensor that cannot watch, with the reason, or shuts down.
pub async fn release(pool: &PgPool, at: &Position, sensor: Uuid, error: Option<&str>) -> Result<(), Error> {
    sqlx::query!(
        "update file_watch set sensor_id = null, lease_until = null, last_error = $4
         where trigger_id = $1 and host = $2 and sensor_id = $3",
        at.trigger.0,
        at.host,
        sensor,
        error
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Ends all leases, because every earlier sensor is certainly gone.
pub async fn release_all(pool: &PgPool) -> Result<(), Error> {
    sqlx::query!("update file_watch set sensor_id = null, lease_until = null where sensor_id is not null")
        .execute(pool)
        .await
        .map(drop)
}

/// Records why a sensor cannot watch, unless another one does. Of several sensors without the path, one reports it. Returns
/// whether no sensor watches.
pub async fn report_error(pool: &PgPool, at: &Position, observer: &Observer, error: &str) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"with written as (
               insert into file_watch as w (trigger_id, host, sensor_host, last_error)
               select t.id, $2, $3, $4 from trigger t
               where t.id = $1 and t.enabled and not exists (
                   select from file_watch o where o.trigger_id = t.id and o.host = $2 and o.last_error = $4)
               on conflict (trigger_id, host) do update set sensor_host = excluded.sensor_host, last_error = excluded.last_error
                   where (w.lease_until is null or w.lease_until <= db_now())
                     and (w.last_error is null or w.sensor_host is null or w.sensor_host = excluded.sensor_host)
           )
           select not exists (select from file_watch where trigger_id = $1 and host = $2 and lease_until > db_now()) as "is_unwatched!""#,
        at.trigger.0,
        at.host,
        observer.host,
        error
    )
    .fetch_one(pool)
    .await
}

/// Removes positions of an earlier configuration: of single hosts if all share a position now, or the other way round.
pub async fn forget_other_scopes(pool: &PgPool, at: &Position) -> Result<(), Error> {
    sqlx::query!(
        "delete from file_watch where trigger_id = $1 and (host = '') <> ($2 = '')",
        at.trigger.0,
        at.host
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The configuration that the recorded files belong to, and the files.
pub async fn load(pool: &PgPool, at: &Position) -> Result<(Option<Value>, Vec<(String, Version)>), Error> {
    let config = sqlx::query_scalar!(
        "select config from file_watch where trigger_id = $1 and host = $2",
        at.trigger.0,
        at.host
    )
    .fetch_optional(pool)
    .await?
    .flatten();
    let rows = sqlx::query!(
        "select path, device, inode, size, mtime_ns from file_seen where trigger_id = $1 and host = $2",
        at.trigger.0,
        at.host
    )
    .fetch_all(pool)
    .await?;
    let files = rows.into_iter().map(|row| {
        let version = Version {
            device: row.device.cast_unsigned(),
            inode: row.inode.cast_unsigned(),
            size: row.size.cast_unsigned(),
            mtime_ns: row.mtime_ns,
        };
        (row.path, version)
    });
    Ok((config, files.collect()))
}

/// Locks a position until the transaction ends, and returns the time. None: it does not belong to this sensor any more.
pub async fn lock(tx: &mut PgConnection, at: &Position, sensor: Uuid) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar!(
        r#"select db_now() as "now!" from file_watch where trigger_id = $1 and host = $2 and sensor_id = $3 for update"#,
        at.trigger.0,
        at.host,
        sensor
    )
    .fetch_optional(tx)
    .await
}

/// Accounts for changes. Each is reported by the event next to it, if there is one.
pub async fn account(
    tx: &mut PgConnection,
    at: &Position,
    changes: &[(Change, Option<EventId>)],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let gone = changes.iter().filter_map(|(change, _)| match change.kind {
        ChangeKind::Deleted => Some(change.path.clone()),
        _ => change.from.clone(),
    });
    let gone: Vec<String> = gone.collect();
    let kept = || changes.iter().filter(|(change, _)| change.kind != ChangeKind::Deleted);
    let versions = |of: fn(&Version) -> i64| -> Vec<i64> { kept().map(|(change, _)| of(&change.version)).collect() };
    let paths: Vec<String> = kept().map(|(change, _)| change.path.clone()).collect();
    let events: Vec<Option<Uuid>> = kept().map(|(_, event)| event.map(|id| id.0)).collect();
    sqlx::query!(
        "with gone as (delete from file_seen where trigger_id = $1 and host = $2 and path = any($3))
         insert into file_seen (trigger_id, host, path, device, inode, size, mtime_ns, event_id, seen_at)
         select $1, $2, g.path, g.device, g.inode, g.size, g.mtime_ns, g.event_id, $10
         from unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::uuid[])
             as g (path, device, inode, size, mtime_ns, event_id)
         order by g.path
         on conflict (trigger_id, host, path) do update
             set device = excluded.device, inode = excluded.inode, size = excluded.size, mtime_ns = excluded.mtime_ns,
                 event_id = excluded.event_id, seen_at = excluded.seen_at",
        at.trigger.0,
        at.host,
        &gone,
        &paths,
        &versions(|version| version.device.cast_signed()),
        &versions(|version| version.inode.cast_signed()),
        &versions(|version| version.size.cast_signed()),
        &versions(|version| version.mtime_ns),
        &events as &[Option<Uuid>],
        now
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Records a complete scan with this configuration.
pub async fn scanned(pool: &PgPool, at: &Position, sensor: Uuid, config: &Value) -> Result<(), Error> {
    sqlx::query!(
        "update file_watch set config = $4, scanned_at = db_now(), last_error = null
         where trigger_id = $1 and host = $2 and sensor_id = $3",
        at.trigger.0,
        at.host,
        sensor,
        config
    )
    .execute(pool)
    .await
    .map(drop)
}
