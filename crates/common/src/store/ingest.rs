//! Inserts events: T1' of the design, and the event part of T1.

use super::Error;
use attune_domain::{EventId, TriggerId, TriggerRef, occurrence::EventSource};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// An event to insert.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub id: EventId,
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub source: EventSource,
    pub payload: Value,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub trace_id: Uuid,
    pub dedup: Option<Dedup>,
    /// The definitions counter that its trigger was read at. If the counter has changed, the event is not written.
    pub definitions: Option<i64>,
}

/// A key of the caller: within its window, at most the retention of events, a repeat is answered with the first event's id.
#[derive(Debug, Clone)]
pub struct Dedup {
    pub key: [u8; 32],
    pub window_seconds: i64,
}

/// The outcome for one event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The event's id, or that of the first event with the same key.
    pub event_id: EventId,
    pub duplicate: bool,
    /// Not written, because the definitions have changed.
    pub outdated: bool,
    /// Of an event that is written now.
    pub received_at: Option<DateTime<Utc>>,
}

/// Inserts events and their queue rows, in one statement. An existing id is left unchanged, so a repeat is harmless.
/// Keys must be different within a batch. The answers are in the order of the events.
pub async fn insert<'e>(db: impl PgExecutor<'e>, events: &[NewEvent]) -> Result<Vec<Accepted>, Error> {
    let columns = Columns::of(events);
    let rows = sqlx::query!(
        r#"with given as materialized (
            select g.*, coalesce(counter <> (select version from definitions), false) as outdated
            from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::timestamptz[], $7::uuid[], $8::bytea[], $9::bigint[],
                        $10::bigint[])
                with ordinality as g (id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id, key, window_seconds, counter, place)
        ),
        won as (
            insert into event_dedup as d (trigger_id, key, event_id, expires_at)
            select trigger_id, key, id, db_now() + least(make_interval(secs => window_seconds),
                   make_interval(days => (select keep_days from partitioned_table where name = 'event')))
            from given where key is not null and not outdated order by trigger_id, key
            on conflict (trigger_id, key) do update
                set event_id = excluded.event_id, created_at = excluded.created_at, expires_at = excluded.expires_at
                where d.expires_at <= db_now()
            returning event_id
        ),
        fresh as (
            insert into event (id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id)
            select id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id from given
            where not outdated and (key is null or id in (select event_id from won)) order by id
            on conflict do nothing
            returning id, received_at
        ),
        queued as (
            insert into event_queue (event_id) select id from fresh order by id on conflict do nothing
        )
        select g.id as "id!: EventId", g.outdated as "outdated!", f.received_at as "received_at?", d.event_id as "first?: EventId"
        from given g
        left join fresh f on f.id = g.id
        left join event_dedup d on f.id is null and not g.outdated and d.trigger_id = g.trigger_id and d.key = g.key and d.expires_at > db_now()
        order by g.place"#,
        &columns.ids,
        &columns.trigger_ids,
        &columns.trigger_refs,
        &columns.sources,
        &columns.payloads,
        &columns.scheduled as &[Option<DateTime<Utc>>],
        &columns.traces,
        &columns.keys as &[Option<Vec<u8>>],
        &columns.windows as &[Option<i64>],
        &columns.counters as &[Option<i64>],
    )
    .fetch_all(db)
    .await?;
    // If no first event is visible, a concurrent transaction has just written it: `resolve_duplicate` finds it.
    Ok(rows
        .into_iter()
        .map(|row| Accepted {
            event_id: row.first.unwrap_or(row.id),
            duplicate: !row.outdated && row.received_at.is_none(),
            outdated: row.outdated,
            received_at: row.received_at,
        })
        .collect())
}

#[derive(Debug, Default)]
pub(super) struct Columns {
    pub ids: Vec<Uuid>,
    pub trigger_ids: Vec<i64>,
    pub trigger_refs: Vec<String>,
    pub sources: Vec<String>,
    pub payloads: Vec<Value>,
    pub scheduled: Vec<Option<DateTime<Utc>>>,
    pub traces: Vec<Uuid>,
    pub keys: Vec<Option<Vec<u8>>>,
    pub windows: Vec<Option<i64>>,
    pub counters: Vec<Option<i64>>,
}

impl Columns {
    pub fn of(events: &[NewEvent]) -> Self {
        let mut columns = Self::default();
        for event in events {
            columns.push(event);
        }
        columns
    }

    fn push(&mut self, event: &NewEvent) {
        self.ids.push(event.id.0);
        self.trigger_ids.push(event.trigger_id.0);
        self.trigger_refs.push(event.trigger_ref.to_string());
        self.sources.push(event.source.as_str().to_owned());
        self.payloads.push(event.payload.clone());
        self.scheduled.push(event.scheduled_at);
        self.traces.push(event.trace_id);
        self.keys.push(event.dedup.as_ref().map(|dedup| dedup.key.to_vec()));
        self.windows
            .push(event.dedup.as_ref().map(|dedup| dedup.window_seconds));
        self.counters.push(event.definitions);
    }
}

/// Resolves an event whose key was taken by a concurrent transaction: a new statement sees the first event. If the key's
/// window has ended meanwhile, the event is inserted.
pub async fn resolve_duplicate(
    connection: &mut PgConnection,
    event: &NewEvent,
    mut accepted: Accepted,
) -> Result<Accepted, Error> {
    while let Some(dedup) = &event.dedup
        && accepted.duplicate
        && accepted.event_id == event.id
    {
        if let Some(event_id) = first_with_key(&mut *connection, event.trigger_id, &dedup.key).await? {
            return Ok(Accepted { event_id, ..accepted });
        }
        if let [again] = insert(&mut *connection, std::slice::from_ref(event)).await?[..] {
            accepted = again;
        }
    }
    Ok(accepted)
}

/// The first event with a key whose window has not ended.
async fn first_with_key<'e>(
    db: impl PgExecutor<'e>,
    trigger: TriggerId,
    key: &[u8; 32],
) -> Result<Option<EventId>, Error> {
    sqlx::query_scalar!(
        "select event_id from event_dedup where trigger_id = $1 and key = $2 and expires_at > db_now()",
        trigger.0,
        key.as_slice()
    )
    .fetch_optional(db)
    .await
}
