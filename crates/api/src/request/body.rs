//! Bodies: JSON of at most 1 MiB, optionally compressed, in UTF-8 or another charset.

use super::{
    body_budget::Reservation,
    content,
    form::{self, Form},
};
use crate::problem::Problem;
use attune_domain::{
    FieldErrors,
    json::{self, Refused},
    text::{Charset, Undecodable},
    webhook::{BodyForm, charset},
};
use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

pub const BYTES_MAX: usize = 1024 * 1024;
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Fields that default to a part of the ref; every definition has them.
const DERIVED_FROM_REF: [&str; 2] = ["label", "pack_ref"];

/// A form. An empty body is an empty object.
#[derive(Debug)]
pub struct Body<T> {
    pub form: T,
    /// The sha256 of the body: a repeat with the same `Idempotency-Key` must have the same.
    pub hash: [u8; 32],
}

/// A form that may have bad fields, for a handler that validates the rest and adds to these errors, so that all are
/// reported at once. Placeholders replace bad values.
#[derive(Debug)]
pub struct Draft<T> {
    pub form: T,
    pub errors: FieldErrors,
    pub hash: [u8; 32],
}

impl<S: Send + Sync, T: Form> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Draft { form, errors, hash } = Draft::from_request(request, state).await?;
        errors.into_result()?;
        Ok(Self { form, hash })
    }
}

impl<S: Send + Sync, T: Form> FromRequest<S> for Draft<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (values, hash) = object(request).await?;
        let (form, errors) = form::draft(values, Map::new())?;
        Ok(Self { form, errors, hash })
    }
}

/// The new fields of a definition. PATCH contains those that change; PUT contains all of them, and resets those that it
/// omits to their defaults.
#[derive(Debug)]
pub struct Changes {
    fields: Map<String, Value>,
    whole: bool,
}

impl<S: Send + Sync> FromRequest<S> for Changes {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        Ok(Self {
            whole: request.method() == Method::PUT,
            fields: object(request).await?.0,
        })
    }
}

impl Changes {
    /// Applies these fields to the current definition (PUT: to its ref alone, which the path contains) and reads the result
    /// as if it were new. Read-only fields are ignored, so that a client can send back what it has read. The errors are
    /// like those of a [`Draft`].
    pub fn over<T: Form + Serialize>(self, current: &T, read_only: &[&str]) -> Result<(T, FieldErrors), Problem> {
        let Ok(Value::Object(mut values)) = serde_json::to_value(current) else {
            tracing::error!("failed to serialize a definition to an object");
            return Err(Problem::internal());
        };
        if self.whole {
            values.retain(|name, _| name == "ref");
        }
        // What the changes address by number is not addressed by the stored reference too.
        for name in self.fields.keys() {
            values.shift_remove(&format!("{name}_ref"));
        }
        let current = values.clone();
        let mut nulls = FieldErrors::new();
        for (name, value) in self.fields {
            let never_null = T::DEFAULTED.contains(&name.as_str()) || DERIVED_FROM_REF.contains(&name.as_str());
            if value.is_null() && never_null && !self.whole {
                nulls.add(name, "must not be null; omit it to keep the current value");
            } else if !read_only.contains(&name.as_str()) {
                values.insert(name, value);
            }
        }
        let (form, errors) = form::draft(values, current)?;
        for error in errors.into_vec() {
            nulls.add(error.path, error.message);
        }
        Ok((form, nulls))
    }
}

async fn object(request: Request) -> Result<(Map<String, Value>, [u8; 32]), Problem> {
    let (parts, body) = request.into_parts();
    let (bytes, hash) = decoded(&parts, body, BYTES_MAX).await?;
    if bytes.is_empty() {
        return Ok((Map::new(), hash));
    }
    let charset = charset_of(&parts.headers)?;
    Ok((object_of(parse(&bytes, charset)?)?, hash))
}

/// A body without its content encoding, up to `max` bytes, and the hash of what was sent.
async fn decoded(parts: &Parts, body: axum::body::Body, max: usize) -> Result<(Bytes, [u8; 32]), Problem> {
    let bytes = read(parts, body, max).await?;
    let hash = Sha256::digest(&bytes).into();
    let decoded = content::decode(&parts.headers, bytes.clone(), max)?;
    if decoded != bytes {
        reservation(parts)?.grow(decoded.len())?;
    }
    Ok((decoded, hash))
}

/// Several objects: a JSON array, or one object per line (`application/x-ndjson`). An item that is not an object has a problem
/// of its own.
#[derive(Debug)]
pub struct Items {
    pub items: Vec<Result<Map<String, Value>, Problem>>,
    pub hash: [u8; 32],
}

impl<S: Send + Sync> FromRequest<S> for Items {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let (bytes, hash) = decoded(&parts, body, BATCH_BYTES_MAX).await?;
        let items = if is_ndjson(&parts.headers) {
            let text = std::str::from_utf8(&bytes).map_err(|_| not_json("a line is not UTF-8".to_owned()))?;
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.map(|line| value_of(line).and_then(object_of)).collect()
        } else {
            match parse(&bytes, charset_of(&parts.headers)?)? {
                Value::Array(items) => items.into_iter().map(object_of).collect(),
                other => {
                    let found = json::kind(&other);
                    return Err(Problem::field("", format!("the body must be a list, not {found}")));
                }
            }
        };
        Ok(Self { items, hash })
    }
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|text| text.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-ndjson"))
}

/// The raw bytes of a body, up to `max`. A body that declares a larger size is refused without reading it.
pub async fn read(parts: &Parts, body: axum::body::Body, max: usize) -> Result<Bytes, Problem> {
    let reservation = reservation(parts)?;
    read_with(&parts.headers, body, max, |bytes| reservation.grow(bytes)).await
}

/// The same, for a caller that limits the memory of all bodies itself.
pub async fn read_with(
    headers: &HeaderMap,
    body: axum::body::Body,
    max: usize,
    mut grow: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Bytes, Problem> {
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|bytes| bytes > max) {
        return Err(too_large(max, declared));
    }
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| unread())?;
        if bytes.len() + chunk.len() > max {
            return Err(too_large(max, declared));
        }
        grow(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

pub fn reservation(parts: &Parts) -> Result<&Reservation, Problem> {
    parts.extensions.get::<Reservation>().ok_or_else(Problem::internal)
}

fn unread() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "incomplete", "the body is incomplete")
}

fn too_large(max: usize, declared: Option<usize>) -> Problem {
    let detail = match declared {
        Some(bytes) => format!("the body has {bytes} bytes; at most {max} are allowed"),
        None => format!("the body is larger than {max} bytes"),
    };
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
}

/// The charset of a body whose content type is JSON.
fn charset_of(headers: &HeaderMap) -> Result<Charset, Problem> {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let content_type = given.next().and_then(|value| value.to_str().ok());
    if given.next().is_some() || BodyForm::of(content_type) != BodyForm::Json {
        let detail = "the body must be JSON with exactly one header `content-type: application/json`";
        return Err(unsupported(detail));
    }
    charset(content_type).map_err(|error| unsupported(format!("the body {error}")))
}

fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail)
}

fn parse(bytes: &Bytes, charset: Charset) -> Result<Value, Problem> {
    let text = charset.decode(bytes).map_err(|error| match error {
        Undecodable::Unknown(_) => unsupported(format!("the body {error}")),
        Undecodable::Malformed(_) => not_json(error.to_string()),
    })?;
    value_of(&text)
}

fn value_of(text: &str) -> Result<Value, Problem> {
    json::parse(text).map_err(|refused| match refused {
        Refused::Fields(errors) => Problem::invalid(errors),
        Refused::Syntax(why) => not_json(why),
    })
}

fn object_of(value: Value) -> Result<Map<String, Value>, Problem> {
    match value {
        Value::Object(values) => Ok(values),
        other => {
            let found = json::kind(&other);
            Err(Problem::field("", format!("the body must be an object, not {found}")))
        }
    }
}

fn not_json(why: String) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, "json", format!("the body is not JSON: {why}"));
    problem.with_errors(FieldErrors::one("", why))
}
