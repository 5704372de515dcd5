//! The rows of timers: T1 of the design. Any number of sensors share them by `for update skip locked`.

use super::Error;
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// A timer together with what its trigger says now.
#[derive(Debug, Clone)]
pub struct TimerRow {
    pub trigger_id: TriggerId,
    pub trigger_ref: String,
    /// What the trigger says; the timer follows it when `version` and `generation` differ.
    pub version: i64,
    pub enabled: bool,
    pub is_timer: bool,
    pub trigger_config: Value,
    pub changed_at: DateTime<Utc>,
    /// What is in force. Absent: never planned.
    pub planned: Option<Planned>,
}

/// The part of a timer that is in force.
#[derive(Debug, Clone)]
pub struct Planned {
    pub generation: i64,
    pub config: Value,
    pub next_at: Option<DateTime<Utc>>,
    pub settled_at: DateTime<Utc>,
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

/// Locks up to `limit` due timers that no other sensor is working on, the longest due first.
pub async fn claim_due(tx: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<Vec<TimerRow>, Error> {
    let rows = sqlx::query!(
        r#"select m.trigger_id, m.config, m.generation, m.next_at, m.settled_at, m.recovery, m.error_count,
                  t.ref as trigger_ref, t.version, t.enabled and p.enabled as "enabled!", t.kind = 'timer' as "is_timer!",
                  t.config as trigger_config, t.updated_at
           from timer m join trigger t on t.id = m.trigger_id join pack p on p.id = t.pack_id
           where m.next_fire_at <= $1
           order by m.next_fire_at limit $2
           for update of m skip locked"#,
        now,
        limit
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| TimerRow {
            trigger_id: row.trigger_id,
            trigger_ref: row.trigger_ref,
            version: row.version,
            enabled: row.enabled,
            is_timer: row.is_timer,
            trigger_config: row.trigger_config,
            changed_at: row.updated_at,
            planned: Some(Planned {
                generation: row.generation,
                config: row.config,
                next_at: row.next_at,
                settled_at: row.settled_at,
                recovery: row.recovery,
                error_count: row.error_count,
            }),
        })
        .collect())
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

/// Timers whose row is missing or older than their definition, whoever forgot to say so: a restored dump, a trigger
/// switched off. Looked for at the start and now and then.
pub async fn find_unplanned(db: impl PgExecutor<'_>, limit: i64) -> Result<u64, Error> {
    sqlx::query!(
        "insert into timer_change (trigger_id)
         select t.id from trigger t left join timer m on m.trigger_id = t.id
         where t.kind = 'timer' and (m.trigger_id is null or m.generation <> t.version)
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
        r#"select t.id, t.ref, t.version, t.enabled and p.enabled as "enabled!", t.kind = 'timer' as "is_timer!",
                  t.config as trigger_config, t.updated_at,
                  m.config as "config?", m.generation as "generation?", m.next_at as "next_at?", m.settled_at as "settled_at?",
                  m.recovery as "recovery?", m.error_count as "error_count?"
           from trigger t join pack p on p.id = t.pack_id left join timer m on m.trigger_id = t.id
           where t.id = any($1) order by t.id"#,
        ids
    )
    .fetch_all(tx)
    .await?;
    let mut timers = Vec::with_capacity(rows.len());
    for row in rows {
        let planned = match (row.generation, row.config, row.settled_at) {
            (Some(generation), Some(config), Some(settled_at)) => Some(Planned {
                generation,
                config,
                next_at: row.next_at,
                settled_at,
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
            planned,
        });
    }
    Ok(timers)
}

/// Where a timer stands after a tick.
#[derive(Debug, Clone)]
pub struct Advance {
    pub trigger_id: TriggerId,
    pub next_at: Option<DateTime<Utc>>,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub settled_at: DateTime<Utc>,
    pub recovery: Option<Value>,
    pub last_scheduled_at: Option<DateTime<Utc>>,
    pub fired: i64,
    pub missed: i64,
    /// It could not be computed: set aside, with the reason.
    pub error: Option<String>,
}

/// Moves timers on, all in one statement.
pub async fn advance(tx: &mut PgConnection, advances: &[Advance]) -> Result<(), Error> {
    let column = |value: fn(&Advance) -> Option<DateTime<Utc>>| advances.iter().map(value).collect::<Vec<_>>();
    let ids: Vec<i64> = advances.iter().map(|a| a.trigger_id.0).collect();
    let settled: Vec<DateTime<Utc>> = advances.iter().map(|a| a.settled_at).collect();
    let recoveries: Vec<Option<Value>> = advances.iter().map(|a| a.recovery.clone()).collect();
    let fired: Vec<i64> = advances.iter().map(|a| a.fired).collect();
    let missed: Vec<i64> = advances.iter().map(|a| a.missed).collect();
    let errors: Vec<Option<String>> = advances.iter().map(|a| a.error.clone()).collect();
    sqlx::query!(
        "update timer m
         set next_at = a.next_at, next_fire_at = a.next_fire_at, settled_at = a.settled_at, recovery = a.recovery,
             last_scheduled_at = coalesce(a.last_scheduled_at, m.last_scheduled_at),
             last_fired_at = case when a.fired > 0 then db_now() else m.last_fired_at end,
             fired = m.fired + a.fired, missed = m.missed + a.missed,
             last_error = a.error, error_count = case when a.error is null then 0 else m.error_count + 1 end
         from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[], $5::jsonb[], $6::timestamptz[], $7::bigint[], $8::bigint[], $9::text[])
             as a (trigger_id, next_at, next_fire_at, settled_at, recovery, last_scheduled_at, fired, missed, error)
         where m.trigger_id = a.trigger_id",
        &ids,
        &column(|a| a.next_at) as &[Option<DateTime<Utc>>],
        &column(|a| a.next_fire_at) as &[Option<DateTime<Utc>>],
        &settled,
        &recoveries as &[Option<Value>],
        &column(|a| a.last_scheduled_at) as &[Option<DateTime<Utc>>],
        &fired,
        &missed,
        &errors as &[Option<String>],
    )
    .execute(tx)
    .await
    .map(drop)
}

/// A new configuration comes into force.
#[derive(Debug, Clone)]
pub struct Plan {
    pub trigger_id: TriggerId,
    pub generation: i64,
    pub config: Value,
    /// From here on this configuration counts; the span of the one before ends here.
    pub from_at: DateTime<Utc>,
    pub next_at: Option<DateTime<Utc>>,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub error: Option<String>,
}

/// Puts plans into force: closes the spans before, opens new ones where the timer is armed, and writes the rows.
pub async fn put_in_force(tx: &mut PgConnection, plans: &[Plan]) -> Result<(), Error> {
    let ids: Vec<i64> = plans.iter().map(|p| p.trigger_id.0).collect();
    let generations: Vec<i64> = plans.iter().map(|p| p.generation).collect();
    let configs: Vec<Value> = plans.iter().map(|p| p.config.clone()).collect();
    let from: Vec<DateTime<Utc>> = plans.iter().map(|p| p.from_at).collect();
    let next: Vec<Option<DateTime<Utc>>> = plans.iter().map(|p| p.next_at).collect();
    let next_fire: Vec<Option<DateTime<Utc>>> = plans.iter().map(|p| p.next_fire_at).collect();
    let errors: Vec<Option<String>> = plans.iter().map(|p| p.error.clone()).collect();
    sqlx::query!(
        "with given as materialized (
             select * from unnest($1::bigint[], $2::bigint[], $3::jsonb[], $4::timestamptz[], $5::timestamptz[], $6::timestamptz[], $7::text[])
                 as g (trigger_id, generation, config, from_at, next_at, next_fire_at, error)
         ),
         closed as (
             update timer_span s set to_at = g.from_at from given g where s.trigger_id = g.trigger_id and s.to_at is null
         ),
         opened as (
             insert into timer_span (trigger_id, generation, config, from_at)
             select trigger_id, generation, config, from_at from given where next_at is not null
             on conflict do nothing
         )
         insert into timer as m (trigger_id, config, generation, next_at, next_fire_at, settled_at, last_error, error_count)
         select trigger_id, config, generation, next_at, next_fire_at, from_at, error, (error is not null)::integer from given order by trigger_id
         on conflict (trigger_id) do update
             set config = excluded.config, generation = excluded.generation, next_at = excluded.next_at,
                 next_fire_at = excluded.next_fire_at, settled_at = excluded.settled_at, recovery = null,
                 last_error = excluded.last_error, error_count = excluded.error_count",
        &ids,
        &generations,
        &configs,
        &from,
        &next as &[Option<DateTime<Utc>>],
        &next_fire as &[Option<DateTime<Utc>>],
        &errors as &[Option<String>],
    )
    .execute(tx)
    .await
    .map(drop)
}

/// The row of a trigger that is no timer any more.
pub async fn remove(tx: &mut PgConnection, ids: &[i64]) -> Result<(), Error> {
    sqlx::query!(
        "with closed as (update timer_span set to_at = db_now() where trigger_id = any($1) and to_at is null)
         delete from timer where trigger_id = any($1)",
        ids
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Occurrences that did not become events, and why.
#[derive(Debug, Clone)]
pub struct NewGap {
    pub trigger_id: TriggerId,
    pub generation: i64,
    pub from_at: DateTime<Utc>,
    pub to_at: DateTime<Utc>,
    pub missed: i64,
    pub reason: String,
}

pub async fn insert_gaps(tx: &mut PgConnection, gaps: &[NewGap]) -> Result<(), Error> {
    if gaps.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = gaps.iter().map(|g| g.trigger_id.0).collect();
    let generations: Vec<i64> = gaps.iter().map(|g| g.generation).collect();
    let from: Vec<DateTime<Utc>> = gaps.iter().map(|g| g.from_at).collect();
    let to: Vec<DateTime<Utc>> = gaps.iter().map(|g| g.to_at).collect();
    let missed: Vec<i64> = gaps.iter().map(|g| g.missed).collect();
    let reasons: Vec<String> = gaps.iter().map(|g| g.reason.clone()).collect();
    sqlx::query!(
        "insert into timer_gap (trigger_id, generation, from_at, to_at, missed, reason)
         select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::text[])",
        &ids,
        &generations,
        &from,
        &to,
        &missed,
        &reasons
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
