//! Rewrites what the derives produce: `#[serde(flatten)]` becomes plain objects, tagged enums get named variants and a
//! discriminator, and answers require every field that is always present.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const PREFIX: &str = "#/components/schemas/";

/// Fields of answers that may be absent. All others are present, and null if they have no value.
const OMITTED: [(&str, &[&str]); 10] = [
    ("Chain", &["explanation", "request"]),
    ("ChainExecution", &["attempts", "parameters_preview", "result"]),
    ("Clause", &["missing"]),
    ("DryRun", &["parameters", "reason"]),
    ("Event", &["chain"]),
    ("ExecutionSummary", &["parameters_preview", "result"]),
    ("Explained", &["reason"]),
    ("Occurrences", &["note", "paused"]),
    ("Problem", &["conflicts"]),
    ("Received", &["complete", "executions", "rules_failed"]),
];

/// Replaces every `allOf` by the object, or the choice of objects, that it stands for.
pub fn flatten(all: &mut Map<String, Value>) {
    let known = all.clone();
    for schema in all.values_mut() {
        flatten_value(schema, &known);
    }
}

fn flatten_value(schema: &mut Value, known: &Map<String, Value>) {
    if let Some(Value::Array(parts)) = schema.as_object_mut().and_then(|keywords| keywords.remove("allOf")) {
        let mut whole = json!({});
        for part in parts {
            whole = merge(whole, resolved(part, known));
        }
        *schema = merge(whole, schema.take());
    }
    match schema {
        Value::Object(keywords) => keywords.values_mut().for_each(|value| flatten_value(value, known)),
        Value::Array(items) => items.iter_mut().for_each(|value| flatten_value(value, known)),
        _ => {}
    }
}

fn resolved(part: Value, known: &Map<String, Value>) -> Value {
    let target = part["$ref"]
        .as_str()
        .and_then(|target| known.get(target.strip_prefix(PREFIX)?));
    let mut part = target.cloned().unwrap_or(part);
    flatten_value(&mut part, known);
    part
}

/// Both schemas as one. A choice is merged variant by variant. The first schema wins, except for the description: the
/// second one describes the whole.
fn merge(first: Value, second: Value) -> Value {
    if first.get("oneOf").is_some() {
        return distribute(first, &second);
    }
    if second.get("oneOf").is_some() {
        return distribute(second, &first);
    }
    let (Value::Object(mut whole), Value::Object(second)) = (first, second) else {
        return json!({});
    };
    for (name, value) in second {
        match (whole.get_mut(&name), value) {
            (Some(Value::Object(fields)), Value::Object(more)) if name == "properties" => {
                for (field, schema) in more {
                    fields.entry(field).or_insert(schema);
                }
            }
            (Some(Value::Array(names)), Value::Array(more)) if name == "required" => {
                names.extend(
                    more.into_iter()
                        .filter(|field| !names.contains(field))
                        .collect::<Vec<_>>(),
                );
            }
            (Some(_), _) if name != "description" => {}
            (_, value) => drop(whole.insert(name, value)),
        }
    }
    Value::Object(whole)
}

/// Merges each variant of a choice with the same schema. The description belongs to the whole.
fn distribute(mut choice: Value, other: &Value) -> Value {
    let mut other = other.clone();
    let description = other
        .as_object_mut()
        .and_then(|keywords| keywords.remove("description"));
    if let Some(Value::Array(variants)) = choice.get_mut("oneOf") {
        for variant in variants {
            *variant = merge(variant.take(), other.clone());
        }
    }
    if let Some(description) = description {
        choice["description"] = description;
    }
    choice
}

/// Calls `change` for an object, or for each object of a choice.
pub fn each_object(schema: &mut Value, change: &mut impl FnMut(&mut Value)) {
    match schema.get_mut("oneOf") {
        Some(Value::Array(variants)) => variants.iter_mut().for_each(&mut *change),
        _ => change(schema),
    }
}

/// Marks all fields of an answer as required, except those that may be absent.
pub fn require_all(component: &str, object: &mut Value) {
    let Some(fields) = object["properties"].as_object() else {
        return;
    };
    let omitted = OMITTED
        .iter()
        .find(|(name, _)| *name == component)
        .map_or(&[][..], |(_, fields)| fields);
    let stated = object["required"].as_array().cloned().unwrap_or_default();
    let required: Vec<_> = fields
        .keys()
        .filter(|name| stated.contains(&json!(name)) || !omitted.contains(&name.as_str()))
        .cloned()
        .collect();
    object["required"] = json!(required);
}

/// A value of a query is never null: it is absent.
pub fn without_null(schema: &mut Value) {
    let Value::Object(keywords) = schema else { return };
    if let Some(Value::Array(types)) = keywords.get("type") {
        let types: Vec<_> = types.iter().filter(|name| *name != "null").cloned().collect();
        if let [only] = types.as_slice() {
            keywords.insert("type".to_owned(), only.clone());
        }
    }
    for choice in ["oneOf", "allOf"] {
        let Some(Value::Array(parts)) = keywords.remove(choice) else {
            continue;
        };
        for part in parts.into_iter().filter(|part| part["type"] != "null") {
            for (name, value) in part.as_object().cloned().unwrap_or_default() {
                keywords.entry(name).or_insert(value);
            }
        }
    }
}

/// Gives each variant of a tagged union a component of its own, and the union a discriminator.
pub fn name_variants(all: &mut Map<String, Value>) {
    let mut named = Vec::new();
    for (name, schema) in &mut *all {
        let Some(Value::Array(variants)) = schema.get_mut("oneOf") else {
            continue;
        };
        let Some(tag) = tag_of(variants) else { continue };
        let mut mapping = Map::new();
        for variant in variants {
            let values = tag_values(variant, &tag);
            let component = variant["title"]
                .as_str()
                .map_or_else(|| format!("{}{name}", pascal(&values)), str::to_owned);
            let reference = format!("{PREFIX}{component}");
            mapping.extend(values.into_iter().map(|value| (value, json!(reference))));
            let mut object = std::mem::replace(variant, json!({"$ref": reference}));
            if let Value::Object(keywords) = &mut object {
                keywords.remove("title");
            }
            named.push((component, object));
        }
        schema["discriminator"] = json!({"propertyName": tag, "mapping": mapping});
    }
    all.extend(named);
}

/// The field that has another constant in each variant.
fn tag_of(variants: &[Value]) -> Option<String> {
    let fields = variants.first()?["properties"].as_object()?;
    let is_tag = |field: &&String| variants.iter().all(|variant| !tag_values(variant, field).is_empty());
    fields
        .keys()
        .filter(|field| !["status", "source", "role"].contains(&field.as_str()))
        .find(is_tag)
        .cloned()
}

fn tag_values(variant: &Value, field: &str) -> Vec<String> {
    let schema = &variant["properties"][field];
    let required = variant["required"]
        .as_array()
        .is_some_and(|names| names.contains(&json!(field)));
    let values = schema["enum"]
        .as_array()
        .cloned()
        .unwrap_or_else(|| schema.get("const").cloned().into_iter().collect());
    let texts = values.iter().filter_map(Value::as_str).map(str::to_owned);
    texts.filter(|_| required).collect()
}

fn pascal(values: &[String]) -> String {
    let words = values.first().map(String::as_str).unwrap_or_default().split(['_', '-']);
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// Removes component schemas that nothing refers to.
pub fn prune(document: &mut Value) {
    let mut used = BTreeSet::new();
    let mut open = Vec::new();
    references(&document["paths"], &mut open);
    references(&document["components"]["responses"], &mut open);
    while let Some(name) = open.pop() {
        if used.insert(name.clone()) {
            references(&document["components"]["schemas"][&name], &mut open);
        }
    }
    if let Some(Value::Object(schemas)) = document.pointer_mut("/components/schemas") {
        schemas.retain(|name, _| used.contains(name));
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.extend(text.strip_prefix(PREFIX).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Object(fields) => fields.values().for_each(|value| references(value, found)),
        _ => {}
    }
}
