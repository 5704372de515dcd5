//! The rows of timers: T1 of the design. Any number of sensors share them by `for update skip locked`.

use super::Error;
use attune_domain::{TriggerId, timer::Limits};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// A timer together with what its trigger says now.
#[derive(Debug, Clone)]
pub struct TimerRow {
    pub trigger_id: TriggerId,
    pub trigger_ref: String,
    /// What the trigger says; the timer follows it when `version` and `seen_version` differ.
    pub version: i64,
    pub enabled: bool,
    pub is_timer: bool,
    pub trigger_config: Value,
    pub changed_at: DateTime<Utc>,
    /// What the retention of events allows.
    pub limits: Limits,
    /// What is in force. Absent: never planned.
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
    pub settled_at: Option<DateTime<Utc>>,
    pub recovery: Option<Value>,
    pub error_count: i32,
}

/// The database's clock, and when the next timer is due.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    pub now: DateTime<Utc>,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub changes: bool,
}

pub async fn look(pool: &PgPool) -> Result<Look, Error> {
    sqlx::query_as!(
        Look,
        r#"select db_now() as "now!", (select min(next_fire_at) from timer where next_fire_at is not null) as next_fire_at,
                  exists (select from timer_change) as "changes!""#
    )
    .fetch_one(pool)
    .await
}

/// Locks up to `limit` due timers that no other sensor is working on, the longest due first. What is due is decided by
/// the database's clock, which is returned when there is anything.
pub async fn claim_due(tx: &mut PgConnection, limit: i64) -> Result<(Option<DateTime<Utc>>, Vec<TimerRow>), Error> {
    let rows = sqlx::query!(
        r#"with clock as materialized (select db_now() as now)
           select (select now from clock) as "now!", m.trigger_id, m.config, m.generation, m.seen_version, m.enabled as planned_enabled, m.next_fire_at, m.settled_at, m.recovery, m.error_count,
                  t.ref as trigger_ref, t.version, t.enabled and p.enabled and m.stopped_version is distinct from t.version as "enabled!", t.kind = 'timer' as "is_timer!",
                  t.config as trigger_config, t.updated_at, (select keep_days from partitioned_table where name = 'event') as "event_keep_days!"
           from timer m join trigger t on t.id = m.trigger_id join pack p on p.id = t.pack_id
           where m.next_fire_at <= (select now from clock)
           order by m.next_fire_at limit $1
           for update of m skip locked"#,
        limit
    )
    .fetch_all(tx)
    .await?;
    let now = rows.first().map(|row| row.now);
    let timers = rows
        .into_iter()
        .map(|row| TimerRow {
            trigger_id: row.trigger_id,
            trigger_ref: row.trigger_ref,
            version: row.version,
            enabled: row.enabled,
            is_timer: row.is_timer,
            trigger_config: row.trigger_config,
            changed_at: row.updated_at,
            limits: Limits::of_days(row.event_keep_days),
            planned: Some(Planned {
                generation: row.generation,
                seen_version: row.seen_version,
                enabled: row.planned_enabled,
                config: row.config,
                next_fire_at: row.next_fire_at,
                settled_at: row.settled_at,
                recovery: row.recovery,
                error_count: row.error_count,
            }),
        })
        .collect();
    Ok((now, timers))
}

/// Takes up to `limit` definitions that changed. Whoever takes one plans its timer in the same transaction.
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

/// Changes that were taken and not done yet.
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

/// Timers whose row is missing or older than their definition, whoever forgot to say so: a restored dump, a trigger
/// switched off. Looked for at the start and now and then.
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

/// Locks these timers, in the order of their ids, and reads what their triggers say.
async fn load(tx: &mut PgConnection, ids: &[i64]) -> Result<Vec<TimerRow>, Error> {
    sqlx::query!(
        "select trigger_id from timer where trigger_id = any($1) order by trigger_id for update",
        ids
    )
    .fetch_all(&mut *tx)
    .await?;
    let rows = sqlx::query!(
        r#"select t.id, t.ref, t.version, t.enabled and p.enabled and m.stopped_version is distinct from t.version as "enabled!", t.kind = 'timer' as "is_timer!",
                  t.config as trigger_config, t.updated_at, (select keep_days from partitioned_table where name = 'event') as "event_keep_days!",
                  m.config as "config?", m.generation as "generation?", m.seen_version as "seen_version?", m.enabled as "planned_enabled?", m.next_fire_at as "next_fire_at?", m.settled_at as "settled_at?",
                  m.recovery as "recovery?", m.error_count as "error_count?"
           from trigger t join pack p on p.id = t.pack_id left join timer m on m.trigger_id = t.id
           where t.id = any($1) order by t.id"#,
        ids
    )
    .fetch_all(tx)
    .await?;
    let mut timers = Vec::with_capacity(rows.len());
    for row in rows {
        let planned = match (row.generation, row.seen_version, row.config) {
            (Some(generation), Some(seen_version), Some(config)) => Some(Planned {
                generation,
                seen_version,
                enabled: row.planned_enabled.unwrap_or(false),
                config,
                next_fire_at: row.next_fire_at,
                settled_at: row.settled_at,
                recovery: row.recovery,
                error_count: row.error_count.unwrap_or(0),
            }),
            _ => None,
        };
        timers.push(TimerRow {
            trigger_id: row.id,
            trigger_ref: row.r#ref,
            version: row.version,
            enabled: row.enabled,
            is_timer: row.is_timer,
            trigger_config: row.trigger_config,
            changed_at: row.updated_at,
            limits: Limits::of_days(row.event_keep_days),
            planned,
        });
    }
    Ok(timers)
}

/// A new configuration comes into force.
#[derive(Debug, Clone)]
pub struct Plan {
    pub trigger_id: TriggerId,
    pub generation: i64,
    /// Enabled, and still a timer.
    pub enabled: bool,
    pub config: Value,
    /// From here on this configuration counts; the span of the one before ends here.
    pub from_at: DateTime<Utc>,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
}

/// Puts plans into force: closes the spans before, opens new ones where the timer is armed, and writes the rows.
pub async fn put_in_force(tx: &mut PgConnection, plans: &[Plan]) -> Result<(), Error> {
    let ids: Vec<i64> = plans.iter().map(|p| p.trigger_id.0).collect();
    let generations: Vec<i64> = plans.iter().map(|p| p.generation).collect();
    let configs: Vec<Value> = plans.iter().map(|p| p.config.clone()).collect();
    let enabled: Vec<bool> = plans.iter().map(|p| p.enabled).collect();
    let from: Vec<DateTime<Utc>> = plans.iter().map(|p| p.from_at).collect();
    let next_fire: Vec<Option<DateTime<Utc>>> = plans.iter().map(|p| p.next_fire_at).collect();
    let errors: Vec<Option<String>> = plans.iter().map(|p| p.error.clone()).collect();
    sqlx::query!(
        "with given as materialized (
             select * from unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::boolean[])
                 as g (trigger_id, generation, config, from_at, next_fire_at, error, enabled)
         ),
         closed as (
             update timer_span s set to_at = g.from_at from given g where s.trigger_id = g.trigger_id and s.to_at is null
         ),
         opened as (
             insert into timer_span (trigger_id, generation, config, from_at)
             select trigger_id, generation, config, from_at from given where next_fire_at is not null
             on conflict do nothing
         )
         insert into timer as m (trigger_id, config, generation, seen_version, enabled, next_fire_at, last_error, error_count)
         select trigger_id, config, generation, generation, enabled, next_fire_at, error, (error is not null)::integer from given order by trigger_id
         on conflict (trigger_id) do update
             set config = excluded.config, generation = excluded.generation,
                 seen_version = excluded.seen_version, enabled = excluded.enabled, next_fire_at = excluded.next_fire_at,
                 recovery = null,
                 last_error = excluded.last_error, error_count = excluded.error_count",
        &ids,
        &generations,
        &configs,
        &from,
        &next_fire as &[Option<DateTime<Utc>>],
        &errors as &[Option<String>],
        &enabled,
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Definitions that changed in nothing that concerns the schedule.
pub async fn mark_seen(tx: &mut PgConnection, ids: &[i64]) -> Result<(), Error> {
    sqlx::query!("update timer m set seen_version = t.version from trigger t where t.id = m.trigger_id and m.trigger_id = any($1)", ids)
        .execute(tx)
        .await
        .map(drop)
}

/// Stops a timer until its trigger's next change. It takes a version of its own, so that what is due is settled as it is
/// at every change.
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

/// Lets a stopped timer run again, as if its trigger had just been enabled.
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

/// Since when a timer that ran once is out of force.
pub async fn paused_since(pool: &PgPool, trigger: TriggerId) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar!(
        r#"select max(to_at) as "to_at" from timer_span where trigger_id = $1 having count(*) filter (where to_at is null) = 0"#,
        trigger.0
    )
    .fetch_optional(pool)
    .await
    .map(Option::flatten)
}

/// How many timers are armed.
pub async fn count_armed(pool: &PgPool) -> Result<i64, Error> {
    sqlx::query_scalar!(r#"select count(*) as "count!" from timer where next_fire_at is not null"#)
        .fetch_one(pool)
        .await
}

/// The row of a trigger that is no timer any more.
pub async fn remove(tx: &mut PgConnection, ids: &[i64]) -> Result<(), Error> {
    sqlx::query!(
        "with closed as (
             update timer_span s set to_at = least(t.updated_at, db_now())
             from trigger t where t.id = s.trigger_id and s.trigger_id = any($1) and s.to_at is null
         )
         delete from timer where trigger_id = any($1)",
        ids
    )
    .execute(tx)
    .await
    .map(drop)
}

/// What health says about timers.
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
