//! What every field of one name has in common: patterns of refs, bounds of numbers and texts, the types of policies.
//!
//! The names of fields mean the same everywhere in the API, so one table serves bodies, answers and queries. What a
//! derive has stated already is not changed.

use crate::request::{one_of::LIST, query::LIMIT_MAX};
use serde_json::{Value, json};

/// Where a schema is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Input,
    Answer,
    Query,
}

const NAME: &str = "[a-z][a-z0-9_]{0,63}";
const LOGIN: &str = "^[a-z0-9][a-z0-9._@-]{0,63}$";
const POLICIES: [(&str, &str); 5] = [
    ("condition", "Condition"),
    ("retry", "RetryPolicy"),
    ("concurrency", "Concurrency"),
    ("rate_limit", "RateLimit"),
    ("resources", "Resources"),
];
const LABEL_MAX: u64 = 200;
const DESCRIPTION_MAX: u64 = 10_000;
const ENTRY_POINT_MAX: u64 = 64 * 1024;

fn reference() -> String {
    format!("{NAME}(\\.{NAME})+")
}

pub fn pack_key() -> Value {
    json!({"type": "string", "pattern": format!("^({NAME}|[0-9]+)$"), "examples": ["core"]})
}

pub fn definition_key() -> Value {
    json!({"type": "string", "pattern": format!("^({}|[0-9]+)$", reference()), "maxLength": 128, "examples": ["core.hello"]})
}

pub fn number(minimum: i64, maximum: i64) -> Value {
    json!({"type": "integer", "format": "int64", "minimum": minimum, "maximum": maximum})
}

/// Refines the fields of a component that is an object.
pub fn refine(component: &str, object: &mut Value, place: Place) {
    let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, schema) in properties {
        refine_field(component, name, schema, place);
    }
}

pub fn refine_field(component: &str, name: &str, schema: &mut Value, place: Place) {
    if place != Place::Query && typed(component, name, schema, place) {
        return;
    }
    if schema.get("pattern").is_some_and(|pattern| pattern == LIST) {
        if let Some(one) = reference_pattern(component, name) {
            schema["pattern"] = json!(format!("^{one}(,{one})*$"));
        }
        return;
    }
    match name {
        _ if is_text(schema) && reference_pattern(component, name).is_some() => {
            let pattern = reference_pattern(component, name).unwrap_or_default();
            add(schema, &json!({"pattern": format!("^{pattern}$"), "maxLength": 128}));
        }
        "limit" if place != Place::Answer => add(schema, &json!({"minimum": 1, "maximum": LIMIT_MAX})),
        "cursor" if is_text(schema) && schema.get("format").is_none() && component != "IdentityFilter" => {
            add(
                schema,
                &json!({"pattern": format!("^{NAME}(\\.{NAME})*$"), "maxLength": 128}),
            );
        }
        "label" | "display_name" if place == Place::Input => {
            add(schema, &json!({"minLength": 1, "maxLength": LABEL_MAX}));
        }
        "description" if place == Place::Input => add(schema, &json!({"maxLength": DESCRIPTION_MAX})),
        "entry_point" if place == Place::Input => add(schema, &json!({"minLength": 1, "maxLength": ENTRY_POINT_MAX})),
        "version" if component.starts_with("Pack") && place == Place::Input => {
            add(schema, &json!({"minLength": 1, "maxLength": 64}));
        }
        "pool" => add(schema, &json!({"pattern": "^[a-z][a-z0-9_]{0,31}$"})),
        "login" if component != "LoginForm" => add(schema, &json!({"pattern": LOGIN})),
        "timeout_seconds" => add(schema, &json!({"minimum": 1, "maximum": 604_800})),
        "dedup_key" => add(schema, &json!({"minLength": 1, "maxLength": 512, "pattern": "\\S"})),
        "pack" | "runtime" | "trigger" | "action" if place == Place::Input && is_integer(schema) => {
            add(schema, &number(1, i64::MAX));
        }
        _ if place != Place::Answer && is_integer(schema) => {
            let is_short = schema.get("format").is_some_and(|format| format == "int32");
            let (minimum, maximum) = if is_short {
                (i32::MIN.into(), i32::MAX.into())
            } else {
                (i64::MIN, i64::MAX)
            };
            add(schema, &number(minimum, maximum));
        }
        _ => {}
    }
}

/// Fields that contain a policy, a timer or a schema have that type; false when the field is another.
fn typed(component: &str, name: &str, schema: &mut Value, place: Place) -> bool {
    // Typed by the derive already.
    let is_open = ["type", "oneOf", "anyOf", "$ref"]
        .iter()
        .all(|keyword| schema.get(keyword).is_none());
    let timer = json!({"$ref": "#/components/schemas/TimerConfig"});
    let no_value = json!({"type": "null"});
    let policy = POLICIES.into_iter().find(|(field, _)| *field == name);
    let typed = match name {
        _ if !is_open => None,
        "condition" => Some(json!({"$ref": "#/components/schemas/Condition"})),
        "config" if component == "Timer" || component.starts_with("Preview") => Some(timer),
        "trigger" if place == Place::Input => Some(json!({"oneOf": [number(1, i64::MAX), timer, no_value]})),
        "trigger" => Some(json!({"oneOf": [timer, no_value]})),
        _ => policy.map(|(_, policy)| {
            let policy = json!({"$ref": format!("#/components/schemas/{policy}")});
            json!({"oneOf": [policy, no_value]})
        }),
    };
    let Some(typed) = typed else { return false };
    add(schema, &typed);
    true
}

/// The pattern of a field that names a definition, without anchors.
fn reference_pattern(component: &str, name: &str) -> Option<String> {
    match name {
        "ref" if component == "SearchHit" => Some(format!("{NAME}(\\.{NAME})*")),
        "ref" if component.starts_with("Pack") => Some(NAME.to_owned()),
        "pack_ref" => Some(NAME.to_owned()),
        "ref" | "trigger_ref" | "action_ref" | "rule_ref" | "runtime_ref" | "owner_rule_ref" => Some(reference()),
        _ => None,
    }
}

/// The description of a query parameter whose form has none.
pub fn description(name: &str) -> String {
    let description = match name {
        "limit" => "The maximum number of rows on a page.",
        "cursor" => "`pagination.next` of the previous page. Without it, the first page is returned.",
        "enabled" => "Only definitions that are enabled (`true`) or disabled (`false`).",
        "event_id" => "Restrict the result to this event.",
        "execution_id" => "Only this execution; adds its output as `execution.log`.",
        "trigger_ref" => "Restrict the result to this trigger.",
        "rule_ref" => "Restrict the result to this rule.",
        "action_ref" => "Restrict the result to this action.",
        _ => "",
    };
    description.to_owned()
}

fn has_type(schema: &Value, expected: &str) -> bool {
    match &schema["type"] {
        Value::String(name) => name == expected,
        Value::Array(names) => names.iter().any(|name| name == expected),
        _ => false,
    }
}

fn is_text(schema: &Value) -> bool {
    has_type(schema, "string") && schema.get("enum").is_none()
}

fn is_integer(schema: &Value) -> bool {
    has_type(schema, "integer")
}

/// Adds the keywords that are missing. `minimum: 0` is what the derive states about unsigned numbers.
fn add(schema: &mut Value, keywords: &Value) {
    let (Value::Object(schema), Value::Object(keywords)) = (schema, keywords) else {
        return;
    };
    for (name, value) in keywords {
        let is_derived = name == "minimum" && schema.get("minimum") == Some(&json!(0)) && *value == json!(1);
        if is_derived || !schema.contains_key(name) {
            schema.insert(name.clone(), value.clone());
        }
    }
}
