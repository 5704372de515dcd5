//! The inbox of webhooks: received requests and their outcome. Written in batches after the responses, bounded per trigger.

use super::{Error, Span, page::planned};
use attune_domain::{EventId, TriggerId, TriggerRef, occurrence::WebhookVerdict};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many requests of a trigger are stored, and for how long.
const KEPT_MAX: i64 = 1_000;
const KEPT_DAYS: i32 = 7;

/// A request as it was received.
#[derive(Debug, Clone)]
pub struct NewRequest {
    pub id: Uuid,
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub address: Option<String>,
    pub method: String,
    pub query: String,
    pub headers: Value,
    /// The raw bytes, or their beginning.
    pub body: Vec<u8>,
    pub body_bytes: i32,
    pub verdict: WebhookVerdict,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub event_id: Option<EventId>,
    pub redelivery_of: Option<Uuid>,
}

pub async fn insert(pool: &PgPool, requests: &[NewRequest]) -> Result<(), Error> {
    fn column<T>(requests: &[NewRequest], of: impl Fn(&NewRequest) -> T) -> Vec<T> {
        requests.iter().map(of).collect()
    }
    sqlx::query!(
        // Not flushed: the inbox must not cost the events a second commit.
        r#"with unflushed as materialized (select set_config('synchronous_commit', 'off', true))
           insert into webhook_request (id, trigger_id, trigger_ref, address, method, query, headers, body, body_bytes, verdict, reason,
                                        detail, event_id, redelivery_of)
           select given.* from unflushed, unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::bytea[], $9::integer[],
                                $10::text[], $11::text[], $12::text[], $13::uuid[], $14::uuid[]) as given
           on conflict do nothing"#,
        &column(requests, |r| r.id),
        &column(requests, |r| r.trigger_id.0),
        &column(requests, |r| r.trigger_ref.to_string()),
        &column(requests, |r| r.address.clone()) as &[Option<String>],
        &column(requests, |r| r.method.clone()),
        &column(requests, |r| r.query.clone()),
        &column(requests, |r| r.headers.clone()),
        &column(requests, |r| r.body.clone()),
        &column(requests, |r| r.body_bytes),
        &column(requests, |r| r.verdict.as_str().to_owned()),
        &column(requests, |r| r.reason.clone()) as &[Option<String>],
        &column(requests, |r| r.detail.clone()) as &[Option<String>],
        &column(requests, |r| r.event_id.map(|id| id.0)) as &[Option<Uuid>],
        &column(requests, |r| r.redelivery_of) as &[Option<Uuid>],
    )
    .execute(pool)
    .await
    .map(drop)
}

/// A stored request.
#[derive(Debug, Clone)]
pub struct Kept {
    pub id: Uuid,
    pub trigger_ref: TriggerRef,
    pub received_at: DateTime<Utc>,
    pub address: Option<String>,
    pub method: String,
    pub query: String,
    pub headers: Value,
    pub body: Vec<u8>,
    pub body_bytes: i32,
    pub verdict: WebhookVerdict,
    pub reason: Option<String>,
    pub detail: Option<String>,
    pub event_id: Option<EventId>,
    pub redelivery_of: Option<Uuid>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Kept,
            "select id, trigger_ref, received_at, address, method, query, headers, body, body_bytes, verdict, reason, detail, event_id, redelivery_of
             from webhook_request " + $tail,
            $($argument),*
        )
    };
}

/// Selects requests.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub trigger_ref: Option<&'a [String]>,
    pub verdict: Option<&'a [String]>,
}

pub async fn page(pool: &PgPool, filter: &Filter<'_>, span: &Span) -> Result<Vec<Kept>, Error> {
    select!(
        "where id >= $1 and id < $2 and ($3::text[] is null or trigger_ref = any($3)) and ($4::text[] is null or verdict = any($4))
         order by id desc limit $5",
        span.from,
        span.to,
        filter.trigger_ref,
        filter.verdict,
        span.rows()
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

pub async fn get(pool: &PgPool, id: Uuid) -> Result<Option<Kept>, Error> {
    select!("where id = $1", id).fetch_optional(pool).await
}

/// The request that created an event, without what its sender sent.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = ChainRequest)]
pub struct Cause {
    pub id: Uuid,
    pub received_at: DateTime<Utc>,
    pub method: String,
    pub body_bytes: i32,
    /// The stored request that was sent again.
    pub redelivery_of: Option<Uuid>,
}

/// The request that created an event of this trigger; `None` if it is no longer stored.
pub async fn of_event(pool: &PgPool, trigger: &TriggerRef, event: EventId) -> Result<Option<Cause>, Error> {
    sqlx::query_as!(
        Cause,
        "select id, received_at, method, body_bytes, redelivery_of from webhook_request
         where trigger_ref = $1 and event_id = $2 and verdict in ('accepted', 'redelivered') order by id limit 1",
        trigger.as_str(),
        event.0
    )
    .fetch_optional(pool)
    .await
}

/// Removes old requests, and of each trigger all but the newest.
pub async fn purge(pool: &PgPool) -> Result<u64, Error> {
    let old = sqlx::query!(
        "delete from webhook_request where received_at < db_now() - make_interval(days => $1)",
        KEPT_DAYS
    )
    .execute(pool)
    .await?;
    let many = sqlx::query!(
        "delete from webhook_request r using (
             select trigger_ref, (select id from webhook_request n where n.trigger_ref = t.trigger_ref order by id desc offset $1 limit 1) as last
             from (select distinct trigger_ref from webhook_request) t
         ) bound where r.trigger_ref = bound.trigger_ref and r.id <= bound.last",
        KEPT_MAX
    )
    .execute(pool)
    .await?;
    Ok(old.rows_affected() + many.rows_affected())
}
