//! The rows of timers: T1 of the design. Any number of sensors share them by `for update skip locked`.

use super::{
    Error,
    timer_history::{Pending, pending},
};
use attune_domain::{TriggerId, TriggerRef, timer::Limits};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::collections::HashMap;

/// A timer, and the changes of its trigger that are not applied yet.
#[derive(Debug, Clone)]
pub struct TimerRow {
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    /// The trigger's version when the row was read.
    pub version: i64,
    /// Oldest first. Empty if the timer has applied them all. There may be more than one query reads.
    pub pending: Vec<Pending>,
    /// The limit set by the retention of events.
    pub limits: Limits,
    /// The part in force. None if never planned.
    pub planned: Option<Planned>,
}

/// The part of a timer that is in force.
#[derive(Debug, Clone)]
pub struct Planned {
    pub generation: i64,
    pub seen_version: i64,
    pub enabled: bool,
    pub config: Value,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub accounted_until: Option<DateTime<Utc>>,
    pub recovery: Option<Value>,
}

/// The database's time, and when the next timer is due.
#[derive(Debug, Clone, Copy)]
pub struct Upcoming {
    pub now: DateTime<Utc>,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub changes: bool,
}

pub async fn upcoming(pool: &PgPool) -> Result<Upcoming, Error> {
    sqlx::query_as!(
        Upcoming,
        r#"select db_now() as "now!", (select min(next_fire_at) from timer where next_fire_at is not null) as next_fire_at,
                  exists (select from timer_change) as "changes!""#
    )
    .fetch_one(pool)
    .await
}

/// Locks up to `limit` due timers that no other sensor has locked, the longest due first. The database's clock decides
/// what is due; its time is returned if there is a due timer.
pub async fn claim_due(tx: &mut PgConnection, limit: i64) -> Result<(Option<DateTime<Utc>>, Vec<TimerRow>), Error> {
    let rows = sqlx::query!(
        r#"with clock as materialized (select db_now() as now)
           select (select now from clock) as "now!", m.trigger_id, m.config, m.generation, m.seen_version, m.enabled, m.next_fire_at, m.settled_at as accounted_until, m.recovery,
                  t.ref as trigger_ref, t.version, (select keep_days from partitioned_table where name = 'event') as "event_keep_days!"
           from timer m join trigger t on t.id = m.trigger_id
           where m.next_fire_at <= (select now from clock)
           order by m.next_fire_at limit $1
           for update of m skip locked"#,
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    let now = rows.first().map(|row| row.now);
    let mut timers: Vec<TimerRow> = rows
        .into_iter()
        .map(|row| TimerRow {
            trigger_id: row.trigger_id,
            trigger_ref: row.trigger_ref,
            version: row.version,
            pending: Vec::new(),
            limits: Limits::of_days(row.event_keep_days),
            planned: Some(Planned {
                generation: row.generation,
                seen_version: row.seen_version,
                enabled: row.enabled,
                config: row.config,
                next_fire_at: row.next_fire_at,
                accounted_until: row.accounted_until,
                recovery: row.recovery,
            }),
        })
        .collect();
    add_pending(tx, &mut timers).await?;
    Ok((now, timers))
}

/// Reads the changes that timers have not applied yet. The rows of the timers are locked, so no other sensor applies them
/// meanwhile.
async fn add_pending(tx: &mut PgConnection, timers: &mut [TimerRow]) -> Result<(), Error> {
    let seen = |timer: &TimerRow| timer.planned.as_ref().map_or(0, |planned| planned.seen_version);
    let behind: Vec<(TriggerId, i64)> = timers
        .iter()
        .filter(|timer| seen(timer) != timer.version)
        .map(|timer| (timer.trigger_id, seen(timer)))
        .collect();
    if behind.is_empty() {
        return Ok(());
    }
    let mut found: HashMap<i64, Vec<Pending>> = HashMap::new();
    for change in pending(tx, &behind).await? {
        found.entry(change.trigger_id.0).or_default().push(change);
    }
    for timer in timers {
        timer.pending = found.remove(&timer.trigger_id.0).unwrap_or_default();
    }
    Ok(())
}

/// Claims up to `limit` changed definitions. The caller plans their timers in the same transaction.
pub async fn claim_changed(tx: &mut PgConnection, limit: i64) -> Result<Vec<TimerRow>, Error> {
    let changed = sqlx::query_scalar!(
        "with picked as materialized (select trigger_id from timer_change order by trigger_id limit $1 for update skip locked)
         delete from timer_change c using picked where c.trigger_id = picked.trigger_id returning c.trigger_id",
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut ids: Vec<i64> = changed.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    load(tx, &ids).await
}

/// Returns claimed changes that were not completed.
pub async fn put_back(tx: &mut PgConnection, ids: &[i64]) -> Result<(), Error> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into timer_change (trigger_id) select id from unnest($1::bigint[]) as left_over (id) order by id on conflict do nothing",
        ids
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Queues timers whose row is missing or older than their definition, for example after restoring a dump or with disabled
/// database triggers. Called at the start and regularly.
pub async fn find_unplanned(db: impl PgExecutor<'_>, limit: i64) -> Result<u64, Error> {
    sqlx::query!(
        "insert into timer_change (trigger_id)
         select t.id from trigger t left join timer m on m.trigger_id = t.id
         where t.kind = 'timer' and (m.trigger_id is null or m.seen_version <> t.version)
         order by t.id limit $1
         on conflict do nothing",
        limit
    )
    .execute(db)
    .await
    .map(|done| done.rows_affected())
}

/// Locks these timers, in the order of their ids, and reads their triggers.
async fn load(tx: &mut PgConnection, ids: &[i64]) -> Result<Vec<TimerRow>, Error> {
    sqlx::query!(
        "select trigger_id from timer where trigger_id = any($1) order by trigger_id for update",
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    let rows = sqlx::query!(
        r#"select t.id, t.ref, t.version, (select keep_days from partitioned_table where name = 'event') as "event_keep_days!",
                  m.config as "config?", m.generation as "generation?", m.seen_version as "seen_version?", m.enabled as "enabled?", m.next_fire_at as "next_fire_at?", m.settled_at as "accounted_until?",
                  m.recovery as "recovery?"
           from trigger t left join timer m on m.trigger_id = t.id
           where t.id = any($1) order by t.id"#,
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut timers = Vec::with_capacity(rows.len());
    for row in rows {
        let planned = match (row.generation, row.seen_version, row.config) {
            (Some(generation), Some(seen_version), Some(config)) => Some(Planned {
                generation,
                seen_version,
                enabled: row.enabled.unwrap_or(false),
                config,
                next_fire_at: row.next_fire_at,
                accounted_until: row.accounted_until,
                recovery: row.recovery,
            }),
            _ => None,
        };
        timers.push(TimerRow {
            trigger_id: row.id,
            trigger_ref: row.r#ref,
            version: row.version,
            pending: Vec::new(),
            limits: Limits::of_days(row.event_keep_days),
            planned,
        });
    }
    add_pending(tx, &mut timers).await?;
    Ok(timers)
}

/// Records that these timers have applied changes up to a version, without a new version in force.
pub async fn mark_seen(tx: &mut PgConnection, seen: &[(TriggerId, i64)]) -> Result<(), Error> {
    let (ids, versions): (Vec<i64>, Vec<i64>) = seen.iter().map(|(id, version)| (id.0, *version)).unzip();
    sqlx::query!(
        "update timer m set seen_version = g.version from unnest($1::bigint[], $2::bigint[]) as g (id, version) where m.trigger_id = g.id",
        &ids,
        &versions
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Stops a timer until its trigger's next change. This is a new version, so that due occurrences are processed as at every
/// change.
pub async fn disarm(pool: &PgPool, trigger: TriggerId) -> Result<bool, Error> {
    let stopped = sqlx::query!(
        "with stopped as (
             update trigger t set version = version + 1
             where id = $1 and exists (select from timer m where m.trigger_id = t.id and m.next_fire_at is not null)
             returning id, version
         )
         update timer m set stopped_version = stopped.version from stopped where m.trigger_id = stopped.id",
        trigger.0
    )
    .execute(pool)
    .await?;
    Ok(stopped.rows_affected() > 0)
}

/// Restarts a stopped timer, as if its trigger had just been enabled.
pub async fn arm(pool: &PgPool, trigger: TriggerId) -> Result<bool, Error> {
    let armed = sqlx::query!(
        "update trigger t set version = version + 1
         where id = $1 and exists (select from timer m where m.trigger_id = t.id and m.stopped_version = t.version)",
        trigger.0
    )
    .execute(pool)
    .await?;
    Ok(armed.rows_affected() > 0)
}

/// When a timer went out of force.
pub async fn paused_since(pool: &PgPool, trigger: TriggerId) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar!(
        r#"select max(to_at) as "to_at" from timer_span where trigger_id = $1 having count(*) filter (where to_at is null) = 0"#,
        trigger.0
    )
    .fetch_optional(pool)
    .await
    .map(Option::flatten)
}

/// Removes the rows of triggers that are not timers any more.
pub async fn remove(tx: &mut PgConnection, ids: &[i64]) -> Result<(), Error> {
    sqlx::query!("delete from timer where trigger_id = any($1)", ids)
        .execute(tx)
        .await
        .map(drop)
}

/// How many timers are in each state.
#[derive(Debug, Clone)]
pub struct Counts {
    pub active: i64,
    pub disabled: i64,
    pub error: i64,
    pub overdue: i64,
    pub next_fire_at: Option<DateTime<Utc>>,
}

pub async fn counts(pool: &PgPool) -> Result<Counts, Error> {
    sqlx::query_as!(
        Counts,
        r#"select count(*) filter (where next_fire_at is not null) as "active!",
                  count(*) filter (where next_fire_at is null and last_error is null) as "disabled!",
                  count(*) filter (where last_error is not null) as "error!",
                  count(*) filter (where next_fire_at < db_now() - interval '1 second') as "overdue!",
                  min(next_fire_at) as next_fire_at
           from timer"#
    )
    .fetch_one(pool)
    .await
}
