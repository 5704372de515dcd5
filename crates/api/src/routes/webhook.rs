//! Webhooks: a request from outside becomes an event, once it is known to be genuine.
//!
//! The order is the point: address, method, size, signature over the raw bytes, rate, and only then is the body read.
//! A refusal costs neither a statement nor the parsing of what was sent, and what is kept of refusals is bounded.

use crate::{
    answer::One,
    api::Api,
    client::Client,
    problem::Problem,
    request::{
        Id, body,
        room::{Sender, Share},
    },
    router::REQUEST,
    webhook::{Endpoint, Outcome, Refusal, decoded, handshake, unreadable, value_of, wait},
};
use attune_common::{
    clock,
    ingest::IngestError,
    store::{
        ingest::{Accepted, Dedup, NewEvent},
        webhook::RuleFailure,
        webhook_inbox::NewRequest,
    },
};
use attune_domain::{
    EventId,
    occurrence::{EventSource, WebhookVerdict},
    webhook::{Headers, WebhookConfig, challenge, dedup_key, payload, query, shown_headers, verify},
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::ToSchema;

/// So much of a body is kept for people, when its event was made and holds it, and when there is none.
const KEPT_WITH_EVENT: usize = 16 * 1024;
const KEPT_ALONE: usize = 64 * 1024;
/// A sender that takes longer is given up.
const BODY_WITHIN: Duration = Duration::from_secs(8);
const QUERY_KEPT: usize = 4 * 1024;
/// An answer has to be on its way before the request's own time is over.
const WAIT_MAX: Duration = Duration::from_secs(29);

#[derive(Debug, Serialize, ToSchema)]
pub struct Received {
    /// The event; of a repeat the first one.
    event_id: EventId,
    /// Only where the trigger waits: has everything ended that follows from the event?
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executions: Option<Vec<Outcome>>,
    /// Rules that matched and led to no execution, each with its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules_failed: Option<Vec<RuleFailure>>,
}

enum Failure {
    Refused(Refusal),
    /// Not the sender's fault: nothing is kept, and the same request may be sent again.
    Ours(Problem),
}

/// A genuine request is an event, or asks whether this is the right address.
enum Taken {
    Event(Accepted),
    /// It gets this answer.
    Challenge(Response),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<IngestError> for Failure {
    fn from(error: IngestError) -> Self {
        Self::Ours(error.into())
    }
}

pub async fn receive(State(api): State<Api>, Id(key): Id<String>, request: Request) -> Result<Response, Problem> {
    let started = Instant::now();
    let taken_by = started + REQUEST;
    let (parts, body) = request.into_parts();
    let client = parts.extensions.get::<Client>().copied();
    let sender = client.map(Client::counted).unwrap_or_default();
    let found = find(&api, &key, &sender);
    let endpoint = timeout_at(taken_by, found)
        .await
        .map_err(|_| Problem::late(REQUEST))??;
    if let Some(share) = parts.extensions.get::<Share>() {
        share.is_of(Sender::Webhook);
    }
    let caller = format!("{} {sender}", endpoint.trigger_id);
    if !api.webhooks.refused.has_left(&caller) {
        return Err(refuse(&too_many_refused()));
    }
    let mut arrival = Arrival::new(endpoint.clone(), &parts, client);
    let taken = timeout_at(taken_by, take(&api, &mut arrival, &parts, body)).await;
    match taken.unwrap_or_else(|_| Err(Failure::Ours(Problem::late(REQUEST)))) {
        Ok(Taken::Challenge(response)) => {
            api.webhooks.inbox.keep(NewRequest {
                reason: Some("url_verification".to_owned()),
                detail: Some("the sender's handshake: it was answered and created no event".to_owned()),
                ..arrival.keep(WebhookVerdict::Accepted, None, KEPT_ALONE)
            });
            Ok(response)
        }
        Ok(Taken::Event(accepted)) => {
            let verdict = if accepted.duplicate {
                WebhookVerdict::Duplicate
            } else {
                WebhookVerdict::Accepted
            };
            let kept = arrival.keep(verdict, Some(accepted.event_id), KEPT_WITH_EVENT);
            api.webhooks.inbox.keep(kept);
            answer(&api, &endpoint, accepted, started).await
        }
        Err(Failure::Ours(problem)) => Err(problem),
        Err(Failure::Refused(refusal)) => {
            api.webhooks.refused.take(&caller);
            if api.webhooks.kept.take(&endpoint.trigger_ref) {
                let kept = NewRequest {
                    reason: Some(refusal.reason.to_owned()),
                    detail: Some(refusal.detail.clone()),
                    ..arrival.keep(WebhookVerdict::Rejected, None, KEPT_ALONE)
                };
                api.webhooks.inbox.keep(kept);
            }
            let allowed = endpoint.config.as_ref().ok().filter(|_| refusal.reason == "method");
            let mut response = refuse(&refusal).into_response();
            if let Some(allowed) = allowed.and_then(|config| config.methods.join(", ").parse().ok()) {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
            Ok(response)
        }
    }
}

/// The webhook at an address. A client that guessed too often is not even told that there is none; at an address that
/// leads somewhere it is served like any other.
async fn find(api: &Api, key: &str, sender: &str) -> Result<Arc<Endpoint>, Problem> {
    let webhooks = &api.webhooks;
    if let Some(endpoint) = webhooks.endpoints.recall(key) {
        return Ok(endpoint);
    }
    // Before it is known whether it is a guess: guesses at once must not slip through.
    let allowed = webhooks.refused.take(sender);
    let known = (!allowed).then_some(&webhooks.known);
    let found = webhooks.endpoints.find(&api.pool, &webhooks.sealer, key, known).await?;
    match found {
        Some(endpoint) => {
            if allowed {
                webhooks.refused.give_back(sender);
            }
            Ok(endpoint)
        }
        None if allowed => {
            let detail = "there is no webhook at this address";
            Err(refuse(&Refusal::new(StatusCode::NOT_FOUND, "not_found", detail)))
        }
        None => Err(refuse(&too_many_refused())),
    }
}

fn too_many_refused() -> Refusal {
    let detail = "too many requests from here were refused: wait 5 seconds, and look at the reasons of the first ones";
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_refused", detail);
    Refusal {
        problem: refusal.problem.retry_after(5),
        ..refusal
    }
}

fn refuse(refusal: &Refusal) -> Problem {
    metrics::counter!("attune_webhook_rejected_total", "reason" => refusal.reason).increment(1);
    tracing::debug!(reason = refusal.reason, "a webhook's request was refused");
    refusal.problem.clone()
}

/// A request as it came, for the inbox.
struct Arrival {
    endpoint: Arc<Endpoint>,
    address: Option<String>,
    method: String,
    query: String,
    headers: Value,
    body: Bytes,
}

impl Arrival {
    fn new(endpoint: Arc<Endpoint>, parts: &Parts, client: Option<Client>) -> Self {
        Self {
            endpoint,
            address: client.map(|client| client.address().to_string()),
            method: parts.method.to_string(),
            query: parts.uri.query().unwrap_or_default().chars().take(QUERY_KEPT).collect(),
            headers: shown_headers(&headers(parts)),
            body: Bytes::new(),
        }
    }

    fn keep(&self, verdict: WebhookVerdict, event_id: Option<EventId>, bytes_max: usize) -> NewRequest {
        NewRequest {
            id: EventId::random(clock::now(), rand::random()).0,
            trigger_id: self.endpoint.trigger_id,
            trigger_ref: self.endpoint.trigger_ref.clone(),
            address: self.address.clone(),
            method: self.method.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            body: self.body[..self.body.len().min(bytes_max)].to_vec(),
            body_bytes: i32::try_from(self.body.len()).unwrap_or(i32::MAX),
            verdict,
            reason: None,
            detail: None,
            event_id,
            redelivery_of: None,
        }
    }
}

fn headers(parts: &Parts) -> Headers<'_> {
    Headers::new(
        parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )
}

/// Checks a request from the outside in, and hands its event in.
async fn take(api: &Api, arrival: &mut Arrival, parts: &Parts, body: Body) -> Result<Taken, Failure> {
    let endpoint = arrival.endpoint.clone();
    if !endpoint.enabled {
        let detail = "the webhook is switched off";
        return Err(Refusal::new(StatusCode::CONFLICT, "disabled", detail).into());
    }
    let config = endpoint.config.as_ref().map_err(|_| {
        let detail = "the webhook cannot be used until somebody mends its configuration";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "misconfigured", detail)
    })?;
    if let Some(response) = handshake(config, parts)? {
        return Ok(Taken::Challenge(response));
    }
    if !config.methods.contains(&parts.method.as_str()) {
        let detail = format!("the webhook takes {}", config.methods.join(", "));
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail).into());
    }
    let arriving = timeout(BODY_WITHIN, body::read(parts, body, config.body_bytes_max));
    arrival.body = arriving
        .await
        .unwrap_or_else(|_| {
            let detail = "the body came too slowly";
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
        })
        .map_err(unread)?;
    let headers = headers(parts);
    let verified = verify(config, &headers, &arrival.body, clock::now())
        .map_err(|refusal| Refusal::new(StatusCode::UNAUTHORIZED, refusal.reason(), refusal.to_string()))?;
    let caller = endpoint.trigger_id.to_string();
    if !api.webhooks.genuine.take_of(&caller, config.requests_per_second) {
        let refusal = Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate",
            "too many requests: wait 1 second",
        );
        metrics::counter!("attune_webhook_rejected_total", "reason" => refusal.reason).increment(1);
        // A genuine sender that is in a hurry is no attacker.
        return Err(Failure::Ours(refusal.problem.retry_after(1)));
    }
    let body = decoded(config, &headers, &arrival.body)?;
    if body != arrival.body {
        body::share(parts)
            .and_then(|share| share.take(body.len()))
            .map_err(Failure::Ours)?;
    }
    let body = value_of(config, &headers, &body).await?;
    if let Some(challenge) = challenge(&config.profile, &body) {
        return Ok(Taken::Challenge(Json(json!({"challenge": challenge})).into_response()));
    }
    let key = dedup_key(config, &headers, &body, &verified).map_err(unreadable)?;
    let query = query(parts.uri.query().unwrap_or_default()).map_err(unreadable)?;
    let payload = payload(config, parts.method.as_str(), &headers, query, body);
    attune_domain::json::check_json(&payload).map_err(unreadable)?;
    let accepted = api.ingest.submit(event(&endpoint, config, payload, key)).await?;
    Ok(Taken::Event(accepted))
}

fn unread(problem: Problem) -> Failure {
    let reason = match problem.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::BAD_REQUEST | StatusCode::REQUEST_TIMEOUT => "incomplete",
        _ => return Failure::Ours(problem),
    };
    Refusal::new(problem.status(), reason, problem.detail()).into()
}

fn event(endpoint: &Endpoint, config: &WebhookConfig, payload: Value, key: Option<[u8; 32]>) -> NewEvent {
    let id = EventId::random(clock::now(), rand::random());
    NewEvent {
        id,
        trigger_id: endpoint.trigger_id,
        trigger_ref: endpoint.trigger_ref.clone(),
        source: EventSource::Webhook,
        payload,
        scheduled_at: None,
        trace_id: id.0,
        dedup: key.map(|key| Dedup {
            key,
            window_seconds: config.dedup_window_seconds,
        }),
    }
}

async fn answer(api: &Api, endpoint: &Endpoint, accepted: Accepted, started: Instant) -> Result<Response, Problem> {
    let mut received = Received {
        event_id: accepted.event_id,
        complete: None,
        executions: None,
        rules_failed: None,
    };
    let mut status = if accepted.duplicate {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let seconds = endpoint.config.as_ref().ok().and_then(|config| config.wait_seconds);
    if let Some(seconds) = seconds
        && let Ok(_permit) = api.webhooks.waiting.try_acquire()
    {
        let until = started + Duration::from_secs(seconds).min(WAIT_MAX);
        // The event is kept: who is told otherwise sends it again.
        let waited = wait(api, accepted.event_id, until).await.unwrap_or_default();
        status = if waited.complete {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        received.complete = Some(waited.complete);
        received.executions = Some(waited.executions);
        received.rules_failed = Some(waited.rules_failed);
    }
    let mut response = One::new(received).into_response();
    *response.status_mut() = status;
    Ok(response)
}

/// The payload of a request that was kept, made again from what was kept.
pub(super) async fn payload_again(
    config: &WebhookConfig,
    method: &str,
    headers: &Value,
    query: &str,
    body: &Bytes,
) -> Result<Value, Problem> {
    let mut pairs = Vec::new();
    for (name, value) in headers.as_object().into_iter().flatten() {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let values = values.iter().filter_map(Value::as_str);
        pairs.extend(values.map(|value| (name.as_str(), value.as_bytes())));
    }
    let headers = Headers::new(pairs);
    let query = attune_domain::webhook::query(query)?;
    let body = decoded(config, &headers, body).map_err(|refusal| refusal.problem)?;
    let body = value_of(config, &headers, &body)
        .await
        .map_err(|refusal| refusal.problem)?;
    let payload = payload(config, method, &headers, query, body);
    attune_domain::json::check_json(&payload)?;
    Ok(payload)
}
