//! The writes of a tick: the events that fire and the new state of their timers.

use super::{
    Error, PgConnection,
    ingest::{Columns, NewEvent},
};
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::Value;

/// The occurrences that a tick has processed.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub accounted_until: Option<DateTime<Utc>>,
    pub last_scheduled_at: Option<DateTime<Utc>>,
    pub fired: i64,
    /// How many of those were later than their grace period.
    pub late: i64,
    pub missed: i64,
}

/// The state of a timer after a tick.
#[derive(Debug, Clone)]
pub struct Advance {
    pub trigger_id: TriggerId,
    pub next_fire_at: Option<DateTime<Utc>>,
    pub recovery: Option<Value>,
    pub progress: Progress,
    /// It could not be computed. The timer is in error, with the reason.
    pub error: Option<String>,
}

/// Inserts events with their queue rows and advances their timers, in one statement, because every round trip before
/// the commit delays the tick. Existing events are left unchanged. The events are sorted by id.
pub async fn write(tx: &mut PgConnection, events: &[NewEvent], advances: &[Advance]) -> Result<(), Error> {
    let events = Columns::of(events);
    let column = |value: fn(&Advance) -> Option<DateTime<Utc>>| advances.iter().map(value).collect::<Vec<_>>();
    let ids: Vec<i64> = advances.iter().map(|a| a.trigger_id.0).collect();
    let recoveries: Vec<Option<Value>> = advances.iter().map(|a| a.recovery.clone()).collect();
    let fired: Vec<i64> = advances.iter().map(|a| a.progress.fired).collect();
    let late: Vec<i64> = advances.iter().map(|a| a.progress.late).collect();
    let missed: Vec<i64> = advances.iter().map(|a| a.progress.missed).collect();
    let errors: Vec<Option<String>> = advances.iter().map(|a| a.error.clone()).collect();
    sqlx::query!(
        "with fresh as (
             insert into event (id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id)
             select * from unnest($10::uuid[], $11::bigint[], $12::text[], $13::text[], $14::jsonb[], $15::timestamptz[], $16::uuid[])
                 as g (id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id)
             order by id
             on conflict do nothing
             returning id
         ),
         queued as (
             insert into event_queue (event_id) select id from fresh order by id on conflict do nothing
         )
         update timer m
         set next_fire_at = a.next_fire_at, settled_at = coalesce(a.accounted_until, m.settled_at), recovery = a.recovery,
             last_scheduled_at = coalesce(a.last_scheduled_at, m.last_scheduled_at),
             last_fired_at = case when a.fired > 0 then db_now() else m.last_fired_at end,
             fired = m.fired + a.fired, late = m.late + a.late, missed = m.missed + a.missed,
             last_error = a.error, error_count = case when a.error is null then 0 else m.error_count + 1 end
         from unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::jsonb[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::text[], $9::bigint[])
             as a (trigger_id, next_fire_at, accounted_until, recovery, last_scheduled_at, fired, missed, error, late)
         where m.trigger_id = a.trigger_id",
        &ids,
        &column(|a| a.next_fire_at) as &[Option<DateTime<Utc>>],
        &column(|a| a.progress.accounted_until) as &[Option<DateTime<Utc>>],
        &recoveries as &[Option<Value>],
        &column(|a| a.progress.last_scheduled_at) as &[Option<DateTime<Utc>>],
        &fired,
        &missed,
        &errors as &[Option<String>],
        &late,
        &events.ids,
        &events.trigger_ids,
        &events.trigger_refs,
        &events.sources,
        &events.payloads,
        &events.scheduled as &[Option<DateTime<Utc>>],
        &events.traces,
    )
    .execute(tx)
    .await
    .map(drop)
}
