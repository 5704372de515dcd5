//! Reads what was sent, once it is known to be genuine, or says why it cannot be taken.

use crate::{
    problem::Problem,
    request::json::{self, Refused},
};
use attune_domain::{
    FieldErrors,
    webhook::{BodyForm, form},
};
use axum::http::StatusCode;
use serde_json::Value;

/// Why a request is not taken. `reason` is one of a few words, for metrics and lists.
pub struct Refusal {
    pub reason: &'static str,
    pub problem: Problem,
    pub detail: String,
}

impl Refusal {
    pub fn new(status: StatusCode, reason: &'static str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            reason,
            problem: Problem::new(status, reason, detail.clone()),
            detail,
        }
    }
}

/// What a body says, as JSON.
pub fn value_of(body: &[u8], content_type: Option<&str>) -> Result<Value, Refusal> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let text = || {
        let text = std::str::from_utf8(body).ok();
        text.map(Value::from).ok_or_else(|| malformed("is not UTF-8"))
    };
    match BodyForm::of(content_type) {
        BodyForm::Json => json::parse(body).map_err(|refused| match refused {
            Refused::Syntax(why) => malformed(&format!("is not JSON: {why}")),
            Refused::Fields(errors) => unreadable(errors),
        }),
        BodyForm::Form => Ok(form(body)),
        BodyForm::Text => text(),
        BodyForm::Unsaid => json::parse(body).or_else(|_| text()),
        BodyForm::Foreign => {
            let detail = "send JSON, a form (application/x-www-form-urlencoded) or text, and say so in content-type";
            Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail))
        }
    }
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "body", format!("the body {why}"))
}

pub fn unreadable(errors: FieldErrors) -> Refusal {
    let refusal = Refusal::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "body",
        format!("the body cannot be kept: {errors}"),
    );
    Refusal {
        problem: refusal.problem.with_errors(errors),
        ..refusal
    }
}
