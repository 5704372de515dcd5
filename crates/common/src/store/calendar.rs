//! What timers have done within a span of time, and the configurations that state what they will do.

use super::{Error, page::planned};
use attune_domain::{EventId, TriggerId, TriggerRef, id};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

/// A timer, and whether it fires: it, its pack, and the timer itself are enabled.
#[derive(Debug)]
pub struct Scheduled {
    pub id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub config: Value,
    pub enabled: bool,
}

pub async fn timers(
    pool: &PgPool,
    packs: Option<&[String]>,
    triggers: Option<&[String]>,
    limit: i64,
) -> Result<Vec<Scheduled>, Error> {
    sqlx::query_as!(
        Scheduled,
        r#"select t.id, t.ref as trigger_ref, t.config,
                  t.enabled and p.enabled and m.stopped_version is distinct from t.version as "enabled!"
           from trigger t join pack p on p.id = t.pack_id left join timer m on m.trigger_id = t.id
           where t.kind = 'timer' and ($1::text[] is null or p.ref = any($1)) and ($2::text[] is null or t.ref = any($2))
           order by t.ref limit $3"#,
        packs,
        triggers,
        limit
    )
    .fetch_all(pool)
    .await
}

/// An occurrence that fired.
#[derive(Debug)]
pub struct Fired {
    pub trigger_id: TriggerId,
    pub event_id: EventId,
    pub scheduled_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
}

/// The first occurrences of each timer that fired in `[from, to)`.
pub async fn fired(
    pool: &PgPool,
    timers: &[TriggerId],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    each: i64,
) -> Result<Vec<Fired>, Error> {
    let ids: Vec<i64> = timers.iter().map(|id| id.0).collect();
    // The id of a timer's event begins with its scheduled time.
    sqlx::query_as!(
        Fired,
        r#"select t.id as "trigger_id!: TriggerId", e.id as "event_id!: EventId", e.scheduled_at as "scheduled_at!",
                  e.received_at as "received_at!"
           from unnest($1::bigint[]) as t (id) cross join lateral (
               select id, scheduled_at, received_at from event
               where trigger_id = t.id and id >= $2 and id < $3 and source = 'timer' and scheduled_at is not null
               order by id limit $4) e"#,
        &ids,
        id::floor(from),
        id::floor(to),
        each
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

/// Consecutive occurrences that did not fire.
#[derive(Debug)]
pub struct Missed {
    pub trigger_id: TriggerId,
    pub from_at: DateTime<Utc>,
    pub to_at: DateTime<Utc>,
    pub missed: i64,
    pub reason: String,
}

/// The newest missed occurrences of each timer that overlap with `[from, to)`.
pub async fn missed(
    pool: &PgPool,
    timers: &[TriggerId],
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    each: i64,
) -> Result<Vec<Missed>, Error> {
    let ids: Vec<i64> = timers.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        Missed,
        r#"select t.id as "trigger_id!: TriggerId", g.from_at as "from_at!", g.to_at as "to_at!", g.missed as "missed!", g.reason as "reason!"
           from unnest($1::bigint[]) as t (id) cross join lateral (
               select from_at, to_at, missed, reason from timer_gap
               where trigger_id = t.id and to_at >= $2 and from_at < $3 order by id desc limit $4) g"#,
        &ids,
        from,
        to,
        each
    )
    .fetch_all(pool)
    .await
}
