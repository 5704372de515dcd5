//! Forms: the fields of a definition, a body or a query, parsed one by one, so that every error is reported at once
//! (serde stops at the first error).
//!
//! [`form!`](crate::form!) declares the struct, its documentation and its reader in one place. A field is required
//! unless its type is an `Option` or it has a default. Later checks see a placeholder for a bad field: the value before
//! the change, the default, an empty value, or the one declared with `as`:
//! `kind: TriggerKind as (TriggerKind::Custom)`. An integer has its range in the declaration, so that every message names
//! the range that is accepted: `limit: u16 where (1..=200) = 50`.

use crate::{FieldErrors, json, whole};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::ops::RangeInclusive;
use utoipa::ToSchema;

pub trait Form: Sized + ToSchema {
    /// All fields, as written in the declaration: `r#ref`.
    const NAMES: &'static [&'static str];
    /// The fields that have a default.
    const DEFAULTED: &'static [&'static str];

    /// The defaults, for the documentation.
    fn defaults() -> Vec<(&'static str, Value)>;

    /// Takes the known fields. Errors are added to `fields`, and a placeholder replaces each bad value; returns nothing if
    /// there is no placeholder.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// The given values and their errors.
#[derive(Debug, Default)]
pub struct Fields {
    values: Map<String, Value>,
    /// Placeholders for bad values, by name.
    current: Map<String, Value>,
    errors: FieldErrors,
    /// The fields of the form.
    names: &'static [&'static str],
    /// All values are strings, as in a query.
    plain: bool,
}

/// Reads a form and collects the errors of its fields. Placeholders replace bad values, so that the caller can validate
/// the rest; it must not ignore the errors.
pub fn draft<T: Form>(
    values: Map<String, Value>,
    current: Map<String, Value>,
) -> Result<(T, FieldErrors), FieldErrors> {
    finish(Fields {
        values,
        current,
        ..Fields::default()
    })
}

/// Reads a form whose values are strings, or reports every error.
pub fn read_plain<T: Form>(values: Map<String, Value>, errors: FieldErrors) -> Result<T, FieldErrors> {
    let (form, errors) = finish(Fields {
        values,
        errors,
        plain: true,
        ..Fields::default()
    })?;
    errors.into_result().map(|()| form)
}

fn finish<T: Form>(mut fields: Fields) -> Result<(T, FieldErrors), FieldErrors> {
    fields.names = T::NAMES;
    let form = T::read(&mut fields);
    let mut errors = fields.errors;
    let known: Vec<_> = T::NAMES.iter().map(|name| name.trim_start_matches("r#")).collect();
    let message = match known.as_slice() {
        [] => "unknown field; no fields are expected".to_owned(),
        known => format!("unknown field; expected one of: {}", known.join(", ")),
    };
    for (name, _) in fields.values {
        errors.add(name.chars().take(64).collect::<String>(), message.clone());
    }
    match form {
        Some(form) => Ok((form, errors)),
        None => Err(errors),
    }
}

impl Fields {
    pub fn take<T: DeserializeOwned>(
        &mut self,
        name: &str,
        range: Option<RangeInclusive<i64>>,
        default: Option<fn() -> T>,
        stand_in: Option<fn() -> T>,
    ) -> Option<T> {
        let name = name.trim_start_matches("r#");
        // `remove` would move the last field into its place and change the order of the errors.
        let problem = match self.values.shift_remove(name) {
            Some(value) => {
                let reference = value.as_str().filter(|_| self.names.contains(&&*format!("{name}_ref")));
                let alternative = reference.map(|_| format!("; to use a ref, set {name}_ref instead"));
                let converted = self
                    .in_range(name, value, range)
                    .and_then(|value| self.convert(value).map_err(|error| json::in_words(&error)));
                match converted {
                    Ok(value) => return Some(value),
                    Err(problem) => problem + &alternative.unwrap_or_default(),
                }
            }
            // An absent field is read as null, which only an option accepts.
            None => match default.map_or_else(|| serde_json::from_value(Value::Null).ok(), |default| Some(default())) {
                Some(value) => return Some(value),
                None => "is missing".to_owned(),
            },
        };
        self.errors.add(name, problem);
        let current = self.current.shift_remove(name);
        current
            .and_then(|value| serde_json::from_value(value).ok())
            .or_else(|| default.or(stand_in).map(|value| value()))
            .or_else(|| {
                [Value::Null, json!("")]
                    .into_iter()
                    .find_map(|empty| serde_json::from_value(empty).ok())
            })
    }

    /// Null is left to the type of the field.
    fn in_range(&self, name: &str, value: Value, range: Option<RangeInclusive<i64>>) -> Result<Value, String> {
        let Some(range) = range.filter(|_| !value.is_null()) else {
            return Ok(value);
        };
        let number = value
            .as_str()
            .filter(|_| self.plain)
            .and_then(|text| text.trim().parse().ok());
        whole::read(name, &number.map_or(value, Value::Number), range).map(Value::from)
    }

    fn convert<T: DeserializeOwned>(&self, value: Value) -> Result<T, serde_json::Error> {
        let text = match &value {
            Value::String(text) if self.plain => text.clone(),
            _ => return serde_json::from_value(value),
        };
        serde_json::from_value(value).or_else(|error| {
            let scalar = serde_json::from_str::<Value>(&text)
                .ok()
                .filter(|value| value.is_number() || value.is_boolean());
            scalar
                .and_then(|scalar| serde_json::from_value(scalar).ok())
                .ok_or(error)
        })
    }
}

/// Declares a form.
#[macro_export]
macro_rules! form {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty $(where ($range:expr))? $(as ($stand_in:expr))? $(= $default:expr)?,)* }) => {
        #[derive(Debug, utoipa::ToSchema)]
        $(#[$meta])*
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::form::Form for $name {
            const NAMES: &'static [&'static str] = &[$(stringify!($field),)*];
            const DEFAULTED: &'static [&'static str] = &[$($($crate::form!(@name $field $default),)?)*];

            fn defaults() -> Vec<(&'static str, serde_json::Value)> {
                vec![$($((stringify!($field), serde_json::json!($default)),)?)*]
            }

            fn read(fields: &mut $crate::form::Fields) -> Option<Self> {
                // For a form without fields.
                let _ = &fields;
                // Reads all fields before the first bad one ends the function.
                $(let $field = fields.take::<$type>(
                    stringify!($field),
                    $crate::form!(@range $($range)?),
                    $crate::form!(@default $($default)?),
                    $crate::form!(@default $($stand_in)?),
                );)*
                Some(Self { $($field: $field?,)* })
            }
        }
    };
    (@name $field:ident $default:expr) => { stringify!($field) };
    (@range) => { None };
    (@range $range:expr) => {{
        let range = $range;
        Some(i64::from(*range.start())..=i64::from(*range.end()))
    }};
    (@default) => { None };
    (@default $default:expr) => { Some(|| $default) };
}
#[cfg(test)]
mod tests {
    use super::*;

    form! {
        /// A form for this test.
        pub struct Sample {
            r#ref: String,
            limit: u16 where (1..=200) = 50,
            note: Option<String>,
            on: bool = true,
        }
    }

    fn check(value: Value, expected: &[(&str, &str)]) {
        let Value::Object(values) = value else {
            panic!("an object")
        };
        let (_, errors) = draft::<Sample>(values, Map::new()).expect("placeholders");
        let errors = errors.into_vec();
        let found: Vec<_> = errors.iter().map(|e| (e.path.as_str(), e.message.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn every_error_is_reported_at_once() {
        check(json!({"ref": "a"}), &[]);
        check(json!({"ref": "a", "note": null, "limit": 3, "on": false}), &[]);
        check(
            json!({"limit": "x", "on": null, "surprise": 1}),
            &[
                ("ref", "is missing"),
                ("limit", "must be a whole number from 1 to 200"),
                ("on", "must be true or false"),
                ("surprise", "unknown field; expected one of: ref, limit, note, on"),
            ],
        );
    }

    #[test]
    fn placeholders_replace_bad_values() {
        let read = |current: Value| {
            let (Value::Object(values), Value::Object(current)) =
                (json!({"limit": "x", "ref": 1, "note": []}), current)
            else {
                panic!("objects")
            };
            let (form, errors) = draft::<Sample>(values, current).expect("placeholders");
            assert_eq!(errors.into_vec().len(), 3);
            (form.r#ref, form.limit, form.note)
        };
        assert_eq!(read(json!({})), (String::new(), 50, None));
        let was = ("was".to_owned(), 7, Some("note".to_owned()));
        assert_eq!(read(json!({"ref": "was", "limit": 7, "note": "note"})), was);
    }

    #[test]
    fn strings_of_a_query_are_converted() {
        let values = |limit: &str| {
            let Value::Object(values) = json!({"ref": "12", "limit": limit, "on": "false"}) else {
                panic!("an object")
            };
            values
        };
        let form = read_plain::<Sample>(values("7"), FieldErrors::new()).expect("good");
        assert_eq!(
            (form.r#ref.as_str(), form.limit, form.on, form.note),
            ("12", 7, false, None)
        );
        let message = |limit: &str| {
            let errors = read_plain::<Sample>(values(limit), FieldErrors::new()).expect_err(limit);
            errors.to_string()
        };
        assert_eq!(message("-7"), "limit: must be a whole number from 1 to 200");
        assert_eq!(message("201"), "limit: must be a whole number from 1 to 200");
        assert_eq!(message("now()"), "limit: must be a whole number from 1 to 200");
        assert_eq!(
            message("1e2"),
            "limit: must be a whole number from 1 to 200; write `100`"
        );
    }
}
