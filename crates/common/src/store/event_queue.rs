//! Events that wait for their decision.
//!
//! Losing a `claim` is harmless, so it commits asynchronously. [`super::decision::write`] removes an event from its queue.

use super::{Error, bounds, recent};
use attune_domain::{EventId, TriggerId, TriggerRef, chain::Chain, occurrence::EventSource};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgExecutor, PgPool, postgres::types::PgInterval};
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

/// Attempts in a batch, and then alone, before an event is quarantined.
pub const TRIES_IN_BATCH: i16 = 2;
pub const TRIES_ALONE: i16 = 5;

#[derive(Debug, Clone)]
pub struct Claimed {
    pub event_id: EventId,
    pub tries: i16,
    /// None if not read yet, or removed by retention.
    pub event: Option<EventRow>,
}

/// The part of an event that rules can read.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub id: EventId,
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub source: EventSource,
    pub payload: Value,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    pub trace_id: Uuid,
    pub chain: Chain,
}

/// Claims up to `limit` due events that are not leased, oldest first, and reads them.
///
/// One statement and no flush: `set_config` makes this commit asynchronous, because losing it only means that the event is
/// claimed again.
///
/// Tried: reading the events in a separate statement, by the claimed ids. That costs a round trip in every decision.
/// Here they are read from the partitions of the last hours only, and [`load`] reads the rest. The `limit` keeps the
/// lookup by key, whatever number of rows PostgreSQL estimates.
pub async fn claim(db: impl PgExecutor<'_>, limit: i64, lease: Duration) -> Result<Vec<Claimed>, Error> {
    let (low, high) = recent();
    let rows = sqlx::query!(
        r#"with picked as materialized (
             select event_id from event_queue
             where run_at <= db_now() and (lease_until is null or lease_until < db_now())
               and quarantined_at is null and tries < $3
               and (select set_config('synchronous_commit', 'off', true)) = 'off'
             order by event_id limit $1 for update skip locked
         ),
         taken as (
             update event_queue q set tries = q.tries + 1, lease_until = db_now() + $2::interval
             where q.event_id = any(array(select event_id from picked))
             returning q.event_id, q.tries
         )
         select t.event_id as "event_id!: EventId", t.tries as "tries!", e.trigger_id as "trigger_id?: TriggerId", e.trigger_ref as "trigger_ref?: TriggerRef",
                e.source as "source?: EventSource", e.payload as "payload?", e.scheduled_at as "scheduled_at?",
                e.received_at as "received_at?", e.trace_id as "trace_id?", e.chain as "chain?"
         from taken t
         left join lateral (select * from event where id = t.event_id and id between $4 and $5 limit 1) e on true
         order by t.event_id"#,
        limit,
        interval(lease),
        TRIES_IN_BATCH,
        low,
        high
    )
    .fetch_all(db)
    .await?;
    let read = rows.into_iter().map(|row| Claimed {
        event_id: row.event_id,
        tries: row.tries,
        event: (|| {
            Some(EventRow {
                id: row.event_id,
                trigger_id: row.trigger_id?,
                trigger_ref: row.trigger_ref?,
                source: row.source?,
                payload: row.payload?,
                scheduled_at: row.scheduled_at,
                received_at: row.received_at?,
                trace_id: row.trace_id?,
                chain: row.chain,
            })
        })(),
    });
    Ok(read.collect())
}

/// Claims one event that has already failed in a batch, so that it cannot fail others. Each suspect is retried alone
/// once before any is retried twice. One that failed alone too often is quarantined.
pub async fn claim_suspect(pool: &PgPool, lease: Duration) -> Result<Option<Claimed>, Error> {
    sqlx::query!(
        "with exhausted as materialized (
             select event_id from event_queue
             where quarantined_at is null and tries >= $1 and (lease_until is null or lease_until < db_now())
             order by event_id for update skip locked
         ),
         quarantined as (
             update event_queue q set quarantined_at = db_now(), lease_until = null,
                 last_error = coalesce(last_error, 'its decision never ended: the executor crashed or hung')
             where q.event_id = any(array(select event_id from exhausted))
             returning q.event_id, q.tries, q.last_error
         )
         select count(event_quarantined(event_id, tries, last_error)) from quarantined",
        TRIES_IN_BATCH + TRIES_ALONE
    )
    .fetch_one(pool)
    .await?;
    let suspect = sqlx::query!(
        "with picked as materialized (
             select event_id from event_queue
             where run_at <= db_now() and (lease_until is null or lease_until < db_now())
               and quarantined_at is null and tries >= $2
             order by tries, event_id limit 1 for update skip locked
         )
         update event_queue q set tries = q.tries + 1, lease_until = db_now() + $1::interval
         from picked where q.event_id = picked.event_id
         returning q.event_id, q.tries",
        interval(lease),
        TRIES_IN_BATCH
    )
    .fetch_optional(pool)
    .await?;
    Ok(suspect.map(|row| Claimed {
        event_id: row.event_id,
        tries: row.tries,
        event: None,
    }))
}

/// Reads the claimed events that were not read with the claim. The bounds restrict PostgreSQL to the partitions of these ids.
pub async fn load(pool: &PgPool, claimed: &mut [Claimed]) -> Result<(), Error> {
    let missing = claimed.iter().filter(|claim| claim.event.is_none());
    let ids: Vec<Uuid> = missing.map(|claim| claim.event_id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let (low, high) = bounds(&ids);
    let mut read: HashMap<EventId, EventRow> = sqlx::query_as!(
        EventRow,
        "select id, trigger_id, trigger_ref, source, payload, scheduled_at, received_at, trace_id, chain
         from event where id = any($1) and id between $2 and $3",
        &ids,
        low,
        high
    )
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|event| (event.id, event))
    .collect();
    for claim in claimed.iter_mut().filter(|claim| claim.event.is_none()) {
        claim.event = read.remove(&claim.event_id);
    }
    Ok(())
}

/// Releases claimed events, because the database refused the decision or this executor shuts down. `tried`: the attempt
/// counts. An event whose row another session has locked does not block the others.
pub async fn give_back(pool: &PgPool, claimed: &[Claimed], tried: bool, error: Option<&str>) -> Result<(), Error> {
    let ids: Vec<Uuid> = claimed.iter().map(|event| event.event_id.0).collect();
    let at: Vec<i16> = claimed.iter().map(|event| event.tries).collect();
    let given = sqlx::query!(
        "with mine as materialized (
             select q.event_id from unnest($1::uuid[], $2::smallint[]) as d (event_id, tries)
             join event_queue q on q.event_id = d.event_id and q.tries = d.tries
             where q.event_id = any($1) and q.quarantined_at is null
             order by q.event_id for update of q skip locked
         )
         update event_queue q set lease_until = null, tries = q.tries - $3, last_error = coalesce($4, q.last_error)
         where q.event_id = any(array(select event_id from mine))",
        &ids,
        &at,
        i16::from(!tried),
        error
    )
    .execute(pool)
    .await?;
    if given.rows_affected() == ids.len() as u64 {
        return Ok(());
    }
    // The lock is usually held by our own transaction, which is being rolled back: wait for the rest.
    sqlx::query!(
        "update event_queue q
         set lease_until = null, tries = q.tries - $3, last_error = coalesce($4, q.last_error)
         from unnest($1::uuid[], $2::smallint[]) as d (event_id, tries)
         where q.event_id = d.event_id and q.tries = d.tries and q.quarantined_at is null",
        &ids,
        &at,
        i16::from(!tried),
        error
    )
    .execute(pool)
    .await
    .map(drop)
}

/// The number of waiting events, the age of the oldest, and the number of quarantined events.
#[derive(Debug)]
pub struct Depth {
    pub pending: i64,
    pub oldest_seconds: f64,
    pub quarantined: i64,
}

pub async fn depth(pool: &PgPool) -> Result<Depth, Error> {
    sqlx::query_as!(
        Depth,
        r#"select count(*) filter (where quarantined_at is null) as "pending!",
                  coalesce(extract(epoch from db_now() - min(run_at) filter (where quarantined_at is null)), 0)::float8 as "oldest_seconds!",
                  count(quarantined_at) as "quarantined!"
           from event_queue"#
    )
    .fetch_one(pool)
    .await
}

/// The age of the oldest event that the next batch claims, without suspects, which may never leave. Reads only the
/// first hundred, because this is queried while a million wait.
pub async fn oldest_seconds(db: impl PgExecutor<'_>) -> Result<f64, Error> {
    sqlx::query_scalar!(
        r#"select coalesce(extract(epoch from db_now() - min(run_at)), 0)::float8 as "seconds!"
           from (select run_at from event_queue where quarantined_at is null and tries < $1 order by event_id limit 100) next"#,
        TRIES_IN_BATCH
    )
    .fetch_one(db)
    .await
}

pub(super) fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
