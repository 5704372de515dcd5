//! `If-Match`: changes a definition only if it has not changed since it was read.

use crate::{answer, problem::Problem};
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
};

#[derive(Debug)]
pub struct IfMatch(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header = parts.headers.get(header::IF_MATCH);
        let text = header.map(|value| value.to_str().map(str::to_owned)).transpose();
        let text = text.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "if_match", "If-Match must be text"))?;
        Ok(Self(text))
    }
}

impl IfMatch {
    /// Refuses the request unless the definition still has a version that the client has read.
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        let Some(tags) = &self.0 else {
            return Ok(());
        };
        let current = answer::tag(version);
        let fits = tags
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == current);
        if fits {
            return Ok(());
        }
        let detail = format!("the definition has changed; its version is now {current}");
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed", detail))
    }
}
