//! `If-Match`: change a definition only when it is still as it was read.

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
        let text = text.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "if_match", "If-Match is not readable"))?;
        Ok(Self(text))
    }
}

impl IfMatch {
    /// Is the definition's version one that the client has seen?
    pub fn check(&self, version: i64) -> Result<(), Problem> {
        let Some(wanted) = &self.0 else {
            return Ok(());
        };
        let current = answer::tag(version);
        let fits = wanted
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.trim_start_matches("W/") == current);
        if fits {
            return Ok(());
        }
        let detail = format!("it was changed meanwhile: its version is {current} now");
        Err(Problem::new(StatusCode::PRECONDITION_FAILED, "changed", detail))
    }
}
