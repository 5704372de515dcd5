//! Parses JSON and YAML input. Stricter than serde: duplicate fields are refused, because two readers of the same text
//! must not see different values; the nesting depth is limited, because code that walks values recurses; and no number
//! is rounded.

use super::{
    DEPTH_MAX, check_json, join_path,
    number::{beyond_64_bits, check_number},
    push_index, shorten,
};
use crate::FieldErrors;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// The maximum of reported errors.
const ERRORS_MAX: usize = 20;

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not JSON: the reason and the position.
    #[error("is not JSON: {0}")]
    Syntax(String),
    /// It is JSON, but contains values that are refused.
    #[error("cannot be stored: {0}")]
    Fields(FieldErrors),
}

/// Parses JSON. A leading byte order mark is skipped.
pub fn parse(text: &str) -> Result<Value, Refused> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut reader = Reader::new(Some(Numbers(text)));
    let value = Strict(&mut reader).deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    reader.finish(value)
}

/// Parses a value of another format.
pub fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, Refused> {
    let mut reader = Reader::new(None);
    let value = Strict(&mut reader).deserialize(deserializer);
    reader.finish(value)
}

/// Compares the doubles in a value that was read from a text with what is written there. The deserializer reads that text
/// a second time; its format returns every scalar as text on request, like YAML.
pub fn check_doubles<'de, D: Deserializer<'de>>(deserializer: D, value: &Value) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    let written = Written {
        value,
        path: String::new(),
        errors: &mut errors,
    };
    match written.deserialize(deserializer) {
        Ok(()) => errors.into_result(),
        Err(error) => Err(FieldErrors::one("", error.to_string())),
    }
}

struct Reader<'t> {
    /// The current path. After an error it remains at the innermost place.
    path: String,
    depth: usize,
    too_deep: bool,
    /// The numbers in the text, in order.
    numbers: Option<Numbers<'t>>,
    errors: FieldErrors,
}

impl<'t> Reader<'t> {
    fn new(numbers: Option<Numbers<'t>>) -> Self {
        Self {
            path: String::new(),
            depth: 0,
            too_deep: false,
            numbers,
            errors: FieldErrors::new(),
        }
    }

    fn finish<E: fmt::Display>(mut self, value: Result<Value, E>) -> Result<Value, Refused> {
        let at = |path: &str, message: String| Err(Refused::Fields(FieldErrors::one(shorten(path), message)));
        if self.too_deep {
            return at(&self.path, format!("is nested deeper than {DEPTH_MAX} levels"));
        }
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                let error = error.to_string();
                // serde_json rejects numbers beyond the range of a double.
                let number = self.next_number().filter(|_| error.starts_with("number out of range"));
                return match number.map(check_number) {
                    Some(Err(message)) => at(&self.path, message),
                    _ => Err(Refused::Syntax(error)),
                };
            }
        };
        if let Err(unstorable) = check_json(&value) {
            self.errors.nest("", unstorable);
        }
        self.errors.into_result().map(|()| value).map_err(Refused::Fields)
    }

    fn enter<E: Error>(&mut self) -> Result<(), E> {
        self.too_deep = self.depth >= DEPTH_MAX;
        if self.too_deep {
            return Err(E::custom("nested too deep"));
        }
        self.depth += 1;
        Ok(())
    }

    fn next_number(&mut self) -> Option<&'t str> {
        self.numbers.as_mut().and_then(Iterator::next)
    }

    fn refuse(&mut self, message: impl Into<String>) {
        if self.errors.iter().count() < ERRORS_MAX {
            self.errors.add(shorten(&self.path), message);
        }
    }
}

/// The numbers in a JSON text, as they are written.
struct Numbers<'t>(&'t str);

impl<'t> Iterator for Numbers<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let bytes = self.0.as_bytes();
        let (mut at, mut quoted) = (0, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'\\' => at += 1,
                b'"' => quoted = !quoted,
                b'-' | b'0'..=b'9' if !quoted => break,
                _ => {}
            }
            at += 1;
        }
        let number = self.0.get(at..).filter(|rest| !rest.is_empty())?;
        let is_part = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
        let end = number.find(|c| !is_part(c)).unwrap_or(number.len());
        self.0 = &number[end..];
        Some(&number[..end])
    }
}

struct Strict<'r, 't>(&'r mut Reader<'t>);

impl<'de> DeserializeSeed<'de> for Strict<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_, '_> {
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
        self.0.next_number();
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        self.0.next_number();
        Ok(value.into())
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        self.0.refuse(beyond_64_bits(&value.to_string()));
        Ok(Value::Null)
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        self.0.refuse(beyond_64_bits(&value.to_string()));
        Ok(Value::Null)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let text = self.0.next_number();
        if let Some(Err(message)) = text.map(check_number) {
            self.0.refuse(message);
        } else if !value.is_finite() {
            self.0.refuse(format!("is {value}, which JSON does not have"));
        }
        // The database has no negative zero.
        let is_whole = text.is_some_and(|text| !text.contains(['.', 'e', 'E']));
        if value != 0.0 {
            return Ok(value.into());
        }
        Ok(if is_whole { 0.into() } else { 0.0.into() })
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let reader = self.0;
        reader.enter()?;
        let here = reader.path.len();
        let mut items = Vec::new();
        loop {
            push_index(&mut reader.path, items.len());
            let item = access.next_element_seed(Strict(&mut *reader))?;
            reader.path.truncate(here);
            match item {
                Some(item) => items.push(item),
                None => break,
            }
        }
        reader.depth -= 1;
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let reader = self.0;
        reader.enter()?;
        let here = reader.path.len();
        let mut entries = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            reader.path = join_path(&reader.path, &name);
            let value = access.next_value_seed(Strict(&mut *reader))?;
            if entries.insert(name, value).is_some() {
                reader.refuse("is given twice");
            }
            reader.path.truncate(here);
        }
        reader.depth -= 1;
        Ok(Value::Object(entries))
    }
}

/// Walks through a text in parallel with the value that was parsed from it.
struct Written<'v> {
    value: &'v Value,
    path: String,
    errors: &'v mut FieldErrors,
}

impl<'de> DeserializeSeed<'de> for Written<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.value {
            Value::Number(number) if number.is_f64() => deserializer.deserialize_str(self),
            Value::Array(_) => deserializer.deserialize_seq(self),
            Value::Object(_) => deserializer.deserialize_map(self),
            _ => deserializer.deserialize_ignored_any(IgnoredAny).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Written<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the same text as before")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Err(message) = check_number(text) {
            self.errors.add(shorten(&self.path), message);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        for (i, value) in self.value.as_array().into_iter().flatten().enumerate() {
            let mut path = self.path.clone();
            push_index(&mut path, i);
            let errors = &mut *self.errors;
            access.next_element_seed(Written { value, path, errors })?;
        }
        access.next_element::<IgnoredAny>().map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(name) = access.next_key::<String>()? {
            access.next_value_seed(Written {
                value: &self.value[&name],
                path: join_path(&self.path, &name),
                errors: &mut *self.errors,
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(text: &str) -> Vec<String> {
        match parse(text) {
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
        check("\u{feff}{\"a\": 1}", &[]);
        check("\u{feff}\u{feff}{}", &["expected value at line 1 column 1"]);
        check("{\"a\": \u{feff}1}", &["expected value at line 1 column 7"]);
    }

    #[test]
    fn numbers_are_exact_or_refused_by_name() {
        let check = |text: &str, bad: &[&str]| assert_eq!(paths(text), bad, "{text}");
        check(
            r#"{"id": 18446744073709551615, "n": -9223372036854775808, "x": 0.1}"#,
            &[],
        );
        check(r#"{"id": 18446744073709551616}"#, &["id"]);
        check("123456789012345678901234567890", &[""]);
        check(r#"{"a": [1, {"b": [2.5, 1e400, 3]}]}"#, &["a[1].b[1]"]);
        check(
            r#"{"a": {"b": 0.1234567890123456789}, "c": [-9223372036854775809]}"#,
            &["a.b", "c[0]"],
        );
        check(r#"[1e-400, "1e-400", 5]"#, &["[0]"]);
        // Digits in names and strings are not numbers; every number is counted.
        check(
            r#"{"12\"34": "5\\", "-6": "7e400\u0041\"8", "n": [1, -2, 3.5, 1E5, 0, 0.1234567890123456789]}"#,
            &["n[5]"],
        );
        let many = format!("[{}]", vec!["1e-400"; 1000].join(","));
        assert_eq!(paths(&many).len(), ERRORS_MAX);
        for (text, value) in [
            ("-0", json!(0)),
            ("-0.0", json!(0.0)),
            ("1E5", json!(100_000.0)),
            ("1e0", json!(1.0)),
            ("0.10000000000000001", json!(0.1)),
            ("9007199254740993", json!(9_007_199_254_740_993_i64)),
            ("2.2250738585072014e-308", json!(2.225_073_858_507_201_4e-308)),
        ] {
            let found = parse(text).expect(text);
            assert_eq!(found.to_string(), value.to_string(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_with_its_place() {
        let text = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(paths(&text(64)).is_empty());
        assert_eq!(paths(&text(65)), [vec!["a"; 64].join(".")]);
        assert_eq!(paths(&text(100_000)), [vec!["a"; 64].join(".")]);
    }
}
