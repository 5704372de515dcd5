//! The answers of an operation: its success, and every problem that it may return.

use crate::{
    auth::Right,
    route::{Answer, Route},
    schema::Schema,
};
use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Status, name of the component, and when it is returned.
const PROBLEMS: [(u16, &str, &str); 14] = [
    (
        400,
        "BadRequest",
        "The request is malformed: for example, its body is not JSON.",
    ),
    (
        401,
        "Unauthorized",
        "The token or the signature is missing, invalid or expired.",
    ),
    (
        403,
        "Forbidden",
        "The role of the caller is too low, or this kind of token cannot do it.",
    ),
    (404, "NotFound", "The object does not exist."),
    (
        405,
        "MethodNotAllowed",
        "The webhook does not allow this method; `Allow` lists those that it does.",
    ),
    (408, "RequestTimeout", "The body did not arrive in time."),
    (
        409,
        "Conflict",
        "The state of this or another object does not allow the request; `conflicts` lists what is in the way.",
    ),
    (
        412,
        "PreconditionFailed",
        "The definition has changed since it was read (If-Match).",
    ),
    (413, "ContentTooLarge", "The body is too large."),
    (
        415,
        "UnsupportedMediaType",
        "The content type, charset or encoding of the body is not supported.",
    ),
    (
        422,
        "UnprocessableContent",
        "Validation failed; `errors` lists every invalid field.",
    ),
    (
        429,
        "TooManyRequests",
        "A rate limit is exceeded; `Retry-After` states when to retry.",
    ),
    (
        500,
        "InternalServerError",
        "Internal error; the log has the details under `instance`.",
    ),
    (
        503,
        "ServiceUnavailable",
        "The database is unavailable, the service is overloaded or shutting down; retry.",
    ),
];

pub fn problems() -> Map<String, Value> {
    let problem = |(status, name, description): (u16, &str, &str)| {
        let mut headers = vec!["x-request-id"];
        match status {
            405 => headers.push("Allow"),
            401 => headers.push("WWW-Authenticate"),
            409 | 429 | 503 => headers.push("Retry-After"),
            _ => {}
        }
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        let content = json!({"application/problem+json": {"schema": schema}});
        (
            name.to_owned(),
            json!({"description": description, "headers": references(&headers), "content": content}),
        )
    };
    PROBLEMS.into_iter().map(problem).collect()
}

pub fn headers() -> Map<String, Value> {
    let header = |(name, description, schema): (&str, &str, Value)| {
        (name.to_owned(), json!({"description": description, "schema": schema}))
    };
    let text = || json!({"type": "string"});
    let all = [
        ("Allow", "The methods that are allowed.", text()),
        ("ETag", "The version of the definition, for If-Match.", text()),
        (
            "Location",
            "The path of the new object.",
            json!({"type": "string", "format": "uri-reference"}),
        ),
        (
            "RateLimit",
            "What is left of the rate limit, such as `\"caller\";r=997;t=1` (draft-ietf-httpapi-ratelimit-headers).",
            text(),
        ),
        (
            "RateLimit-Policy",
            "The rate limit of the caller, such as `\"caller\";q=1000;w=1`: requests per second.",
            text(),
        ),
        (
            "Retry-After",
            "Retry after this many seconds.",
            json!({"type": "integer", "minimum": 1}),
        ),
        ("WWW-Authenticate", "`Bearer`: send a token.", text()),
        ("x-request-id", "The id of the request.", text()),
    ];
    all.into_iter().map(header).collect()
}

fn references(names: &[&str]) -> Map<String, Value> {
    let reference = |name: &&str| {
        (
            (*name).to_owned(),
            json!({"$ref": format!("#/components/headers/{name}")}),
        )
    };
    names.iter().map(reference).collect()
}

pub fn of(route: &Route) -> Value {
    let mut responses = Map::new();
    for (status, description, content) in successes(route) {
        let mut headers = vec!["x-request-id"];
        if route.right != Right::Public {
            headers.extend(["RateLimit", "RateLimit-Policy"]);
        }
        if route.versioned {
            headers.push("ETag");
        }
        if status == 201 || (status == 202 && route.waits()) {
            headers.push("Location");
        }
        let mut response = json!({"description": description, "headers": references(&headers)});
        if let Some(content) = content {
            response["content"] = content;
        }
        if route.downloads {
            response["content"]["text/plain"] = json!({"schema": {"type": "string"}});
        }
        responses.insert(status.to_string(), response);
    }
    let failures = failures(route);
    for (status, name, _) in PROBLEMS.into_iter().filter(|(status, ..)| failures.contains(status)) {
        responses.insert(
            status.to_string(),
            json!({"$ref": format!("#/components/responses/{name}")}),
        );
    }
    Value::Object(responses)
}

type Success = (u16, &'static str, Option<Value>);

fn successes(route: &Route) -> Vec<Success> {
    let ok = StatusCode::OK.as_u16();
    match &route.answer {
        Answer::One(schema) => vec![(ok, "The object.", Some(one(schema)))],
        Answer::List(schema) => vec![(ok, "A page of the list.", Some(list(schema)))],
        Answer::Created(schema) => {
            let created = if route.waits() {
                "Created; with `wait`, it has also ended."
            } else {
                "Created."
            };
            let mut all = vec![(201, created, Some(one(schema)))];
            if let Some(schema) = &route.archive {
                all.insert(
                    0,
                    (
                        ok,
                        "An archive was applied, or with `dry_run` compared.",
                        Some(one(schema)),
                    ),
                );
            }
            if route.idempotent {
                all.insert(0, (ok, "An earlier request created it.", Some(one(schema))));
            }
            if route.waits() {
                all.push((
                    202,
                    "Created; it has not ended within `wait` seconds.",
                    Some(one(schema)),
                ));
            }
            all
        }
        Answer::Accepted(schema) => vec![
            (
                ok,
                "A duplicate, or everything that follows has ended. A handshake is answered with its challenge.",
                Some(or_challenge(one(schema))),
            ),
            (202, "The event is stored.", Some(one(schema))),
        ],
        Answer::Nothing => vec![(204, "Done.", None)],
        Answer::Text(content_type) => {
            let schema = match *content_type {
                "application/json" => json!({"type": "object"}),
                "text/event-stream" => json!({
                    "type": "string",
                    "description": "Frames in the format of server-sent events.",
                    "x-frame": {"$ref": "#/components/schemas/StreamFrame"},
                }),
                _ => json!({"type": "string"}),
            };
            vec![(ok, "The content.", Some(json!({*content_type: {"schema": schema}})))]
        }
    }
}

fn one(schema: &Schema) -> Value {
    let warnings = "What was accepted but will not work as intended: for example, rules whose parameters do not fit.";
    json!({"application/json": {"schema": {"type": "object", "required": ["data"], "properties": {
        "data": schema.reference(),
        "warnings": {"type": "array", "items": {"type": "string"}, "description": warnings},
    }}}})
}

/// A handshake is answered with the challenge, as JSON or text.
fn or_challenge(mut content: Value) -> Value {
    let challenge =
        json!({"type": "object", "required": ["challenge"], "properties": {"challenge": {"type": "string"}}});
    let received = content["application/json"]["schema"].take();
    content["application/json"]["schema"] = json!({"anyOf": [received, challenge]});
    content["text/plain"] = json!({"schema": {"type": "string"}});
    content
}

fn list(schema: &Schema) -> Value {
    json!({"application/json": {"schema": {"type": "object", "required": ["data", "pagination"], "properties": {
        "data": {"type": "array", "items": schema.reference()},
        "pagination": {"$ref": "#/components/schemas/Pagination"},
    }}}})
}

/// The status of every problem that a route may return.
fn failures(route: &Route) -> BTreeSet<u16> {
    let is_webhook = matches!(route.answer, Answer::Accepted(_));
    let mut statuses = BTreeSet::from([400, 500, 503]);
    if route.right != Right::Public {
        statuses.extend([401, 403, 429]);
    } else if route.path.starts_with("/auth/") {
        statuses.extend([401, 429]);
        if route.path.starts_with("/auth/web/") {
            statuses.insert(403);
        }
    }
    if route.path.contains('{') {
        statuses.insert(404);
    }
    if route.reads_body || is_webhook {
        statuses.extend([408, 413, 415, 422]);
    }
    if route.query.is_some() || route.idempotent {
        statuses.insert(422);
    }
    if route.conflicts {
        statuses.insert(409);
    }
    if route.conditional {
        statuses.insert(412);
    }
    if is_webhook {
        statuses.extend([401, 403, 405, 429]);
    }
    if route.method == Method::GET && route.path == "/api/v1/stream" {
        statuses.insert(429);
    }
    statuses
}
