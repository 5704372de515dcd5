//! Every request has an id: that of the client, if it is well-formed, or a new one. It appears in the answer, in problems
//! and in every log line of the request.

use attune_common::telemetry;
use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use std::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Debug, Clone, Default)]
pub struct RequestId(pub String);

pub async fn assign(mut request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_well_formed(id));
    // Never from the client, which could join the trace of something else.
    let trace_id = Uuid::now_v7();
    let id = given.map_or_else(|| trace_id.to_string(), str::to_owned);
    // Only the path: a query may contain secrets. The path of a webhook ends with its key.
    let path = request.uri().path();
    let shown = if path.starts_with("/api/v1/webhooks/") {
        "/api/v1/webhooks/…"
    } else {
        path
    }
    .to_owned();
    let span = tracing::info_span!("request", id, method = %request.method(), path = shown);
    let (method, started) = (request.method().clone(), Instant::now());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    tracing::debug!(parent: &span, status, "a request was answered");
    telemetry::began(
        "request",
        trace_id,
        started.elapsed(),
        &[("id", &id), ("method", &method), ("path", &shown), ("status", &status)],
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}

fn is_well_formed(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}
