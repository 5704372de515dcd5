//! Checks every answer of every test against the OpenAPI document: its status, its content type, and its body.

use crate::test_api::Answer;
use attune_domain::{
    ActionId,
    condition::Condition,
    policy::{Concurrency, RateLimit},
    resources::Resources,
    retry::RetryPolicy,
    timer::TimerConfig,
    webhook::WebhookConfig,
};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
};

static DOCUMENT: LazyLock<Value> = LazyLock::new(attune_api::openapi_document);

/// Does nothing for a path or a method that the API does not have.
#[track_caller]
pub fn check(method: &str, path: &str, answer: &Answer) {
    // A definition that SQL made unusable is returned as it is, with a warning.
    if answer.body["warnings"].to_string().contains("is misconfigured") {
        return;
    }
    let Some(operation) = operation(method, path) else {
        return;
    };
    let status = answer.status.as_u16().to_string();
    let documented = resolve(&operation["responses"][&status]);
    assert!(
        !documented.is_null(),
        "{method} {path}: {status} is not documented: {}",
        answer.body
    );
    let content_type = answer.header("content-type").split(';').next().unwrap_or_default();
    let content = &documented["content"];
    if content_type.is_empty() {
        assert!(content.is_null(), "{method} {path} {status}: no content");
        return;
    }
    let media = &content[content_type];
    assert!(
        !media.is_null(),
        "{method} {path} {status}: {content_type} is not documented"
    );
    let is_compressed = !answer.header("content-encoding").is_empty();
    if content_type.ends_with("json") && !is_compressed {
        let validator = validator(&media["schema"]);
        let errors: Vec<_> = validator
            .iter_errors(&answer.body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(
            errors.is_empty(),
            "{method} {path} {status}: {errors:#?} in {}",
            answer.body
        );
    }
}

/// Compiled once for each schema: some tests send a thousand requests.
fn validator(schema: &Value) -> Arc<Validator> {
    static KNOWN: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().expect("no test panicked in here");
    let validator = known.entry(schema.to_string()).or_insert_with(|| {
        let mut components = Map::new();
        add_components(schema, &mut components);
        let mut whole = schema.clone();
        whole["components"] = json!({"schemas": components});
        Arc::new(jsonschema::draft202012::new(&whole).expect("a valid schema"))
    });
    validator.clone()
}

/// Adds every component that a schema refers to.
fn add_components(schema: &Value, components: &mut Map<String, Value>) {
    match schema {
        Value::String(text) => {
            let name = text.strip_prefix("#/components/schemas/");
            if let Some(name) = name.filter(|name| !components.contains_key(*name)) {
                let component = &DOCUMENT["components"]["schemas"][name];
                components.insert(name.to_owned(), component.clone());
                add_components(component, components);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_components(item, components)),
        Value::Object(fields) => fields.values().for_each(|value| add_components(value, components)),
        _ => {}
    }
}

fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap_or_default();
    let path = if path == "/" { path } else { path.trim_end_matches('/') };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    let mut matching: Vec<_> = paths.iter().filter(|(template, _)| fits(template, path)).collect();
    // `/rules/test` before `/rules/{ref}`.
    matching.sort_by_key(|(template, _)| template.contains('{'));
    matching.first().and_then(|(_, item)| item.get(method.to_lowercase()))
}

fn fits(template: &str, path: &str) -> bool {
    let (mut expected, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(value)) if part == value || (part.starts_with('{') && !value.is_empty()) => {}
            _ => return false,
        }
    }
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(target) => DOCUMENT.pointer(target.trim_start_matches('#')).expect("a target"),
        None => value,
    }
}

/// The schema of this component and its parser agree on the value.
fn agree(component: &str, value: &Value, parsed: bool, valid: bool) {
    let validator = validator(&json!({"$ref": format!("#/components/schemas/{component}")}));
    assert_eq!(parsed, valid, "{component} parses {value}");
    assert_eq!(
        validator.is_valid(value),
        valid,
        "the schema of {component} accepts {value}"
    );
}

#[test]
fn schemas_of_policies_agree_with_their_parsers() {
    let retry = |value: Value, valid| agree("RetryPolicy", &value, RetryPolicy::parse(&value).is_ok(), valid);
    retry(json!({"max_attempts": 3}), true);
    retry(
        json!({"max_attempts": 3, "backoff_seconds": 0.5, "factor": 1, "max_seconds": 60, "on": ["timed_out"]}),
        true,
    );
    retry(json!({}), false);
    retry(json!({"max_attempts": 0}), false);
    retry(json!({"max_attempts": 101}), false);
    retry(json!({"max_attempts": 3, "factor": 11}), false);
    retry(json!({"max_attempts": 3, "on": ["succeeded"]}), false);
    retry(json!({"max_attempts": 3, "tries": 1}), false);
    let concurrency = |value: Value, valid| {
        agree(
            "Concurrency",
            &value,
            Concurrency::<ActionId>::parse(&value).is_ok(),
            valid,
        );
    };
    concurrency(json!({"limit": 1}), true);
    concurrency(
        json!({"limit": 10_000, "key": "{{ parameters.host }}", "overflow": "skip"}),
        true,
    );
    concurrency(json!({"limit": 1, "key": null, "overflow": null}), true);
    concurrency(json!({"limit": 0}), false);
    concurrency(json!({"limit": 10_001}), false);
    concurrency(json!({"limit": 1, "key": " "}), false);
    concurrency(json!({"limit": 1, "overflow": "drop"}), false);
    let rate_limit = |value: Value, valid| agree("RateLimit", &value, RateLimit::parse(&value).is_ok(), valid);
    rate_limit(json!({"limit": 10, "window_seconds": 60}), true);
    rate_limit(json!({"limit": 10}), false);
    rate_limit(json!({"limit": 10, "window_seconds": 86_401}), false);
    let resources = |value: Value, valid| agree("Resources", &value, Resources::parse(&value).is_ok(), valid);
    resources(json!({}), true);
    resources(
        json!({"memory_mb": 512, "cpu": 0.5, "processes": null, "files": 64}),
        true,
    );
    resources(json!({"memory_mb": 15}), false);
    resources(json!({"cpu": 0}), false);
    resources(json!({"disk": 1}), false);
}

#[test]
fn schemas_of_timers_agree_with_their_parsers() {
    let timer = |value: Value, valid| agree("TimerConfig", &value, TimerConfig::parse(&value).is_ok(), valid);
    timer(json!({"type": "interval", "seconds": 10}), true);
    timer(
        json!({"type": "interval", "minutes": 5, "hours": null, "anchor": "epoch", "misfire": "skip"}),
        true,
    );
    timer(
        json!({"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin", "dst_gap": "run"}),
        true,
    );
    timer(
        json!({"type": "one_shot", "fire_at": "2027-01-20T15:00:00Z", "allow_past": true}),
        true,
    );
    timer(json!({"type": "daily"}), false);
    timer(json!({"seconds": 10}), false);
    timer(json!({"type": "cron"}), false);
    timer(json!({"type": "interval", "seconds": "10"}), false);
    timer(
        json!({"type": "interval", "seconds": 10, "expression": "* * * * *"}),
        false,
    );
    timer(json!({"type": "interval", "seconds": 10, "misfire": "never"}), false);
}

#[test]
fn schemas_of_webhooks_agree_with_their_parsers() {
    let webhook = |value: Value, valid| {
        agree("WebhookConfig", &value, WebhookConfig::parse(&value).is_ok(), valid);
    };
    webhook(json!({"verify": "none"}), true);
    webhook(
        json!({"verify": "github", "secret": "abc", "dedup": {"pointer": "/id"}, "methods": ["POST", "PUT"]}),
        true,
    );
    webhook(
        json!({"verify": "generic", "secret": "abc", "header": "x-signature", "algorithm": "sha512"}),
        true,
    );
    webhook(
        json!({"verify": "none", "dedup": "none", "headers": ["x-tenant"], "wait_seconds": 30, "files": "ignore"}),
        true,
    );
    webhook(
        json!({"verify": "none", "challenge": {"query": "hub.challenge", "when": {"hub.verify_token": "t"}}}),
        true,
    );
    webhook(json!({}), false);
    webhook(json!({"verify": "github"}), false);
    webhook(json!({"verify": "none", "secret": "abc"}), false);
    webhook(json!({"verify": "generic", "secret": "abc"}), false);
    webhook(json!({"verify": "none", "wait_seconds": 31}), false);
    webhook(json!({"verify": "none", "methods": []}), false);
    webhook(json!({"verify": "none", "dedup": {"body": "/id"}}), false);
}

#[test]
fn schemas_of_conditions_agree_with_their_parsers() {
    let condition = |value: Value, valid| agree("Condition", &value, Condition::compile(&value).is_ok(), valid);
    let clause = json!({"path": "event.payload.n", "operator": "greater_than", "value": 3});
    condition(Value::Null, true);
    condition(json!("event.payload.n > 3"), true);
    condition(clause.clone(), true);
    condition(json!({"all": [clause, {"any": [{"not": clause}]}]}), true);
    condition(
        json!({"path": "event.payload.n", "operator": "equals", "value": 1, "missing": "fail"}),
        true,
    );
    condition(json!({"all": []}), false);
    condition(
        json!({"path": "event.payload.n", "operator": "near", "value": 3}),
        false,
    );
    condition(
        json!({"path": "event.payload.n", "operator": "equals", "value": 1, "missing": "skip"}),
        false,
    );
    condition(json!({"some": [clause]}), false);
    condition(json!(true), false);
}
