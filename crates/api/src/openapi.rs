//! The `OpenAPI` document, made of the table of routes and of the schemas of what they take and give. It is kept in
//! `docs/generated/openapi.json`, where a test compares it.

use crate::{
    answer::Pagination,
    auth::Right,
    examples,
    problem::{self, Facts},
    route::{Answer, Needs, Route},
    router,
    schema::Schema,
};
use serde_json::{Map, Value, json};

pub fn document() -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    collect(&mut schemas, &Schema::of::<Facts>());
    collect(&mut schemas, &Schema::of::<Pagination>());
    for route in router::routes() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation(&route);
        let (Answer::One(answer) | Answer::List(answer) | Answer::Created(answer) | Answer::Accepted(answer)) =
            &route.answer
        else {
            collect_some(&mut schemas, route.body.as_ref().filter(|_| route.needs == Needs::All));
            continue;
        };
        collect(&mut schemas, answer);
        collect_some(&mut schemas, route.body.as_ref().filter(|_| route.needs == Needs::All));
    }
    schemas.sort_keys();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Attune",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Timers, webhooks and events meet rules; rules run actions. Times are RFC 3339 in UTC, durations are in seconds. \
                Errors are application/problem+json and name every bad field. Answers to a caller who is signed in report the rate \
                limit in RateLimit-Policy and RateLimit; 429 carries Retry-After.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": {
                "RateLimit": {"description": "what is left of the rate limit, such as \"caller\";r=997;t=1 (draft-ietf-httpapi-ratelimit-headers)", "schema": {"type": "string"}},
                "RateLimit-Policy": {"description": "the rate limit of the caller, such as \"caller\";q=1000;w=1: requests per second", "schema": {"type": "string"}},
            },
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An access token from /auth/login, or an API token."}},
        },
    })
}

fn collect_some(schemas: &mut Map<String, Value>, schema: Option<&Schema>) {
    if let Some(schema) = schema {
        collect(schemas, schema);
    }
}

fn collect(schemas: &mut Map<String, Value>, schema: &Schema) {
    schemas.insert(schema.name.clone(), schema.value.clone());
    for (name, value) in &schema.others {
        schemas.entry(name).or_insert_with(|| value.clone());
    }
}

fn operation(route: &Route) -> Value {
    let right = match route.right {
        Right::Public => "public".to_owned(),
        right => right.role().map(|role| role.to_string()).unwrap_or_default(),
    };
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "tags": [tag(route.path)],
        "x-right": right,
        "responses": responses(route),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = json!(parameters);
    }
    if let Some(body) = &route.body {
        let schema = body.needing(route.needs);
        let required = match route.needs {
            Needs::All => body.fields().iter().any(|(_, _, needed)| *needed),
            Needs::AllButName | Needs::Nothing => schema.get("required").is_some(),
        };
        let mut content = json!({"schema": schema});
        if let Some(example) = examples::of(route.method.as_str(), route.path) {
            content["example"] = example;
        }
        operation["requestBody"] = json!({"required": required, "content": {"application/json": content}});
    }
    if route.right != Right::Public {
        operation["security"] = json!([{"bearer": []}]);
        for response in operation["responses"]
            .as_object_mut()
            .into_iter()
            .flat_map(Map::values_mut)
        {
            response["headers"] = json!({
                "RateLimit": {"$ref": "#/components/headers/RateLimit"},
                "RateLimit-Policy": {"$ref": "#/components/headers/RateLimit-Policy"},
            });
        }
    }
    operation
}

/// `GET /api/v1/rules/{ref}` is `get_rules_ref`.
fn operation_id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1/").trim_start_matches('/');
    let words = path.replace(['{', '}'], "").replace(['/', '.'], "_");
    let words = if words.is_empty() { "root" } else { &words };
    format!("{}_{words}", route.method.as_str().to_lowercase())
}

fn tag(path: &str) -> &str {
    let path = path.trim_start_matches("/api/v1/").trim_start_matches('/');
    path.split('/').next().filter(|word| !word.is_empty()).unwrap_or("root")
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut parameters = Vec::new();
    if let Some((_, rest)) = route.path.split_once('{') {
        let name = rest.split('}').next().unwrap_or_default();
        let says = match name {
            "ref" => "a reference or a number",
            "key" => "the secret part of a webhook's address",
            _ => "an id",
        };
        parameters.push(
            json!({"name": name, "in": "path", "required": true, "description": says, "schema": {"type": "string"}}),
        );
    }
    for (name, schema, required) in route.query.iter().flat_map(Schema::fields) {
        let says = schema["description"].as_str().unwrap_or_default().to_owned();
        parameters
            .push(json!({"name": name, "in": "query", "required": required, "description": says, "schema": schema}));
    }
    if route.idempotent {
        let says = "a repeat with the same key within 24 hours gets the first answer";
        parameters.push(json!({"name": "Idempotency-Key", "in": "header", "description": says, "schema": {"type": "string", "minLength": 1, "maxLength": 255}}));
    }
    parameters
}

fn responses(route: &Route) -> Value {
    let json_of = |schema: Value| json!({"application/json": {"schema": schema}});
    let warnings =
        "what was taken and will not do what its author hopes: a rule whose parameters do not fit its action";
    let one = |schema: &Schema| {
        json_of(json!({"type": "object", "required": ["data"], "properties": {
            "data": schema.reference(),
            "warnings": {"type": "array", "items": {"type": "string"}, "description": warnings},
        }}))
    };
    let list = |schema: &Schema| {
        json_of(
            json!({"type": "object", "required": ["data", "pagination"], "properties": {
                "data": {"type": "array", "items": schema.reference()},
                "pagination": {"$ref": "#/components/schemas/Pagination"},
            }}),
        )
    };
    let mut responses = Map::new();
    match &route.answer {
        Answer::One(schema) => {
            responses.insert("200".to_owned(), json!({"description": "done", "content": one(schema)}))
        }
        Answer::List(schema) => responses.insert(
            "200".to_owned(),
            json!({"description": "a page", "content": list(schema)}),
        ),
        Answer::Created(schema) => {
            if route.idempotent {
                responses.insert(
                    "200".to_owned(),
                    json!({"description": "it was made by an earlier request", "content": one(schema)}),
                );
            }
            if route.waits() {
                let described =
                    json!({"description": "made; it had not ended after `wait` seconds", "content": one(schema)});
                responses.insert("202".to_owned(), described);
            }
            responses.insert("201".to_owned(), json!({"description": "made", "content": one(schema)}))
        }
        Answer::Accepted(schema) => {
            responses.insert(
                "200".to_owned(),
                json!({"description": "it had come before, or all that follows is done", "content": one(schema)}),
            );
            responses.insert(
                "202".to_owned(),
                json!({"description": "taken", "content": one(schema)}),
            )
        }
        Answer::Nothing => responses.insert("204".to_owned(), json!({"description": "done"})),
        Answer::Text(content_type) => responses.insert(
            "200".to_owned(),
            json!({"description": "done", "content": {*content_type: {}}}),
        ),
    };
    responses.insert("default".to_owned(), problem::documented());
    Value::Object(responses)
}
