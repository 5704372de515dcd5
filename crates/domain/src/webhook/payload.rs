//! The payload of a webhook's event: `{"method", "headers", "query", "body"}`.

use super::{Headers, WebhookConfig};
use crate::{
    FieldErrors,
    text::{BadForm, Charset, Undecodable, fields, pairs},
};
use serde_json::{Map, Value, json};

/// Headers that every payload contains, if they were sent.
const ALWAYS: [&str; 9] = [
    "content-type",
    "user-agent",
    "x-request-id",
    "webhook-id",
    "webhook-timestamp",
    "x-github-event",
    "x-github-delivery",
    "x-gitlab-event",
    "x-slack-retry-num",
];

/// How a body is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    Json,
    /// `name=value&name=value`.
    Form,
    /// The fields of a form, each in a separate part.
    Multipart,
    Text,
    /// Without a content type: JSON if it parses, otherwise text.
    Unsaid,
    /// A format that JSON cannot represent.
    Foreign,
}

impl BodyForm {
    pub fn of(content_type: Option<&str>) -> Self {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Unsaid,
            "application/json" | "text/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" => Self::Multipart,
            "application/xml" | "application/yaml" | "application/x-yaml" | "application/x-ndjson" => Self::Text,
            json if json.ends_with("+json") => Self::Json,
            text if text.starts_with("text/") || text.ends_with("+xml") || text.ends_with("+yaml") => Self::Text,
            _ => Self::Foreign,
        }
    }
}

/// The charset that a content type declares.
pub fn charset(content_type: Option<&str>) -> Result<Charset, Undecodable> {
    let parameters = content_type.unwrap_or_default().split(';').skip(1);
    let mut charset: Option<&str> = None;
    for (name, value) in parameters.filter_map(|parameter| parameter.split_once('=')) {
        if name.trim().eq_ignore_ascii_case("charset") {
            let value = value.trim().trim_matches('"');
            match charset.filter(|before| !before.eq_ignore_ascii_case(value)) {
                Some(before) => return Err(Undecodable::Unknown(format!("{before} and also {value}"))),
                None => charset = Some(value),
            }
        }
    }
    Charset::named(charset)
}

/// The fields of a query.
pub fn query(query: &str) -> Result<Value, FieldErrors> {
    match pairs(query.as_bytes(), Charset::Utf8) {
        Ok(pairs) => Ok(fields(pairs)),
        Err(BadForm::Fields(errors)) => Err(errors.under("query")),
        Err(BadForm::Charset(error)) => Err(FieldErrors::one("query", error.to_string())),
    }
}

/// The payload of a request with this query and this body. A repeated header is a list.
pub fn payload(config: &WebhookConfig, method: &str, headers: &Headers<'_>, query: Value, body: Value) -> Value {
    let names = ALWAYS.iter().copied().chain(config.headers.iter().map(String::as_str));
    let mut shown = Map::new();
    for name in names {
        if let Some(value) = headers.shown(name) {
            shown.insert(name.to_owned(), value);
        }
    }
    let mut payload = json!({"method": method, "headers": shown});
    payload["query"] = query;
    payload["body"] = body;
    payload
}
