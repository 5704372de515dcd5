//! Checks JSON values before Attune stores or evaluates them.
//!
//! `jsonb` refuses `\u0000`, and everything that walks a value recurses, so both are checked once, when a value is received,
//! with [`check_json`]. Numbers are those of `serde_json` (64 bits or a finite double), and `jsonb` can store all of
//! them. [`parse`] refuses a text with any other number.

mod number;
mod parse;

pub use number::check_number;
pub use parse::{Refused, check_doubles, parse, read};

use crate::{FieldErrors, number::Number};
use serde_json::Value;

/// How deeply a value may be nested: `[[1]]` is two deep.
pub const DEPTH_MAX: usize = 64;
/// The maximum of reported errors.
const ERRORS_MAX: usize = 20;

/// Refuses values that cannot be stored, naming every bad place (`payload.items[2].name`; the value itself is the empty
/// path).
pub fn check_json(value: &Value) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    walk(value, &mut String::new(), 0, &mut errors);
    errors.into_result()
}

/// The kind of a value, for messages.
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

/// Explains to a user why a value could not be deserialized. Messages of serde mention types of this program.
pub fn in_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if text.starts_with("UUID parsing failed") {
        return format!("must be {ID}");
    }
    if TIME_ERRORS.contains(&text.as_str()) {
        return format!("must be {TIME}");
    }
    if let Some(name) = text.strip_prefix("missing field ") {
        return format!("lacks {}", name.replace('`', ""));
    }
    let Some((found, expected)) = text.rsplit_once(", expected ") else {
        return text;
    };
    if let Some(name) = found.strip_prefix("unknown field ") {
        return format!(
            "has {}, which is not known: there is {}",
            name,
            expected.replace("one of ", "")
        )
        .replace('`', "");
    }
    format!("must be {}", expected_in_words(expected))
}

const ID: &str = "an id such as 019a4d2c-7f00-7000-8000-3b1f6c2e9d10";
const TIME: &str = "a time such as 2027-01-20T15:00:00Z";
/// The messages of chrono for a text that is not a time.
const TIME_ERRORS: [&str; 5] = [
    "input contains invalid characters",
    "premature end of input",
    "trailing input",
    "input is out of range",
    "no possible date and time matching input",
];

fn expected_in_words(expected: &str) -> String {
    let known = match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i16" => "a whole number from -32768 to 32767",
        "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text",
        "a sequence" => "a list",
        "a map" => "an object",
        uuid if uuid.contains("UUID") => ID,
        time if time.contains("RFC 3339") => TIME,
        named if named.starts_with("struct ") => "an object",
        words => return words.replace('`', ""),
    };
    known.to_owned()
}

/// Whether both are equal. The spelling of a number does not matter: PostgreSQL returns 1e16 as 10000000000000000.
pub fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Number::from_json(a) == Number::from_json(b),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| is_same(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        (a, b) => a == b,
    }
}

/// The path of a property of `parent`.
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
        Value::Array(items) => items.get(list_index(key)?),
        _ => None,
    })
}

/// The index that a name among the names of a path stands for: digits without zeros in front and without a sign.
pub fn list_index(name: &str) -> Option<usize> {
    let is_index = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    is_index.then(|| name.parse().ok()).flatten()
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

/// Names are user input and may be as long as the body.
fn shorten(path: &str) -> String {
    path.chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!([inner]))
    }

    #[test]
    fn type_errors_are_readable() {
        fn check<T: serde::de::DeserializeOwned + std::fmt::Debug>(value: Value, words: &str) {
            let error = serde_json::from_value::<T>(value).expect_err("a wrong value");
            assert_eq!(in_words(&error), words, "{error}");
        }
        check::<u16>(json!("x"), "must be a whole number from 0 to 65535");
        check::<u16>(json!(70_000), "must be a whole number from 0 to 65535");
        check::<i64>(json!(1.5), "must be a whole number");
        check::<i32>(json!(1e12), "must be a whole number from -2147483648 to 2147483647");
        check::<f64>(json!("1, expected u16"), "must be a number");
        check::<bool>(json!("yes"), "must be true or false");
        check::<String>(json!(7), "must be text");
        check::<Vec<String>>(json!({}), "must be a list");
        check::<Map<String, Value>>(json!([]), "must be an object");
        check::<crate::definition::OnLost>(json!("pray"), "must be fail or requeue");
        check::<crate::definition::TriggerKind>(
            json!("sundial"),
            "must be one of timer, webhook, file_watch, custom, system",
        );
        check::<uuid::Uuid>(json!("7"), "must be an id such as 019a4d2c-7f00-7000-8000-3b1f6c2e9d10");
        check::<uuid::Uuid>(json!(7), "must be an id such as 019a4d2c-7f00-7000-8000-3b1f6c2e9d10");
        for text in ["yesterday", "2026", "", "2026-99-01T00:00:00Z", "2026-01-01T00:00:00Zx"] {
            check::<chrono::DateTime<chrono::Utc>>(json!(text), "must be a time such as 2027-01-20T15:00:00Z");
        }
        check::<chrono::DateTime<chrono::Utc>>(json!(7), "must be a time such as 2027-01-20T15:00:00Z");
        check::<crate::retry::RetryPolicy>(json!(7), "must be an object");
        check::<crate::retry::RetryPolicy>(json!({}), "lacks max_attempts");
    }

    #[test]
    fn values_that_cannot_be_stored_are_refused() {
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
