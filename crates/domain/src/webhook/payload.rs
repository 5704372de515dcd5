//! What the event of a webhook says: `{"method", "headers", "query", "body"}`.

use super::{Headers, WebhookConfig};
use serde_json::{Map, Value, json};

/// Headers that every payload carries, when they came.
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
const FIELDS_MAX: usize = 1_000;

/// How a body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    Json,
    /// `name=value&name=value`.
    Form,
    Text,
    /// Nobody says: JSON when it is JSON, else text.
    Unsaid,
    /// Something that has no place in JSON.
    Foreign,
}

impl BodyForm {
    pub fn of(content_type: Option<&str>) -> Self {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.as_str() {
            "" => Self::Unsaid,
            "application/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            "application/xml" | "application/yaml" | "application/x-ndjson" => Self::Text,
            text if text.starts_with("text/") || text.ends_with("+xml") => Self::Text,
            json if json.ends_with("+json") => Self::Json,
            _ => Self::Foreign,
        }
    }
}

/// The fields of a form or of a query; a field that comes more than once is a list.
pub fn form(text: &[u8]) -> Value {
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(text).take(FIELDS_MAX) {
        let value = Value::String(value.into_owned());
        match fields.get_mut(name.as_ref()) {
            None => {
                fields.insert(name.into_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Value::Object(fields)
}

pub fn payload(config: &WebhookConfig, method: &str, headers: &Headers<'_>, query: &str, body: Value) -> Value {
    let names = ALWAYS.iter().copied().chain(config.headers.iter().map(String::as_str));
    let mut shown = Map::new();
    for name in names {
        if let Some(value) = headers.first(name) {
            shown.insert(name.to_owned(), value.into());
        }
    }
    let mut payload = json!({"method": method, "headers": shown, "query": form(query.as_bytes())});
    payload["body"] = body;
    payload
}
