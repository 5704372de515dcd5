//! The inbox of webhooks: what came, whether it was genuine or why not, and what it became. An editor can let a kept
//! request through, whatever was said of it.

use crate::{
    answer::{List, One},
    api::Api,
    audit,
    auth::Caller,
    known,
    problem::Problem,
    request::{
        Body, Id, OneOf, Query, form,
        idempotency::{Begun, IdempotencyKey},
        query,
    },
    routes::{event as events, webhook::payload_again},
    webhook::Endpoint,
};
use attune_common::{
    clock,
    ingest::announce_new,
    store::{
        event,
        known::Noun,
        trigger, webhook,
        webhook_inbox::{self, Kept, NewRequest},
    },
};
use attune_domain::{
    EventId,
    definition::{Trigger, TriggerKind},
    moment::Moment,
    occurrence::{EventSource, WebhookVerdict},
    reference::Key,
};
use axum::{body::Bytes, extract::State, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

form! {
    pub struct RequestFilter {
        /// One, or several with commas.
        #[schema(inline)]
        trigger_ref: Option<OneOf<String>>,
        /// One, or several with commas.
        #[schema(inline)]
        verdict: Option<OneOf<WebhookVerdict>>,
        /// A time, a date (its midnight in UTC), or how long ago: `2026-11-30T10:00:00+02:00`, `2026-11-30`, `24h`, `7d`.
        #[schema(value_type = Option<String>)]
        since: Option<Moment>,
        /// Like `since`, and exclusive.
        #[schema(value_type = Option<String>)]
        until: Option<Moment>,
        limit: u16 = 50,
        cursor: Option<Uuid>,
    }
}

form! {
    pub struct Nothing {}
}

/// A request to a webhook, as it was kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookRequest {
    id: Uuid,
    trigger_ref: String,
    received_at: DateTime<Utc>,
    /// Where it came from.
    address: Option<String>,
    method: String,
    query: String,
    /// Those that prove an identity by themselves are hidden.
    headers: Value,
    /// The raw body, when it is text.
    body: Option<String>,
    /// The raw body, when it is not.
    body_base64: Option<String>,
    body_bytes: i32,
    /// Only the beginning of the body was kept.
    body_cut: bool,
    verdict: WebhookVerdict,
    /// Why it was rejected, in one word and in a sentence.
    reason: Option<String>,
    detail: Option<String>,
    /// The event it became; of a duplicate the first event.
    event_id: Option<EventId>,
    redelivery_of: Option<Uuid>,
}

impl From<Kept> for WebhookRequest {
    fn from(kept: Kept) -> Self {
        let body_cut = is_cut(&kept);
        let (body, body_base64) = match String::from_utf8(kept.body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.into_bytes()))),
        };
        Self {
            id: kept.id,
            trigger_ref: kept.trigger_ref,
            received_at: kept.received_at,
            address: kept.address,
            method: kept.method,
            query: kept.query,
            headers: kept.headers,
            body,
            body_base64,
            body_bytes: kept.body_bytes,
            body_cut,
            verdict: kept.verdict,
            reason: kept.reason,
            detail: kept.detail,
            event_id: kept.event_id,
            redelivery_of: kept.redelivery_of,
        }
    }
}

fn is_cut(kept: &Kept) -> bool {
    i32::try_from(kept.body.len()).is_ok_and(|bytes| bytes < kept.body_bytes)
}

pub async fn list(State(api): State<Api>, Query(asked): Query<RequestFilter>) -> Result<List<WebhookRequest>, Problem> {
    let span = query::span(asked.limit, asked.cursor)?
        .since(query::past(asked.since))
        .until(query::past(asked.until));
    known::check(&api.pool, &[("trigger_ref", Noun::Trigger, asked.trigger_ref.as_ref())]).await?;
    let verdict = asked.verdict.map(|any| any.texts());
    let filter = webhook_inbox::Filter {
        trigger_ref: asked.trigger_ref.as_ref().map(|any| any.0.as_slice()),
        verdict: verdict.as_deref(),
    };
    let rows = webhook_inbox::page(&api.pool, &filter, &span).await?;
    let views = rows.into_iter().map(WebhookRequest::from).collect();
    Ok(List::of(views, span.limit, |view| view.id.to_string()))
}

pub async fn get(State(api): State<Api>, Id(id): Id<Uuid>) -> Result<One<WebhookRequest>, Problem> {
    Ok(One::new(found(&api, id).await?.into()))
}

async fn found(api: &Api, id: Uuid) -> Result<Kept, Problem> {
    webhook_inbox::get(&api.pool, id)
        .await?
        .ok_or_else(|| Problem::not_found("webhook request", id))
}

/// Makes a new event of a kept request: not verified, not compared with what came before.
pub async fn redeliver(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<Uuid>,
    key: IdempotencyKey,
    body: Body<Nothing>,
) -> Result<Response, Problem> {
    let key = key.of(body.hash, &id.to_string());
    let kept = found(&api, id).await?;
    let trigger = trigger::get(&api.pool, &Key::Ref(kept.trigger_ref.clone())).await?;
    let trigger = trigger.filter(|trigger| trigger.kind == TriggerKind::Webhook);
    let trigger =
        trigger.ok_or_else(|| Problem::conflict("gone", format!("the webhook {} is gone", kept.trigger_ref)))?;
    let payload = payload(&api, &trigger, &kept).await?;
    let new = events::new(&trigger, EventSource::Webhook, payload, None);
    let mut tx = match key.begin(&api).await? {
        Begun::First(tx) => tx,
        Begun::Repeat(answer) => return events::repeated(&api, &answer).await,
    };
    let (accepted, event) = events::accept(&mut tx, &new).await?;
    key.remember(&mut tx, &json!({"event_id": accepted.event_id})).await?;
    audit::note(&mut tx, &caller, "redeliver", &format!("webhook request {id}")).await?;
    tx.commit().await?;
    announce_new(&*api.bus, &[new], &[accepted]);
    api.webhooks.inbox.keep(NewRequest {
        id: EventId::random(clock::now(), rand::random()).0,
        trigger_id: trigger.id,
        trigger_ref: trigger.r#ref.clone(),
        address: caller.address.clone(),
        method: kept.method,
        query: kept.query,
        headers: kept.headers,
        body: kept.body,
        body_bytes: kept.body_bytes,
        verdict: WebhookVerdict::Redelivered,
        reason: None,
        detail: Some(format!("by {}", caller.actor())),
        event_id: Some(accepted.event_id),
        redelivery_of: Some(id),
    });
    Ok(events::answer(accepted, event))
}

async fn payload(api: &Api, trigger: &Trigger, kept: &Kept) -> Result<Value, Problem> {
    if is_cut(kept) {
        // The event that it became holds all of it.
        let made = match kept.event_id {
            Some(event_id) => event::get(&api.pool, event_id).await?,
            None => None,
        };
        let made = made.ok_or_else(|| {
            let detail = "only the beginning of its body was kept: ask the sender for it";
            Problem::conflict("body_cut", detail)
        })?;
        return Ok(made.payload);
    }
    let row = webhook::Endpoint {
        trigger_id: trigger.id,
        trigger_ref: trigger.r#ref.clone(),
        config: trigger.config.clone(),
        enabled: trigger.enabled,
    };
    let config = Endpoint::read(row, &api.webhooks.sealer).config;
    let config = config.map_err(|_| {
        let detail = "the webhook cannot be used until somebody mends its configuration";
        Problem::conflict("misconfigured", detail)
    })?;
    let body = Bytes::copy_from_slice(&kept.body);
    payload_again(&config, &kept.method, &kept.headers, &kept.query, &body).await
}
