//! Which parameters a schema declares as secret: those below `secret: true`, through `properties`, `additionalProperties`,
//! `items` and `$ref`.

use super::{Path, Placed, Step};
use serde_json::Value;

/// Schemas that were checked have no loops; one that psql wrote may.
const HOPS_MAX: usize = 32;

pub fn is_secret(schema: &Value, path: &Path) -> bool {
    let mut part = schema;
    for step in path.steps() {
        let Some(inner) = inner(schema, part, step) else {
            return false;
        };
        if declares(inner) {
            return true;
        }
        part = inner;
    }
    false
}

/// The places of values in secret parameters, outside of those that hold a secret already.
pub fn literals(schema: &Value, values: &Value, secrets: &[Placed]) -> Vec<Path> {
    let mut found = Vec::new();
    let mut finder = Finder {
        schema,
        secrets,
        path: Path::default(),
        found: &mut found,
    };
    finder.visit(schema, values, false);
    found
}

struct Finder<'a> {
    schema: &'a Value,
    secrets: &'a [Placed],
    path: Path,
    found: &'a mut Vec<Path>,
}

impl<'a> Finder<'a> {
    fn visit(&mut self, part: &'a Value, value: &Value, secret: bool) {
        let inside = |placed: &Placed| placed.path.starts_with(&self.path);
        if value.is_null() || (secret && self.secrets.iter().any(|placed| placed.path == self.path)) {
            return;
        }
        if secret && !self.secrets.iter().any(inside) {
            self.found.push(self.path.clone());
            return;
        }
        match value {
            Value::Object(entries) => {
                for (key, item) in entries {
                    self.path.push_key(key);
                    self.step(part, &Step::Key(key.clone()), item, secret);
                    self.path.pop();
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.path.push_index(index);
                    self.step(part, &Step::Index(index), item, secret);
                    self.path.pop();
                }
            }
            _ => {}
        }
    }

    fn step(&mut self, part: &'a Value, step: &Step, item: &Value, secret: bool) {
        match inner(self.schema, part, step) {
            Some(inner) => self.visit(inner, item, secret || declares(inner)),
            None if secret => self.visit(&Value::Null, item, true),
            None => {}
        }
    }
}

fn declares(part: &Value) -> bool {
    part.get("secret") == Some(&Value::Bool(true))
}

/// Whether a schema declares anything secret.
pub(crate) fn has_secrets(part: &Value) -> bool {
    match part {
        Value::Object(entries) => declares(part) || entries.values().any(has_secrets),
        Value::Array(items) => items.iter().any(has_secrets),
        _ => false,
    }
}

/// The part of a schema that describes what the step leads to.
fn inner<'s>(schema: &'s Value, part: &'s Value, step: &Step) -> Option<&'s Value> {
    let inner = match step {
        Step::Key(key) => {
            let named = part.get("properties").and_then(|properties| properties.get(key));
            named.or_else(|| part.get("additionalProperties"))
        }
        Step::Index(_) => part.get("items"),
    };
    resolved(schema, inner.filter(|inner| inner.is_object())?)
}

/// What a `$ref` leads to, unless the part itself declares that it is secret.
fn resolved<'s>(schema: &'s Value, mut part: &'s Value) -> Option<&'s Value> {
    for _ in 0..HOPS_MAX {
        match part.get("$ref").and_then(Value::as_str) {
            Some(target) if !declares(part) => part = schema.pointer(target.strip_prefix('#')?)?,
            _ => return Some(part),
        }
    }
    None
}
