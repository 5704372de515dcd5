//! What a client is told when something is wrong: RFC 9457, `application/problem+json`.
//!
//! A problem has two halves: what the client may know stands in it, the cause stands in the log. No SQL, no paths, no
//! stack. Handlers return a [`Problem`]; [`finish`] writes its body at the edge, where the request's id is known, and
//! does the same for whatever the framework itself refuses.

use crate::{request_id::RequestId, router};
use attune_common::{
    ingest::IngestError,
    store::{self, ViolationKind},
};
use attune_domain::{FieldError, FieldErrors};
use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use utoipa::ToSchema;

/// Whoever is told so can show a token.
const UNAUTHORIZED: &str = "urn:attune:problem:unauthorized";

/// Why a request was not a success. Small, so that handlers can return it.
#[derive(Debug, Clone)]
pub struct Problem(Box<Facts>);

/// The body of every answer that is not a success.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Facts {
    /// What kind of problem it is, for programs: `urn:attune:problem:<kind>`.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// The request's id, as in the header `x-request-id` and in the log.
    instance: String,
    /// Every bad field.
    errors: Vec<FieldError>,
    /// What is in the way. Definitions that keep another one from being deleted have their kind: `rule core.hello`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conflicts: Vec<String>,
    #[serde(skip)]
    retry_after_seconds: Option<u32>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Facts {
            kind: format!("urn:attune:problem:{kind}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            instance: String::new(),
            errors: Vec::new(),
            conflicts: Vec::new(),
            retry_after_seconds: None,
        }))
    }

    pub fn not_found(noun: &str, key: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {noun} {key}"))
    }

    pub fn conflict(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    /// A definition cannot go: it `is` (used by, or still holds) these others. `advice` says how it can go.
    pub fn in_use(reference: &str, is: &str, others: Vec<String>, advice: &str) -> Self {
        let more = if others.len() >= store::USERS_MAX {
            " and more"
        } else {
            ""
        };
        let detail = format!("{reference} {is} {}{more}: {advice}", others.join(", "));
        Self::conflict("in_use", detail).with_conflicts(others)
    }

    /// The reference is taken.
    pub fn exists(noun: &str, reference: &str) -> Self {
        Self::conflict("exists", format!("there is a {noun} {reference} already"))
            .with_conflicts(vec![reference.to_owned()])
            .with_errors(FieldErrors::one("ref", "is taken"))
    }

    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "", detail);
        UNAUTHORIZED.clone_into(&mut problem.0.kind);
        problem
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Everything that is wrong with an input.
    pub fn invalid(errors: FieldErrors) -> Self {
        let detail = "the request has fields that are not right";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with_errors(errors)
    }

    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(FieldErrors::one(path, message))
    }

    pub fn internal() -> Self {
        let detail = "something went wrong here; the log of the service tells more under this request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub fn unavailable() -> Self {
        let detail = "the database cannot be used at the moment; nothing was changed that was not answered for";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(2)
    }

    pub fn late(limit: Duration) -> Self {
        let detail = format!("the request took longer than {} seconds", limit.as_secs());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail).retry_after(1)
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    #[must_use]
    pub fn with_errors(mut self, errors: FieldErrors) -> Self {
        self.0.errors = errors.distinct().into_vec();
        self
    }

    #[must_use]
    fn with_conflicts(mut self, conflicts: Vec<String>) -> Self {
        self.0.conflicts = conflicts;
        self
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::invalid(errors)
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::of_database(&error)
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Database(error) => Self::of_database(&error),
            IngestError::Overloaded | IngestError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string()).retry_after(1)
            }
        }
    }
}

impl Problem {
    fn of_database(error: &store::Error) -> Self {
        if let Some(violation) = store::violation(error) {
            tracing::debug!(constraint = violation.constraint, "the database refused");
            return refused(violation.kind, &violation.constraint);
        }
        if store::is_unstorable(error) {
            return Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "the request holds text that cannot be stored",
            );
        }
        if store::is_unavailable(error) || store::is_retryable(error) {
            tracing::warn!(%error, "the database could not be used");
            return Self::unavailable();
        }
        tracing::error!(%error, "the database answered with an error");
        Self::internal()
    }
}

/// Handlers look for conflicts first and name them; this is for the race that a look cannot win.
fn refused(kind: ViolationKind, constraint: &str) -> Problem {
    let noun = constraint.split('_').next().unwrap_or_default();
    match kind {
        ViolationKind::Unique => Problem::conflict("exists", format!("there is such a {noun} already")),
        ViolationKind::ForeignKey => {
            Problem::conflict("in_use", "another definition uses it, or what it refers to is gone")
        }
        ViolationKind::Check => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            format!("the database refuses a value by its rule {constraint}"),
        ),
    }
}

/// The body is written later, by [`finish`].
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Writes the body of every problem, also of those that the framework made.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => {
            of_status(status, path.as_ref().map(MatchedPath::as_str))
        }
        None => return response,
    };
    written(response, problem, id)
}

fn of_status(status: StatusCode, path: Option<&str>) -> Problem {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let methods = path.map(router::methods).unwrap_or_default().join(", ");
            let detail = format!("this address does not take that method, but {methods}");
            Problem::new(status, "method_not_allowed", detail)
        }
        StatusCode::NOT_FOUND => Problem::new(status, "not_found", "there is nothing at this address"),
        StatusCode::REQUEST_TIMEOUT => Problem::new(status, "timeout", "the request did not arrive in time"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "too_large", "the request's body is larger than 1 MiB"),
        status if status.is_server_error() => Problem::internal(),
        status => Problem::new(status, "refused", "the request cannot be understood"),
    }
}

/// Puts the body into the answer. Headers such as `allow` stay.
fn written(mut response: Response, problem: Problem, id: RequestId) -> Response {
    let status = problem.status();
    let facts = Facts {
        instance: id.0,
        ..*problem.0
    };
    let text = serde_json::to_string(&facts).unwrap_or_default();
    *response.status_mut() = status;
    *response.body_mut() = Body::from(text);
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(seconds) = facts.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    // Not of a webhook, whose senders have no token to show.
    if status == StatusCode::UNAUTHORIZED && facts.kind == UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// What the documentation says of every error.
pub fn documented() -> Value {
    json!({"description": "a problem", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}})
}
