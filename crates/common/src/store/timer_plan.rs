//! New versions of timers: the rows of timers, and the spans in which each configuration was in force.

use super::{Error, PgConnection, timer_advance::Progress};
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The version that is in force from now on, and the occurrences processed before it.
#[derive(Debug, Clone)]
pub struct Plan {
    pub trigger_id: TriggerId,
    pub generation: i64,
    /// The newest version that was applied. It may be newer than `generation` if the schedule did not change.
    pub seen_version: i64,
    pub enabled: bool,
    pub config: Value,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub recovery: Option<Value>,
    pub progress: Progress,
    pub error: Option<String>,
}

/// A span in which one configuration was in force. Without an end: it still is.
#[derive(Debug, Clone)]
pub struct Span {
    pub trigger_id: TriggerId,
    pub generation: i64,
    pub config: Value,
    pub from_at: DateTime<Utc>,
    pub to_at: Option<DateTime<Utc>>,
}

/// Ends the open spans of these triggers, each at its instant, and inserts new ones.
pub async fn write_spans(
    tx: &mut PgConnection,
    ended: &[(TriggerId, DateTime<Utc>)],
    begun: &[Span],
) -> Result<(), Error> {
    let (ended_ids, ended_at): (Vec<i64>, Vec<DateTime<Utc>>) = ended.iter().map(|(id, at)| (id.0, *at)).unzip();
    let ids: Vec<i64> = begun.iter().map(|s| s.trigger_id.0).collect();
    let generations: Vec<i64> = begun.iter().map(|s| s.generation).collect();
    let configs: Vec<Value> = begun.iter().map(|s| s.config.clone()).collect();
    let from: Vec<DateTime<Utc>> = begun.iter().map(|s| s.from_at).collect();
    let to: Vec<Option<DateTime<Utc>>> = begun.iter().map(|s| s.to_at).collect();
    sqlx::query!(
        "with ended as (
             update timer_span s set to_at = g.at from unnest($1::bigint[], $2::timestamptz[]) as g (trigger_id, at)
             where s.trigger_id = g.trigger_id and s.to_at is null
         )
         insert into timer_span (trigger_id, generation, config, from_at, to_at)
         select * from unnest($3::bigint[], $4::bigint[], $5::jsonb[], $6::timestamptz[], $7::timestamptz[])
         on conflict do nothing",
        &ended_ids,
        &ended_at,
        &ids,
        &generations,
        &configs,
        &from,
        &to as &[Option<DateTime<Utc>>],
    )
    .execute(tx)
    .await
    .map(drop)
}

/// Writes the rows of timers. Each trigger has at most one plan.
pub async fn put_in_force(tx: &mut PgConnection, plans: &[Plan]) -> Result<(), Error> {
    let ids: Vec<i64> = plans.iter().map(|p| p.trigger_id.0).collect();
    let generations: Vec<i64> = plans.iter().map(|p| p.generation).collect();
    let seen: Vec<i64> = plans.iter().map(|p| p.seen_version).collect();
    let configs: Vec<Value> = plans.iter().map(|p| p.config.clone()).collect();
    let enabled: Vec<bool> = plans.iter().map(|p| p.enabled).collect();
    let next_fire: Vec<Option<DateTime<Utc>>> = plans.iter().map(|p| p.next_fire_at).collect();
    let recoveries: Vec<Option<Value>> = plans.iter().map(|p| p.recovery.clone()).collect();
    let accounted: Vec<Option<DateTime<Utc>>> = plans.iter().map(|p| p.progress.accounted_until).collect();
    let last: Vec<Option<DateTime<Utc>>> = plans.iter().map(|p| p.progress.last_scheduled_at).collect();
    let fired: Vec<i64> = plans.iter().map(|p| p.progress.fired).collect();
    let late: Vec<i64> = plans.iter().map(|p| p.progress.late).collect();
    let missed: Vec<i64> = plans.iter().map(|p| p.progress.missed).collect();
    let errors: Vec<Option<String>> = plans.iter().map(|p| p.error.clone()).collect();
    sqlx::query!(
        "insert into timer as m (trigger_id, generation, seen_version, config, enabled, next_fire_at, recovery, settled_at,
                                 last_scheduled_at, fired, late, missed, last_error, error_count, last_fired_at)
         select g.*, (g.last_error is not null)::integer, case when g.fired > 0 then db_now() end
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::jsonb[], $5::boolean[], $6::timestamptz[], $7::jsonb[], $8::timestamptz[],
                     $9::timestamptz[], $10::bigint[], $11::bigint[], $12::bigint[], $13::text[])
             as g (trigger_id, generation, seen_version, config, enabled, next_fire_at, recovery, accounted_until,
                   last_scheduled_at, fired, late, missed, last_error)
         order by g.trigger_id
         on conflict (trigger_id) do update
             set config = excluded.config, generation = excluded.generation,
                 seen_version = excluded.seen_version, enabled = excluded.enabled, next_fire_at = excluded.next_fire_at,
                 recovery = excluded.recovery, settled_at = coalesce(excluded.settled_at, m.settled_at),
                 last_scheduled_at = coalesce(excluded.last_scheduled_at, m.last_scheduled_at),
                 last_fired_at = coalesce(excluded.last_fired_at, m.last_fired_at),
                 fired = m.fired + excluded.fired, late = m.late + excluded.late, missed = m.missed + excluded.missed,
                 last_error = excluded.last_error, error_count = excluded.error_count",
        &ids,
        &generations,
        &seen,
        &configs,
        &enabled,
        &next_fire as &[Option<DateTime<Utc>>],
        &recoveries as &[Option<Value>],
        &accounted as &[Option<DateTime<Utc>>],
        &last as &[Option<DateTime<Utc>>],
        &fired,
        &late,
        &missed,
        &errors as &[Option<String>],
    )
    .execute(tx)
    .await
    .map(drop)
}
