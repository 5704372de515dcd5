//! What a JSON value may be before Attune stores it or evaluates it.
//!
//! `jsonb` refuses `\u0000`, and everything that walks a value recurses, so both are checked once, at the
//! door, with [`check_json`]. Numbers are what `serde_json` holds (64 bits or a finite double), and `jsonb` holds all of these.

use crate::FieldErrors;
use serde_json::Value;

/// How deep a value may be nested: `[[1]]` is two deep.
pub const DEPTH_MAX: usize = 64;
/// A report names at most so many bad places.
const ERRORS_MAX: usize = 20;

/// Refuses values that cannot be stored, naming every bad place (`payload.items[2].name`; the value itself is the empty path).
pub fn check_json(value: &Value) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    walk(value, &mut String::new(), 0, &mut errors);
    errors.into_result()
}

/// What kind of value it is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The place of a property inside of `parent`.
pub fn join_path(parent: &str, key: &str) -> String {
    if parent.is_empty() {
        key.to_owned()
    } else {
        format!("{parent}.{key}")
    }
}

/// Extends a path to an item of a list.
pub fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}

/// The value at the end of these names; a number addresses an item of a list.
pub fn lookup<'v>(value: &'v Value, keys: &[String]) -> Option<&'v Value> {
    keys.iter().try_fold(value, |value, key| match value {
        Value::Object(entries) => entries.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

fn walk(value: &Value, path: &mut String, depth: usize, errors: &mut FieldErrors) {
    if errors.iter().count() >= ERRORS_MAX {
        return;
    }
    let is_container = value.is_array() || value.is_object();
    if is_container && depth >= DEPTH_MAX {
        errors.add(shorten(path), format!("is nested deeper than {DEPTH_MAX} levels"));
        return;
    }
    let here = path.len();
    match value {
        Value::String(text) if text.contains('\0') => {
            errors.add(shorten(path), "holds the character U+0000, which cannot be stored");
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                push_index(path, i);
                walk(item, path, depth + 1, errors);
                path.truncate(here);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                if here > 0 {
                    path.push('.');
                }
                if key.contains('\0') {
                    path.push_str(&key.replace('\0', "\u{fffd}"));
                    errors.add(shorten(path), "has U+0000 in its name, which cannot be stored");
                } else {
                    path.push_str(key);
                    walk(item, path, depth + 1, errors);
                }
                path.truncate(here);
            }
        }
        _ => {}
    }
}

/// Names come from outside and may be as long as the body.
fn shorten(path: &str) -> String {
    path.chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!([inner]))
    }

    #[test]
    fn only_what_can_be_stored() {
        let check = |value: Value, bad: &[&str]| {
            let errors = check_json(&value).err().unwrap_or_default().into_vec();
            let paths = errors.iter().map(|e| e.path.as_str()).collect::<Vec<_>>();
            assert_eq!(paths, bad, "{value}");
        };
        check(json!({"a": [1, "x", null, 1.5e300, u64::MAX]}), &[]);
        check(json!("\0"), &[""]);
        check(json!({"a": {"b": ["ok", "no\0"]}}), &["a.b[1]"]);
        check(json!({"a\0": 1}), &["a\u{fffd}"]);
        check(json!({"a": "\0", "b": "\0"}), &["a", "b"]);
        check(nested(DEPTH_MAX), &[]);
        assert!(check_json(&nested(DEPTH_MAX + 1)).is_err());
    }
}
