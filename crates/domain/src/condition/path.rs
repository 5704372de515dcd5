//! The address of a value in an event: `event.payload.items.0.name`.
//!
//! Parts are divided by dots; a number addresses an item of a list. `payload.x` is short for `event.payload.x`. A key that
//! holds a dot cannot be addressed this way; an expression can: `event.payload['a.b']`.

use crate::{event::FIELDS, json::lookup};
use serde_json::Value;

const LENGTH_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// As it is reported, always from `event`.
    pub text: String,
    keys: Vec<String>,
}

impl Path {
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("is longer than {LENGTH_MAX} bytes"));
        }
        let full = if text == "payload" || text.starts_with("payload.") {
            format!("event.{text}")
        } else {
            text.to_owned()
        };
        let mut parts = full.split('.');
        let from_event = parts.next() == Some("event");
        let keys = parts.map(str::to_owned).collect::<Vec<_>>();
        let known_field = keys.first().is_none_or(|field| FIELDS.contains(&field.as_str()));
        if !from_event || !known_field || keys.iter().any(String::is_empty) {
            return Err(format!(
                "is not the address of a value: write `event.payload.…` or one of event.{}",
                FIELDS.join(", event.")
            ));
        }
        Ok(Self { text: full, keys })
    }

    /// The value there. A value that is null is there.
    pub fn find<'v>(&self, event: &'v Value) -> Option<&'v Value> {
        lookup(event, &self.keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses() {
        let event = json!({"id": "e", "payload": {"a": [{"b": 7}], "x-y": null, "1": "one"}});
        let check = |path: &str, expected: Option<Value>| {
            let found = Path::parse(path).expect(path).find(&event).cloned();
            assert_eq!(found, expected, "{path}");
        };
        check("event.id", Some(json!("e")));
        check("event.payload.a.0.b", Some(json!(7)));
        check("payload.a.0.b", Some(json!(7)));
        check("payload.a.1", None);
        check("payload.a.b", None);
        check("payload.x-y", Some(Value::Null));
        check("payload.1", Some(json!("one")));
        check("payload.a.0.b.c", None);
        for bad in [
            "",
            "event.",
            "event.body",
            "temperature",
            "payload..x",
            "rule.ref",
            "payloads.x",
        ] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }
}
