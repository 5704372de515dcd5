//! Restrictions on schemas: bounded size and depth, no recursion, only supported keywords.

use super::message;
use crate::{
    FieldErrors,
    json::{self, join_path},
};
use jsonschema::{PatternOptions, Validator, paths::LocationSegment};
use serde_json::Value;
use std::collections::HashMap;

pub(super) const SCHEMA_ROOT: &str = "parameters_schema";
const SCHEMA_BYTES_MAX: usize = 64 * 1024;
const SCHEMA_DEPTH_MAX: usize = 32;
/// The parts of a schema, with every reference expanded.
const PARTS_MAX: usize = 5_000;
const PATTERN_LENGTH_MAX: usize = 512;
const PATTERN_BYTES_MAX: usize = 256 * 1024;

pub(super) fn build(schema: &Value) -> Result<Validator, FieldErrors> {
    jsonschema::options()
        .offline()
        .with_pattern_options(
            PatternOptions::regex()
                .size_limit(PATTERN_BYTES_MAX)
                .dfa_size_limit(PATTERN_BYTES_MAX),
        )
        .build(schema)
        .map_err(|error| {
            let path = error
                .instance_path()
                .iter()
                .fold(SCHEMA_ROOT.to_owned(), |path, segment| extend(&path, &segment));
            FieldErrors::one(path, format!("is not a JSON schema: {}", message::message(&error)))
        })
}

/// Checks the schema of something other than parameters: a payload or an output. Paths begin with `root`.
pub fn check_schema(root: &str, schema: &Value) -> Result<(), FieldErrors> {
    let checked = if schema.is_object() {
        check_size(schema).and_then(|()| build(schema).map(drop))
    } else {
        let message = format!("must be a JSON schema, not {}", json::kind(schema));
        Err(FieldErrors::one(SCHEMA_ROOT, message))
    };
    checked.map_err(|errors| {
        let mut renamed = FieldErrors::new();
        for error in errors.into_vec() {
            renamed.add(error.path.replacen(SCHEMA_ROOT, root, 1), error.message);
        }
        renamed
    })
}

pub(super) fn check_shape(schema: &Value) -> Result<(), FieldErrors> {
    let Some(entries) = schema.as_object() else {
        let message = format!("must be a JSON schema of type `object`, not {}", json::kind(schema));
        return Err(FieldErrors::one(SCHEMA_ROOT, message));
    };
    let mut errors = FieldErrors::new();
    match entries.get("type") {
        None => {}
        Some(kind) if kind == "object" => {}
        Some(_) => errors.add(
            format!("{SCHEMA_ROOT}.type"),
            "must be \"object\": parameters are named values, each described under `properties`",
        ),
    }
    for (name, value) in entries {
        let is_keyword = KEYWORDS.contains(&name.as_str()) || name.starts_with("x-");
        if !is_keyword && value.get("type").is_some() {
            let message = "is not a keyword of JSON schema: parameters are described under `properties`";
            errors.add(join_path(SCHEMA_ROOT, name), message);
        }
    }
    errors.into_result()?;
    check_size(schema)
}

/// Bounds the cost of compiling and validating.
fn check_size(schema: &Value) -> Result<(), FieldErrors> {
    if size(schema) > SCHEMA_BYTES_MAX {
        let message = format!("is larger than {SCHEMA_BYTES_MAX} bytes");
        return Err(FieldErrors::one(SCHEMA_ROOT, message));
    }
    let mut counter = Counter {
        schema,
        known: HashMap::new(),
    };
    let parts = counter
        .parts(schema, SCHEMA_ROOT, 0)
        .map_err(|(path, message)| FieldErrors::one(path, message))?;
    if parts > PARTS_MAX {
        return Err(FieldErrors::one(
            SCHEMA_ROOT,
            format!("has more than {PARTS_MAX} parts when its references are written out"),
        ));
    }
    Ok(())
}

/// Keywords whose value is an object that may have a property called `type`.
const KEYWORDS: [&str; 14] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "$defs",
    "definitions",
    "dependentSchemas",
    "dependencies",
    "not",
    "if",
    "then",
    "else",
    "default",
];

/// Counts the parts of a schema as if every reference were expanded.
struct Counter<'s> {
    schema: &'s Value,
    /// The parts behind each reference; `None` while they are being counted.
    known: HashMap<&'s str, Option<usize>>,
}

type Refusal = (String, String);

impl<'s> Counter<'s> {
    fn parts(&mut self, part: &'s Value, path: &str, depth: usize) -> Result<usize, Refusal> {
        if depth > SCHEMA_DEPTH_MAX {
            return Err((
                path.to_owned(),
                format!("is nested deeper than {SCHEMA_DEPTH_MAX} levels"),
            ));
        }
        let mut count = 1_usize;
        match part {
            Value::Array(items) => {
                for (i, item) in items.iter().enumerate() {
                    count = count.saturating_add(self.parts(item, &format!("{path}[{i}]"), depth + 1)?);
                }
            }
            Value::Object(entries) => {
                for (key, item) in entries {
                    let here = join_path(path, key);
                    let inner = match (key.as_str(), item) {
                        ("$ref", Value::String(target)) => self.target(target, &here, depth)?,
                        (keyword, Value::String(_) | Value::Bool(_)) if is_other_reference(keyword, depth) => {
                            let message = "is not available: use `$ref` to a definition of this schema";
                            return Err((here, message.to_owned()));
                        }
                        ("$schema", Value::String(draft))
                            if draft.contains("draft-04") || draft.contains("draft-03") =>
                        {
                            return Err((here, "is too old: use draft 06 or later".to_owned()));
                        }
                        ("pattern", Value::String(pattern)) => check_pattern(pattern, &here)?,
                        ("patternProperties", Value::Object(patterns)) => {
                            for pattern in patterns.keys() {
                                check_pattern(pattern, &here)?;
                            }
                            self.parts(item, &here, depth + 1)?
                        }
                        _ => self.parts(item, &here, depth + 1)?,
                    };
                    count = count.saturating_add(inner);
                }
            }
            _ => {}
        }
        Ok(count)
    }

    fn target(&mut self, target: &'s str, path: &str, depth: usize) -> Result<usize, Refusal> {
        let refuse = |message: &str| Err((path.to_owned(), message.to_owned()));
        match self.known.get(target) {
            Some(Some(parts)) => return Ok(*parts),
            Some(None) => return refuse("refers to itself: recursive schemas are not available"),
            None => {}
        }
        let Some(pointer) = target.strip_prefix('#') else {
            return refuse("must stay inside of the schema: `#/$defs/…`");
        };
        let Some(found) = self.schema.pointer(pointer) else {
            return refuse("refers to nothing: write `#/$defs/…` and define it there");
        };
        self.known.insert(target, None);
        let place = SCHEMA_ROOT.to_owned() + &pointer.replace('/', ".");
        let parts = self.parts(found, &place, depth + 1)?;
        self.known.insert(target, Some(parts));
        Ok(parts)
    }
}

/// Keywords that change the target of `#/…`, or that are other kinds of references. The schema itself may have an `$id`.
fn is_other_reference(keyword: &str, depth: usize) -> bool {
    ["$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor"].contains(&keyword)
        || keyword == "$id" && depth > 0
}

fn check_pattern(pattern: &str, path: &str) -> Result<usize, Refusal> {
    if pattern.len() > PATTERN_LENGTH_MAX {
        return Err((
            path.to_owned(),
            format!("is a pattern longer than {PATTERN_LENGTH_MAX} bytes"),
        ));
    }
    Ok(1)
}

/// The path of a part of a value.
pub(super) fn extend(path: &str, segment: &LocationSegment<'_>) -> String {
    match segment {
        LocationSegment::Property(name) => join_path(path, name),
        LocationSegment::Index(i) => format!("{path}[{i}]"),
    }
}

/// Roughly the bytes of a value, without writing it.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + items.len() + 2,
        Value::Object(entries) => {
            entries
                .iter()
                .map(|(key, item)| key.len() + 4 + size(item))
                .sum::<usize>()
                + 2
        }
        _ => 8,
    }
}
