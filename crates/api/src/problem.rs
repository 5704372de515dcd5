//! Errors of the API: RFC 9457, `application/problem+json`.
//!
//! A problem contains what the client may see; the cause goes to the log. No SQL, no paths, no stack. Handlers return a
//! [`Problem`]; [`finish`] writes its body at the edge, where the id of the request is known, and does the same for
//! errors of the framework itself.

use crate::request_id::RequestId;
use attune_common::{
    ingest::IngestError,
    store::{self, ViolationKind},
};
use attune_domain::{FieldError, FieldErrors};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use std::{collections::HashMap, sync::Arc, time::Duration};
use utoipa::ToSchema;

/// The answer has `WWW-Authenticate`: a token may help.
const UNAUTHORIZED: &str = "urn:attune:problem:unauthorized";

/// Why a request failed. Small, so that handlers can return it.
#[derive(Debug, Clone)]
pub struct Problem(Box<Facts>);

/// The body of every error.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Facts {
    /// The kind of problem, for programs: `urn:attune:problem:<kind>`.
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// The id of the request, as in the header `x-request-id` and in the log.
    instance: String,
    /// Every invalid field.
    errors: Vec<FieldError>,
    /// The objects that prevent the request. Definitions that use another one are listed with their kind: `rule core.hello`.
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
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{noun} {key} not found"))
    }

    pub fn conflict(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, kind, detail)
    }

    /// A definition cannot be deleted: it `is` (used by, or still contains) these others. `advice` states how to proceed.
    pub fn in_use(reference: &str, is: &str, others: Vec<String>, advice: &str) -> Self {
        let more = if others.len() >= store::USERS_MAX {
            " and more"
        } else {
            ""
        };
        let detail = format!("{reference} {is} {}{more}; {advice}", others.join(", "));
        Self::conflict("in_use", detail).with_conflicts(others)
    }

    /// The ref is already in use.
    pub fn exists(noun: &str, reference: &str) -> Self {
        Self::conflict("exists", format!("{noun} {reference} already exists"))
            .with_conflicts(vec![reference.to_owned()])
            .with_errors(FieldErrors::one("ref", "is already in use"))
    }

    pub fn unauthorized(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNAUTHORIZED, "", detail);
        UNAUTHORIZED.clone_into(&mut problem.0.kind);
        problem
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// Every error of an input.
    pub fn invalid(errors: FieldErrors) -> Self {
        let detail = "request validation failed";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail).with_errors(errors)
    }

    pub fn field(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(FieldErrors::one(path, message))
    }

    pub fn internal() -> Self {
        let detail = "internal error; see the service log for this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    pub fn unavailable() -> Self {
        let detail = "database unavailable; retry the request";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(2)
    }

    pub fn time_limit(limit: Duration) -> Self {
        let detail = format!("the request exceeded its time limit of {} seconds", limit.as_secs());
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail).retry_after(1)
    }

    pub fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "no such route")
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

    /// The body of the answer to the request with this id.
    pub fn body(self, id: RequestId) -> String {
        let facts = Facts {
            instance: id.0,
            ..*self.0
        };
        serde_json::to_string(&facts).unwrap_or_default()
    }

    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn kind(&self) -> &str {
        &self.0.kind
    }

    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
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
            IngestError::Overloaded | IngestError::Stopping | IngestError::Outdated => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string()).retry_after(1)
            }
        }
    }
}

impl Problem {
    fn of_database(error: &store::Error) -> Self {
        if let Some(violation) = store::violation(error) {
            tracing::debug!(
                constraint = violation.constraint,
                "a constraint of the database was violated"
            );
            return violated(violation.kind, &violation.constraint);
        }
        if store::is_unstorable(error) {
            return Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "the request contains text that cannot be stored",
            );
        }
        if store::is_unavailable(error) || store::is_retryable(error) {
            tracing::warn!(%error, "the database is unavailable");
            return Self::unavailable();
        }
        tracing::error!(%error, "the database returned an error");
        Self::internal()
    }
}

/// Handlers check for conflicts first and name them; this covers the race that such a check cannot exclude.
fn violated(kind: ViolationKind, constraint: &str) -> Problem {
    let noun = constraint.split('_').next().unwrap_or_default();
    match kind {
        ViolationKind::Unique => Problem::conflict("exists", format!("the {noun} already exists")),
        ViolationKind::ForeignKey => Problem::conflict(
            "in_use",
            "another definition uses it, or an object that it refers to was deleted",
        ),
        ViolationKind::Check => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            format!("a value violates the constraint {constraint}"),
        ),
    }
}

/// [`finish`] writes the body later.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The methods of every path, for people: axum adds `Allow` after [`finish`].
pub type Methods = Arc<HashMap<&'static str, String>>;

/// Writes the body of every problem, including errors of the framework.
pub async fn finish(State(methods): State<Methods>, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    let status = response.status();
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None if status.is_client_error() || status.is_server_error() => {
            of_status(status, path.and_then(|path| methods.get(path.as_str()).cloned()))
        }
        None => return response,
    };
    written(response, problem, id)
}

fn of_status(status: StatusCode, methods: Option<String>) -> Problem {
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            let detail = match methods {
                Some(methods) => format!("method not allowed; expected one of: {methods}"),
                None => "method not allowed".to_owned(),
            };
            Problem::new(status, "method_not_allowed", detail)
        }
        StatusCode::NOT_FOUND => Problem::no_such_route(),
        StatusCode::REQUEST_TIMEOUT => Problem::new(status, "timeout", "the request was not received in time"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(status, "too_large", "the body is larger than 1 MiB"),
        status if status.is_server_error() => Problem::internal(),
        status => Problem::new(status, "refused", "malformed request"),
    }
}

/// Writes the body of the answer. Headers such as `Allow` remain.
fn written(mut response: Response, problem: Problem, id: RequestId) -> Response {
    let status = problem.status();
    let (retry_after, kind) = (problem.0.retry_after_seconds, problem.0.kind.clone());
    *response.status_mut() = status;
    *response.body_mut() = Body::from(problem.body(id));
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(seconds) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    // Not for webhooks, whose senders have no token.
    if status == StatusCode::UNAUTHORIZED && kind == UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
