//! Decides whether a request to a webhook becomes an event.
//!
//! The order of the checks matters: address, method, size, signature over the raw bytes, rate, and only then the content
//! of the body. A rejection costs neither a query nor parsing, and the number of stored rejections is bounded.

use super::{
    endpoints::Endpoint,
    handshake::handshake,
    read::{Refusal, decoded, unreadable, value_of},
    state::Webhooks,
};
use crate::{
    client::Client,
    limits::REQUEST,
    problem::Problem,
    request::{
        body,
        body_budget::{Reservation, Sender},
    },
};
use attune_common::{
    clock,
    ingest::{Ingest, IngestError},
    store::{
        PgPool,
        ingest::{Accepted, Dedup, NewEvent},
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
    extract::Request,
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout, timeout_at};

/// How many bytes of a body the inbox stores: fewer if the event contains it.
const STORED_WITH_EVENT: usize = 16 * 1024;
const STORED_ALONE: usize = 64 * 1024;
/// How long a sender may take to send the body.
const BODY_TIMEOUT: Duration = Duration::from_secs(8);
const QUERY_CHARS_MAX: usize = 4 * 1024;

enum Failure {
    Refused(Refusal),
    /// Not the fault of the sender: nothing is stored, and the request may be sent again.
    Ours(Problem),
}

/// A verified request is an event, or a handshake.
enum Taken {
    Event(Accepted),
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

/// Decides about requests to webhooks.
#[derive(Debug, Clone, Copy)]
pub struct Receiver<'a> {
    pub pool: &'a PgPool,
    pub ingest: &'a Ingest,
    pub webhooks: &'a Webhooks,
}

/// The result of a request.
#[derive(Debug)]
pub enum Verdict {
    /// The event is stored.
    Accepted(Arc<Endpoint>, Accepted),
    /// A challenge, or a rejection that is stored in the inbox.
    Answered(Response),
}

impl Receiver<'_> {
    pub async fn receive(self, key: &str, request: Request) -> Result<Verdict, Problem> {
        let accepted_by = Instant::now() + REQUEST;
        let webhooks = self.webhooks;
        let (parts, body) = request.into_parts();
        let client = parts.extensions.get::<Client>().copied();
        let sender = client.map(Client::counted).unwrap_or_default();
        let found = self.find(key, &sender);
        let endpoint = timeout_at(accepted_by, found)
            .await
            .map_err(|_| Problem::time_limit(REQUEST))??;
        if let Some(reservation) = parts.extensions.get::<Reservation>() {
            reservation.set_sender(Sender::Webhook);
        }
        let caller = format!("{} {sender}", endpoint.trigger_id);
        if !webhooks.rejected.has_left(&caller) {
            return Err(webhooks.rejections.count(&too_many_rejected()));
        }
        let mut arrival = Arrival::new(endpoint.clone(), &parts, client);
        let taken = timeout_at(accepted_by, self.take(&mut arrival, &parts, body)).await;
        match taken.unwrap_or_else(|_| Err(Failure::Ours(Problem::time_limit(REQUEST)))) {
            Ok(Taken::Challenge(response)) => {
                webhooks.inbox.store(NewRequest {
                    reason: Some("url_verification".to_owned()),
                    detail: Some("the handshake of the sender; it was answered and created no event".to_owned()),
                    ..arrival.request(WebhookVerdict::Accepted, None, STORED_ALONE)
                });
                Ok(Verdict::Answered(response))
            }
            Ok(Taken::Event(accepted)) => {
                let verdict = if accepted.duplicate {
                    WebhookVerdict::Duplicate
                } else {
                    WebhookVerdict::Accepted
                };
                let request = arrival.request(verdict, Some(accepted.event_id), STORED_WITH_EVENT);
                webhooks.inbox.store(request);
                Ok(Verdict::Accepted(endpoint, accepted))
            }
            Err(Failure::Ours(problem)) => Err(problem),
            Err(Failure::Refused(refusal)) => Ok(Verdict::Answered(self.reject(&arrival, &caller, &refusal))),
        }
    }

    fn reject(self, arrival: &Arrival, caller: &str, refusal: &Refusal) -> Response {
        let endpoint = &arrival.endpoint;
        self.webhooks.rejected.take(caller);
        self.store_rejected(arrival, refusal);
        let allowed = endpoint.config.as_ref().ok().filter(|_| refusal.reason == "method");
        let mut response = self.webhooks.rejections.count(refusal).into_response();
        if let Some(allowed) = allowed.and_then(|config| config.methods.join(", ").parse().ok()) {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        response
    }

    /// Stores a rejected request in the inbox, unless too many of its trigger are stored already.
    fn store_rejected(self, arrival: &Arrival, refusal: &Refusal) {
        if self.webhooks.stored.take(&arrival.endpoint.trigger_ref) {
            self.webhooks.inbox.store(NewRequest {
                reason: Some(refusal.reason.to_owned()),
                detail: Some(refusal.detail.clone()),
                ..arrival.request(WebhookVerdict::Rejected, None, STORED_ALONE)
            });
        }
    }

    /// Finds the webhook of an address. A client that has guessed too often does not learn whether an address is unknown; at
    /// a known address it is served like any other.
    async fn find(self, key: &str, sender: &str) -> Result<Arc<Endpoint>, Problem> {
        let webhooks = self.webhooks;
        if let Some(endpoint) = webhooks.endpoints.recall(key) {
            return Ok(endpoint);
        }
        // Counted before the lookup, so that concurrent guesses do not slip through.
        let allowed = webhooks.rejected.take(sender);
        let known = (!allowed).then_some(&webhooks.known);
        let found = webhooks.endpoints.find(self.pool, &webhooks.sealer, key, known).await?;
        match found {
            Some(endpoint) => {
                if allowed {
                    webhooks.rejected.give_back(sender);
                }
                Ok(endpoint)
            }
            None if allowed => {
                let detail = "webhook not found";
                let refusal = Refusal::new(StatusCode::NOT_FOUND, "not_found", detail);
                Err(webhooks.rejections.count(&refusal))
            }
            None => Err(webhooks.rejections.count(&too_many_rejected())),
        }
    }

    /// Checks a request from the outside in, and submits its event.
    async fn take(self, arrival: &mut Arrival, parts: &Parts, body: Body) -> Result<Taken, Failure> {
        let endpoint = arrival.endpoint.clone();
        if !endpoint.enabled {
            let detail = "the webhook is disabled";
            return Err(Refusal::new(StatusCode::CONFLICT, "disabled", detail).into());
        }
        let config = endpoint.config.as_ref().map_err(|_| {
            let detail = "the webhook is misconfigured";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "misconfigured", detail)
        })?;
        if let Some(response) = handshake(config, parts)? {
            return Ok(Taken::Challenge(response));
        }
        if !config.methods.contains(&parts.method.as_str()) {
            let detail = format!("method not allowed; expected one of: {}", config.methods.join(", "));
            return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method", detail).into());
        }
        let arriving = timeout(BODY_TIMEOUT, body::read(parts, body, config.body_bytes_max));
        arrival.body = arriving
            .await
            .unwrap_or_else(|_| {
                let detail = "the body was not received in time";
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail))
            })
            .map_err(unread)?;
        let headers = headers(parts);
        let verified = verify(config, &headers, &arrival.body, clock::now())
            .map_err(|refusal| Refusal::new(StatusCode::UNAUTHORIZED, refusal.reason(), refusal.to_string()))?;
        let caller = endpoint.trigger_id.to_string();
        if !self.webhooks.verified.take_of(&caller, config.requests_per_second) {
            let refusal = Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate",
                "rate limit exceeded; wait 1 second",
            );
            self.store_rejected(arrival, &refusal);
            // A verified sender that is too fast is not an attacker.
            return Err(Failure::Ours(self.webhooks.rejections.count(&refusal).retry_after(1)));
        }
        let body = decoded(config, &headers, &arrival.body)?;
        if body != arrival.body {
            body::reservation(parts)
                .and_then(|reservation| reservation.grow(body.len()))
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
        let accepted = self.ingest.submit(event(&endpoint, config, payload, key)).await?;
        Ok(Taken::Event(accepted))
    }
}

fn too_many_rejected() -> Refusal {
    let detail =
        "too many requests from this address were rejected; wait 5 seconds, and check the reasons of the first ones";
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_refused", detail);
    Refusal {
        problem: refusal.problem.retry_after(5),
        ..refusal
    }
}

/// A request as received, for the inbox.
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
            query: parts
                .uri
                .query()
                .unwrap_or_default()
                .chars()
                .take(QUERY_CHARS_MAX)
                .collect(),
            headers: shown_headers(&headers(parts)),
            body: Bytes::new(),
        }
    }

    fn request(&self, verdict: WebhookVerdict, event_id: Option<EventId>, bytes_max: usize) -> NewRequest {
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
        definitions: None,
        dedup: key.map(|key| Dedup {
            key,
            window_seconds: config.dedup_window_seconds,
        }),
    }
}

/// Builds the payload of a stored request again.
pub async fn rebuild_payload(
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
