//! JSON from outside. Stricter than serde: a field that is given twice is refused, because two readers of the same
//! text must not see different values; and nothing is nested so deep that walking it is dangerous.

use attune_domain::{FieldErrors, json::DEPTH_MAX};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Why a text is no JSON that is taken.
#[derive(Debug)]
pub enum Refused {
    /// Not JSON: what, where.
    Syntax(String),
    /// JSON, but with bad places.
    Fields(FieldErrors),
}

pub fn parse(text: &[u8]) -> Result<Value, Refused> {
    let mut found = Found::default();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict {
        found: &mut found,
        path: String::new(),
        depth: 0,
    }
    .deserialize(&mut reader);
    if let Some(path) = found.too_deep {
        return Err(Refused::Fields(FieldErrors::one(
            path,
            format!("is nested deeper than {DEPTH_MAX} levels"),
        )));
    }
    let value = value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Refused::Syntax(error.to_string()))?;
    let mut errors = found.twice;
    if let Err(unstorable) = attune_domain::json::check_json(&value) {
        for error in unstorable.into_vec() {
            errors.add(error.path, error.message);
        }
    }
    errors.into_result().map(|()| value).map_err(Refused::Fields)
}

#[derive(Debug, Default)]
struct Found {
    twice: FieldErrors,
    too_deep: Option<String>,
}

struct Strict<'a> {
    found: &'a mut Found,
    path: String,
    depth: usize,
}

impl Strict<'_> {
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        if self.depth >= DEPTH_MAX {
            self.found.too_deep = Some(self.path.chars().take(256).collect());
            return Err(E::custom("nested too deep"));
        }
        Ok(())
    }

    fn inner(&mut self, path: String) -> Strict<'_> {
        Strict {
            found: &mut *self.found,
            path,
            depth: self.depth + 1,
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut items = Vec::new();
        loop {
            let path = format!("{}[{}]", self.path, items.len());
            match access.next_element_seed(self.inner(path))? {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut entries = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let path = attune_domain::json::join_path(&self.path, &name);
            let value = access.next_value_seed(self.inner(path.clone()))?;
            if entries.insert(name, value).is_some() {
                self.found.twice.add(path, "is given twice");
            }
        }
        Ok(Value::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        match parse(text.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(Refused::Syntax(why)) => vec![why],
            Err(Refused::Fields(errors)) => errors.into_vec().into_iter().map(|error| error.path).collect(),
        }
    }

    #[test]
    fn strict() {
        let check = |text: &str, bad: &[&str]| assert_eq!(paths(text), bad, "{text}");
        check(r#"{"a": [1, -2, 3.5, "x", true, null]}"#, &[]);
        check(r#"{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}"#, &["b.c", "a"]);
        check(r#"{"a": "\u0000", "b": ["\u0000"]}"#, &["a", "b[0]"]);
        check(r#"{"a": 1} x"#, &["trailing characters at line 1 column 10"]);
        check("{\n\"a\": nul}", &["expected ident at line 2 column 9"]);
    }

    #[test]
    fn deep_is_refused_with_its_place() {
        let text = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(paths(&text(64)).is_empty());
        assert_eq!(paths(&text(65)), [vec!["a"; 64].join(".")]);
        assert_eq!(paths(&text(100_000)), [vec!["a"; 64].join(".")]);
    }
}
