//! One operation: its parameters, its body, its answers.

use super::{fields, refine, responses};
use crate::{
    auth::Right,
    examples,
    limits::BATCH_MAX,
    route::Route,
    schema::{Needs, Schema},
};
use axum::http::Method;
use serde_json::{Map, Value, json};

/// A parameter that several operations share.
#[derive(Debug)]
pub struct Shared {
    component: &'static str,
    name: &'static str,
    description: &'static str,
}

pub const REQUEST_ID: Shared = Shared {
    component: "RequestId",
    name: "x-request-id",
    description: "Your id for this request: 1 to 64 letters, digits, `-`, `_` and `.`. It appears in the log, in problems \
        and in the answer. Without it, the server generates one.",
};
const IF_MATCH: Shared = Shared {
    component: "IfMatch",
    name: "If-Match",
    description: "The ETag that you have read. If the definition has changed since, the request is refused with 412.",
};
const IDEMPOTENCY_KEY: Shared = Shared {
    component: "IdempotencyKey",
    name: "Idempotency-Key",
    description: "Makes the request safe to repeat: within 24 hours, a request with the same key and body returns the \
        first answer and creates nothing.",
};
const LAST_EVENT_ID: Shared = Shared {
    component: "LastEventId",
    name: "Last-Event-ID",
    description: "The id of the last event that you have received. What was sent after it is sent again, if it is at most \
        5 minutes old.",
};

impl Shared {
    pub fn reference(&self) -> Value {
        json!({"$ref": format!("#/components/parameters/{}", self.component)})
    }

    fn parameter(&self, schema: &Value) -> (String, Value) {
        let parameter = json!({"name": self.name, "in": "header", "description": self.description, "schema": schema});
        (self.component.to_owned(), parameter)
    }
}

pub fn shared_parameters() -> Map<String, Value> {
    let text = json!({"type": "string", "minLength": 1, "maxLength": 255});
    Map::from_iter([
        REQUEST_ID.parameter(&json!({"type": "string", "examples": ["build-4711"]})),
        IF_MATCH.parameter(&json!({"type": "string", "examples": ["\"7\""]})),
        IDEMPOTENCY_KEY.parameter(&text),
        LAST_EVENT_ID.parameter(&json!({"type": "string", "examples": ["1796040000000"]})),
    ])
}

/// Tags group the operations, in this order.
const TAGS: [(&str, &str); 23] = [
    ("auth", "Sign in, sign out, and change your password."),
    ("documentation", "The entry point and the documentation of the API."),
    ("packs", "Packs group the definitions that belong together."),
    ("runtimes", "Runtimes run the actions of one kind."),
    (
        "triggers",
        "Triggers define what can happen: timers, webhooks and others.",
    ),
    ("timers", "The schedule and the status of timers."),
    ("actions", "Actions define what can be done."),
    ("rules", "Rules connect triggers to actions."),
    ("events", "Events record what has happened."),
    (
        "traces",
        "A trace shows everything that belongs to one event or execution.",
    ),
    ("enforcements", "Enforcements record which rules matched an event."),
    ("executions", "Executions are runs of actions."),
    ("stream", "Changes as server-sent events."),
    ("webhooks", "The addresses that senders call."),
    ("webhook-requests", "The requests that webhooks have received."),
    ("search", "Find definitions by text, and occurrences by their id."),
    ("attention", "What needs the attention of a person."),
    ("queue", "Quarantined events."),
    ("services", "The running services and workers."),
    ("retention", "How long history is retained."),
    ("audit", "Who changed what."),
    ("identities", "Identities and API tokens."),
    ("health", "Health and metrics of this instance, without authentication."),
];

pub fn tags() -> Vec<Value> {
    let tag = |(name, description): (&str, &str)| json!({"name": name, "description": description});
    TAGS.into_iter().map(tag).collect()
}

fn tag(path: &str) -> &str {
    let path = path.strip_prefix("/api/v1").unwrap_or(path).trim_start_matches('/');
    match path.split('/').next().unwrap_or_default() {
        "" | "api" | "meta" | "openapi.json" => "documentation",
        "workers" => "services",
        "tokens" => "identities",
        "timezones" => "timers",
        "resolve" => "search",
        word => word,
    }
}

pub fn of(route: &Route) -> Value {
    let right = route
        .right
        .role()
        .map_or_else(|| "public".to_owned(), |role| role.to_string());
    let mut operation = json!({
        "summary": route.summary,
        "description": route.description,
        "operationId": operation_id(route),
        "tags": [tag(route.path)],
        "x-right": right,
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = request_body(route) {
        operation["requestBody"] = body;
    }
    operation["responses"] = responses::of(route);
    if route.right == Right::Public {
        operation["security"] = json!([]);
    }
    operation["x-codeSamples"] = json!([{"lang": "Shell", "label": "curl", "source": curl(route)}]);
    operation
}

/// `GET /api/v1/rules/{ref}` is `get_rules_ref`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1/").trim_start_matches('/');
    let name = path.replace(['{', '}'], "").replace(['/', '.'], "_");
    let name = if name.is_empty() { "root" } else { &name };
    format!("{}_{name}", route.method.as_str().to_lowercase())
}

/// The component that describes a body.
pub fn body_name(body: &Schema, needs: Needs) -> String {
    let suffix = match needs {
        Needs::All => "",
        Needs::AllButName => "Replacement",
        Needs::Nothing => "Patch",
    };
    format!("{}{suffix}", body.name)
}

fn request_body(route: &Route) -> Option<Value> {
    let Some(body) = &route.body else {
        // A webhook takes any body.
        let mut any = json!({"required": false, "content": {"application/json": {"schema": {}}}});
        if let Some(example) = examples::of(route.method.as_str(), route.path) {
            any["content"]["application/json"]["example"] = example;
        }
        let takes_any = route.path.contains("{key}") && ![Method::GET, Method::DELETE].contains(&route.method);
        return takes_any.then_some(any);
    };
    let needed = body
        .needing(route.needs)
        .get("required")
        .is_some_and(|names| *names != json!([]));
    let reference = format!("#/components/schemas/{}", body_name(body, route.needs));
    if route.batch {
        let items = json!({"type": "array", "minItems": 1, "maxItems": BATCH_MAX, "items": {"$ref": reference}});
        let mut list = json!({"schema": items});
        if let Some(example) = examples::of(route.method.as_str(), route.path) {
            list["example"] = example;
        }
        let lines = json!({"schema": {"type": "string", "description": "One JSON object per line."}});
        let content = json!({"application/json": list, "application/x-ndjson": lines});
        return Some(json!({"required": true, "content": content}));
    }
    let mut content = json!({"schema": {"$ref": reference}});
    if let Some(example) = examples::of(route.method.as_str(), route.path) {
        content["example"] = example;
    }
    let mut content = json!({"application/json": content});
    if route.archive.is_some() {
        for kind in ["application/gzip", "application/zip"] {
            content[kind] = json!({"schema": {"type": "string", "format": "binary"}});
        }
    }
    Some(json!({"required": needed, "content": content}))
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    if let Some((before, rest)) = route.path.split_once('{') {
        let name = rest.split('}').next().unwrap_or_default();
        let (description, schema) = match name {
            "ref" if before.ends_with("/packs/") => ("The ref or the number of a pack.", fields::pack_key()),
            "ref" => ("The ref or the number of the definition.", fields::definition_key()),
            "key" => (
                "The secret part of the webhook's URL.",
                json!({"type": "string", "minLength": 1}),
            ),
            _ if before.ends_with("/identities/") || before.ends_with("/tokens/") => {
                ("The number of the object.", fields::number(1, i64::MAX))
            }
            _ => ("The id of the object.", json!({"type": "string", "format": "uuid"})),
        };
        parameters
            .push(json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema}));
    }
    let form = route.query.as_ref().map_or("", |form| form.name.as_str());
    for (name, mut schema, required) in route.query.iter().flat_map(Schema::fields) {
        refine::without_null(&mut schema);
        fields::refine_field(form, &name, &mut schema, fields::Place::Query);
        let description = schema["description"]
            .as_str()
            .map_or_else(|| fields::description(&name), str::to_owned);
        if let Value::Object(keywords) = &mut schema {
            keywords.remove("description");
        }
        parameters.push(
            json!({"name": name, "in": "query", "required": required, "description": description, "schema": schema}),
        );
    }
    if route.idempotent {
        parameters.push(IDEMPOTENCY_KEY.reference());
    }
    if route.conditional {
        parameters.push(IF_MATCH.reference());
    }
    if route.path == "/api/v1/stream" {
        parameters.push(LAST_EVENT_ID.reference());
    }
    parameters
}

/// A command line that calls the operation.
fn curl(route: &Route) -> String {
    let mut line = "curl".to_owned();
    if route.method != Method::GET {
        line.push_str(" -X ");
        line.push_str(route.method.as_str());
    }
    if route.right != Right::Public {
        line += " -H \"Authorization: Bearer $TOKEN\"";
    }
    if let Some(example) = examples::of(route.method.as_str(), route.path) {
        let body = example.to_string().replace('\'', "'\\''");
        line.push_str(" -H 'Content-Type: application/json' -d '");
        line.push_str(&body);
        line.push('\'');
    }
    let place = examples::place(route.path);
    format!("{line} \"$ATTUNE{place}\"")
}
