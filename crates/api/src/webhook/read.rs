//! Reads the body of a verified request, or states why it is rejected.

use crate::{problem::Problem, request::content};
use attune_domain::{
    FieldErrors,
    json::{self, Refused},
    text::{BadForm, Charset, FIELDS_MAX, Undecodable, fields, pairs},
    webhook::{BodyForm, Headers, Profile, WebhookConfig, charset},
};
use axum::{
    body::Bytes,
    http::{HeaderValue, StatusCode},
};
use futures_util::stream;
use multer::{Field, Multipart};
use serde_json::Value;
use std::convert::Infallible;

/// Why a request is rejected. `reason` is a short code for metrics and lists.
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

/// The body without its `Content-Encoding`.
pub fn decoded(config: &WebhookConfig, headers: &Headers<'_>, body: &Bytes) -> Result<Bytes, Refusal> {
    let codings = headers
        .raw("content-encoding")
        .map(|value| std::str::from_utf8(value).unwrap_or("?"));
    content::decode_all(codings, body.clone(), config.body_bytes_max).map_err(|problem| {
        let reason = match problem.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            _ => "content_encoding",
        };
        Refusal::new(problem.status(), reason, problem.detail())
    })
}

/// A decoded body as JSON.
pub async fn value_of(config: &WebhookConfig, headers: &Headers<'_>, body: &Bytes) -> Result<Value, Refusal> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let mut given = headers
        .raw("content-type")
        .map(|value| std::str::from_utf8(value).unwrap_or("?"));
    let content_type = given.next();
    if given.any(|other| Some(other) != content_type) {
        return Err(unsupported("content-type must be sent once"));
    }
    let form = BodyForm::of(content_type);
    if form == BodyForm::Multipart {
        return multipart(config, content_type.unwrap_or_default(), body).await;
    }
    if form == BodyForm::Foreign {
        let detail = "the body must be JSON, a form (application/x-www-form-urlencoded or multipart/form-data) or text, as declared by content-type";
        return Err(unsupported(detail));
    }
    let charset = charset(content_type).map_err(|error| undecodable(&error))?;
    if form == BodyForm::Form {
        let value = pairs(body, charset).map(fields).map_err(|bad| match bad {
            BadForm::Charset(error) => undecodable(&error),
            BadForm::Fields(errors) => unreadable(errors.under("body")),
        })?;
        return unpacked(config, value);
    }
    let text = charset.decode(body).map_err(|error| undecodable(&error))?;
    match form {
        BodyForm::Json => json::parse(&text).map_err(not_json),
        BodyForm::Unsaid => match json::parse(&text) {
            Err(Refused::Syntax(_)) => Ok(text.into()),
            parsed => parsed.map_err(not_json),
        },
        _ => Ok(text.into()),
    }
}

/// GitHub sends JSON in the field `payload` of a form unless the content type of the webhook is application/json.
fn unpacked(config: &WebhookConfig, form: Value) -> Result<Value, Refusal> {
    match form["payload"].as_str().filter(|_| config.profile == Profile::Github) {
        Some(payload) => json::parse(payload).map_err(|refused| match refused {
            Refused::Syntax(why) => unreadable(FieldErrors::one("body.payload", format!("is not JSON: {why}"))),
            Refused::Fields(errors) => unreadable(errors.under("body.payload")),
        }),
        None => Ok(form),
    }
}

async fn multipart(config: &WebhookConfig, content_type: &str, body: &Bytes) -> Result<Value, Refusal> {
    let malformed = |error: multer::Error| malformed(&format!("cannot be read as multipart/form-data: {error}"));
    let boundary = multer::parse_boundary(content_type).map_err(malformed)?;
    let whole = stream::iter([Ok::<_, Infallible>(body.clone())]);
    let mut parts = Multipart::new(whole, boundary);
    let (mut pairs, mut errors, mut count) = (Vec::new(), FieldErrors::new(), 0);
    while let Some(field) = parts.next_field().await.map_err(malformed)? {
        count += 1;
        let name = field.name().map(str::to_owned);
        let place = format!("body.{}", name.as_deref().unwrap_or_default());
        let place: String = place.chars().take(128).collect();
        let (is_file, unnamed) = (is_file(&field), field.file_name() == Some(""));
        let declared = charset_of(&field);
        let bytes = field.bytes().await.map_err(malformed)?;
        // A browser sends an empty file without a name if no file was selected.
        let no_file = config.ignores_files || (unnamed && bytes.is_empty());
        match name {
            _ if is_file && no_file => {}
            _ if is_file => errors.add(
                place,
                "must not be a file; set `files` to `ignore` in the trigger to skip files",
            ),
            None => errors.add("body", "contains a part without a name"),
            Some(name) => {
                let text = declared.and_then(|charset| charset.decode(&bytes).map(Into::into));
                match text {
                    Ok(text) => pairs.push((name, text)),
                    Err(error) => errors.add(place, error.to_string()),
                }
            }
        }
    }
    if count > FIELDS_MAX {
        errors = FieldErrors::one("body", format!("has {count} fields; at most {FIELDS_MAX} are allowed"));
    }
    errors.into_result().map_err(unreadable)?;
    Ok(fields(pairs))
}

/// Also if the name of the file is not UTF-8, or is only given as `filename*`.
fn is_file(field: &Field<'_>) -> bool {
    let disposition = field
        .headers()
        .get("content-disposition")
        .map_or(&[][..], HeaderValue::as_bytes);
    let parameters = disposition.split(|byte| *byte == b';').skip(1);
    let mut names = parameters.map(|parameter| parameter.trim_ascii().split(|byte| b"=* ".contains(byte)).next());
    names.any(|name| name.is_some_and(|name| name.eq_ignore_ascii_case(b"filename")))
}

fn charset_of(field: &Field<'_>) -> Result<Charset, Undecodable> {
    charset(field.content_type().map(AsRef::as_ref))
}

fn undecodable(error: &Undecodable) -> Refusal {
    match error {
        Undecodable::Unknown(_) => unsupported(&format!("the body {error}")),
        Undecodable::Malformed(_) => malformed(&error.to_string()),
    }
}

fn not_json(refused: Refused) -> Refusal {
    match refused {
        Refused::Syntax(_) => malformed(&refused.to_string()),
        Refused::Fields(errors) => unreadable(errors.under("body")),
    }
}

fn unsupported(detail: &str) -> Refusal {
    Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail)
}

fn malformed(why: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "body", format!("the body {why}"))
}

/// The request contains invalid values.
pub fn unreadable(errors: FieldErrors) -> Refusal {
    let refusal = Refusal::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "body",
        format!("the request cannot be stored: {errors}"),
    );
    Refusal {
        problem: refusal.problem.with_errors(errors),
        ..refusal
    }
}
