//! The inbox of webhooks: the requests, their verdicts, and their events. An editor can redeliver a stored request,
//! whatever its verdict was.

use crate::{
    answer::{List, One},
    api::Api,
    audit,
    auth::Caller,
    known,
    problem::Problem,
    request::{
        Body, Id, OneOf, Query, Texts, form,
        idempotency::{Begun, IdempotencyKey},
        query,
    },
    routes::event as events,
    webhook::{Endpoint, rebuild_payload},
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
    EventId, TriggerRef,
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

type Verdicts = OneOf<WebhookVerdict>;

form! {
    pub struct RequestFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        trigger_ref: Option<Texts>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        verdict: Option<Verdicts>,
        /// A time, a date (its midnight in UTC), or an age: `2026-11-30T10:00:00+02:00`, `2026-11-30`, `24h`, `7d`.
        #[schema(value_type = Option<String>)]
        since: Option<Moment>,
        /// Like `since`, but exclusive.
        #[schema(value_type = Option<String>)]
        until: Option<Moment>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<Uuid>,
    }
}

form! {
    pub struct Nothing {}
}

/// A stored request to a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookRequest {
    id: Uuid,
    #[schema(value_type = String)]
    trigger_ref: TriggerRef,
    received_at: DateTime<Utc>,
    /// The address of the sender.
    address: Option<String>,
    method: String,
    query: String,
    /// Headers that prove an identity are hidden.
    headers: Value,
    /// The raw body, if it is text.
    body: Option<String>,
    /// The raw body in base64, if it is not text.
    body_base64: Option<String>,
    body_bytes: i32,
    /// Only the beginning of the body is stored.
    body_cut: bool,
    verdict: WebhookVerdict,
    /// Why it was rejected, as a code.
    reason: Option<String>,
    /// Why it was rejected, as a sentence.
    detail: Option<String>,
    /// The event of the request; for a duplicate, the first event.
    event_id: Option<EventId>,
    /// The request that was redelivered.
    redelivery_of: Option<Uuid>,
}

impl From<Kept> for WebhookRequest {
    fn from(stored: Kept) -> Self {
        let body_cut = is_cut(&stored);
        let (body, body_base64) = match String::from_utf8(stored.body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.into_bytes()))),
        };
        Self {
            id: stored.id,
            trigger_ref: stored.trigger_ref,
            received_at: stored.received_at,
            address: stored.address,
            method: stored.method,
            query: stored.query,
            headers: stored.headers,
            body,
            body_base64,
            body_bytes: stored.body_bytes,
            body_cut,
            verdict: stored.verdict,
            reason: stored.reason,
            detail: stored.detail,
            event_id: stored.event_id,
            redelivery_of: stored.redelivery_of,
        }
    }
}

fn is_cut(stored: &Kept) -> bool {
    i32::try_from(stored.body.len()).is_ok_and(|bytes| bytes < stored.body_bytes)
}

pub async fn list(
    State(api): State<Api>,
    Query(params): Query<RequestFilter>,
) -> Result<List<WebhookRequest>, Problem> {
    let span = query::span(params.limit, params.cursor)
        .since(query::past(params.since))
        .until(query::past(params.until));
    known::check(
        &api.pool,
        &[("trigger_ref", Noun::Trigger, params.trigger_ref.as_ref())],
    )
    .await?;
    let verdict = params.verdict.map(|any| any.texts());
    let filter = webhook_inbox::Filter {
        trigger_ref: params.trigger_ref.as_ref().map(|any| any.0.as_slice()),
        verdict: verdict.as_deref(),
    };
    let rows = webhook_inbox::page(&api.pool, &filter, &span).await?;
    let views = rows.into_iter().map(WebhookRequest::from).collect();
    Ok(List::of(views, span.limit, |view| view.id.to_string()))
}

pub async fn get(State(api): State<Api>, Id(id): Id<Uuid>) -> Result<One<WebhookRequest>, Problem> {
    Ok(One::new(find(&api, id).await?.into()))
}

async fn find(api: &Api, id: Uuid) -> Result<Kept, Problem> {
    webhook_inbox::get(&api.pool, id)
        .await?
        .ok_or_else(|| Problem::not_found("webhook request", id))
}

/// Creates a new event from a stored request. It is not verified again, and duplicates are not detected.
pub async fn redeliver(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<Uuid>,
    key: IdempotencyKey,
    body: Body<Nothing>,
) -> Result<Response, Problem> {
    let key = key.of(body.hash, &id.to_string());
    let stored = find(&api, id).await?;
    let trigger = trigger::get(&api.pool, &Key::Ref(stored.trigger_ref.to_string())).await?;
    let trigger = trigger.filter(|trigger| trigger.kind == TriggerKind::Webhook);
    let trigger =
        trigger.ok_or_else(|| Problem::conflict("gone", format!("the webhook {} was deleted", stored.trigger_ref)))?;
    let payload = payload(&api, &trigger, &stored).await?;
    let new = events::new(&trigger, EventSource::Webhook, payload);
    let mut tx = match key.begin(&api).await? {
        Begun::First(tx) => tx,
        Begun::Repeat(answer) => return events::repeated(&api, &answer).await,
    };
    let (accepted, event) = events::accept(&mut tx, &new).await?;
    key.remember(&mut tx, &json!({"event_id": accepted.event_id})).await?;
    audit::note(&mut tx, &caller, "redeliver", &format!("webhook request {id}")).await?;
    tx.commit().await?;
    announce_new(&*api.bus, &[new], &[accepted]);
    api.webhooks.inbox.store(NewRequest {
        id: EventId::random(clock::now(), rand::random()).0,
        trigger_id: trigger.id,
        trigger_ref: trigger.r#ref.clone(),
        address: caller.address.clone(),
        method: stored.method,
        query: stored.query,
        headers: stored.headers,
        body: stored.body,
        body_bytes: stored.body_bytes,
        verdict: WebhookVerdict::Redelivered,
        reason: None,
        detail: Some(format!("by {}", caller.actor())),
        event_id: Some(accepted.event_id),
        redelivery_of: Some(id),
    });
    Ok(events::answer(accepted, event))
}

async fn payload(api: &Api, trigger: &Trigger, stored: &Kept) -> Result<Value, Problem> {
    if is_cut(stored) {
        // Its event contains the complete payload.
        let made = match stored.event_id {
            Some(event_id) => event::get(&api.pool, event_id).await?,
            None => None,
        };
        let made = made.ok_or_else(|| {
            let detail = "only the beginning of the body is stored; the sender has to send it again";
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
        let detail = "the webhook is misconfigured";
        Problem::conflict("misconfigured", detail)
    })?;
    let body = Bytes::copy_from_slice(&stored.body);
    rebuild_payload(&config, &stored.method, &stored.headers, &stored.query, &body).await
}
