//! The `OpenAPI` document, built from the table of routes and from the schemas of what routes take and return. A test
//! compares it with `docs/generated/openapi.json`.
//!
//! The tricky thing is what generators of clients understand: [`refine`] turns what the derives produce into plain
//! objects and tagged unions, without `allOf`.

mod definitions;
mod fields;
mod operation;
mod refine;
mod responses;
mod service;
mod stream;

use crate::{
    answer::Pagination,
    problem::Facts,
    route::{Answer, Route},
    schema::Schema,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const DESCRIPTION: &str = "Attune turns timers, webhooks and other events into executions of actions: rules decide which \
    event runs which action. Times are RFC 3339 in UTC, durations are in seconds. Every error is a problem \
    (RFC 9457, application/problem+json) that lists each invalid field. Lists are paged: pass `pagination.next` as \
    `cursor`. Sign in at /auth/login, or create an API token, and send it as `Authorization: Bearer …`.";

pub fn document(routes: &[Route]) -> Value {
    let mut paths = Map::new();
    for route in routes {
        let path = paths
            .entry(route.path)
            .or_insert_with(|| json!({"parameters": [operation::REQUEST_ID.reference()]}));
        path[route.method.as_str().to_lowercase()] = operation::of(route);
    }
    paths.extend(service::paths());
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Attune",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The instance that serves this document"}],
        "security": [{"bearer": []}, {"cookie": []}],
        "tags": operation::tags(),
        "paths": paths,
        "components": {
            "schemas": schemas(routes),
            "parameters": operation::shared_parameters(),
            "headers": responses::headers(),
            "responses": responses::problems(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token from /auth/login, or an API token.",
                },
                "cookie": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-attune_8080",
                    "description": "The session of a browser, from /auth/web/login. The name ends with the port.",
                },
            },
        },
    });
    refine::prune(&mut document);
    document
}

/// All component schemas by name.
fn schemas(routes: &[Route]) -> Map<String, Value> {
    let mut all = Map::new();
    let mut inputs = BTreeSet::new();
    for route in routes {
        if let Some(body) = &route.body {
            all.entry(operation::body_name(body, route.needs))
                .or_insert_with(|| body.needing(route.needs));
            add(&mut all, body);
            inputs.extend(names(body));
        }
    }
    inputs.extend(all.keys().cloned().collect::<Vec<_>>());
    for answer in routes
        .iter()
        .flat_map(|route| answer(&route.answer).into_iter().chain(&route.archive))
    {
        add(&mut all, answer);
    }
    add(&mut all, &Schema::of::<Facts>());
    add(&mut all, &Schema::of::<Pagination>());
    for (name, schema) in definitions::schemas() {
        inputs.insert(name.clone());
        all.insert(name, schema);
    }
    refine::flatten(&mut all);
    for (name, schema) in &mut all {
        let place = if inputs.contains(name) {
            fields::Place::Input
        } else {
            fields::Place::Answer
        };
        refine::each_object(schema, &mut |object| {
            fields::refine(name, object, place);
            if place == fields::Place::Answer {
                refine::require_all(name, object);
            }
        });
    }
    if let Some(service) = all.get_mut("Service") {
        service["properties"]["detail"] = json!({"$ref": "#/components/schemas/ServiceDetail"});
    }
    definitions::split_triggers_by_kind(&mut all);
    all.insert("StreamFrame".to_owned(), stream::frame());
    refine::name_variants(&mut all);
    all.sort_keys();
    all
}

fn answer(answer: &Answer) -> Option<&Schema> {
    match answer {
        Answer::One(schema) | Answer::List(schema) | Answer::Created(schema) | Answer::Accepted(schema) => Some(schema),
        Answer::Nothing | Answer::Text(_) => None,
    }
}

fn names(schema: &Schema) -> impl Iterator<Item = String> {
    let others = schema.others.iter().map(|(name, _)| name.clone());
    std::iter::once(schema.name.clone()).chain(others)
}

fn add(all: &mut Map<String, Value>, schema: &Schema) {
    all.entry(&schema.name).or_insert_with(|| schema.value.clone());
    for (name, value) in &schema.others {
        all.entry(name).or_insert_with(|| value.clone());
    }
}
