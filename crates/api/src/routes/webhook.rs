//! The addresses that senders call. [`crate::webhook`] decides about a request; here it is answered.

use crate::{
    answer::One,
    api::Api,
    problem::Problem,
    request::Id,
    webhook::{Endpoint, Outcome, Receiver, Verdict, wait},
};
use attune_common::store::{ingest::Accepted, webhook::RuleFailure};
use attune_domain::EventId;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// The answer has to be on its way before the time limit of the request.
const WAIT_MAX: Duration = Duration::from_secs(29);

/// What a webhook has received.
#[derive(Debug, Serialize, ToSchema)]
pub struct Received {
    /// The event; for a duplicate, the first one.
    event_id: EventId,
    /// Only if the trigger waits: whether all executions of the event have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    complete: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    executions: Option<Vec<Outcome>>,
    /// Rules that matched but created no execution, each with its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules_failed: Option<Vec<RuleFailure>>,
}

pub async fn receive(State(api): State<Api>, Id(key): Id<String>, request: Request) -> Result<Response, Problem> {
    let started = Instant::now();
    let receiver = Receiver {
        pool: &api.pool,
        ingest: &api.ingest,
        webhooks: &api.webhooks,
    };
    match receiver.receive(&key, request).await? {
        Verdict::Accepted(endpoint, accepted) => Ok(answer(&api, &endpoint, accepted, started).await),
        Verdict::Answered(response) => Ok(response),
    }
}

async fn answer(api: &Api, endpoint: &Endpoint, accepted: Accepted, started: Instant) -> Response {
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
        let source = (&api.pool, &*api.bus, &api.stopping);
        // The event is stored. An error would make the sender send it again.
        let waited = wait(source, accepted.event_id, until).await.unwrap_or_default();
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
    response
}
