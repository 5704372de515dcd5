//! Forms: the fields of a body or of a query, read one by one, so that everything that is wrong is told at once (serde
//! stops at the first error).
//!
//! [`form!`] declares the struct, its documentation and its reader in one place. A field is required unless its type is
//! an `Option` or it has a default.

use attune_domain::FieldErrors;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

pub trait Form: Sized + ToSchema {
    /// The fields that have a default.
    const DEFAULTED: &'static [&'static str];

    /// Takes the fields it knows. Nothing when one of them is bad; the reason is in `fields`.
    fn read(fields: &mut Fields) -> Option<Self>;
}

/// What was given, and what is wrong with it.
#[derive(Debug)]
pub struct Fields {
    values: Map<String, Value>,
    errors: FieldErrors,
    /// All values came as text, as in a query.
    plain: bool,
}

/// Reads a form, or tells everything that is wrong.
pub fn read<T: Form>(values: Map<String, Value>) -> Result<T, FieldErrors> {
    finish(Fields {
        values,
        errors: FieldErrors::new(),
        plain: false,
    })
}

/// Reads a form whose values came as text.
pub fn read_plain<T: Form>(values: Map<String, Value>, errors: FieldErrors) -> Result<T, FieldErrors> {
    finish(Fields {
        values,
        errors,
        plain: true,
    })
}

fn finish<T: Form>(mut fields: Fields) -> Result<T, FieldErrors> {
    let form = T::read(&mut fields);
    let mut errors = fields.errors;
    for (name, _) in fields.values {
        errors.add(name.chars().take(64).collect::<String>(), "is not known here");
    }
    match form {
        Some(form) if errors.is_empty() => Ok(form),
        _ => Err(errors),
    }
}

impl Fields {
    pub fn take<T: DeserializeOwned>(&mut self, name: &str, default: Option<fn() -> T>) -> Option<T> {
        let name = name.trim_start_matches("r#");
        // `remove` would put the last field in its place, and errors out of order.
        let Some(value) = self.values.shift_remove(name) else {
            // Null stands for a missing option, and for nothing else.
            let missing = default.map_or_else(|| serde_json::from_value(Value::Null).ok(), |default| Some(default()));
            if missing.is_none() {
                self.errors.add(name, "is missing");
            }
            return missing;
        };
        match self.convert(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.add(name, error.to_string());
                None
            }
        }
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
macro_rules! form {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty $(= $default:expr)?,)* }) => {
        $(#[$meta])*
        #[derive(Debug, utoipa::ToSchema)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }

        impl $crate::request::Form for $name {
            const DEFAULTED: &'static [&'static str] = &[$($($crate::request::form::form!(@name $field $default),)?)*];

            fn read(fields: &mut $crate::request::form::Fields) -> Option<Self> {
                // A form without fields reads nothing.
                let _ = &fields;
                // All of them are read before the first bad one ends it.
                $(let $field = fields.take::<$type>(stringify!($field), $crate::request::form::form!(@default $($default)?));)*
                Some(Self { $($field: $field?,)* })
            }
        }
    };
    (@name $field:ident $default:expr) => { stringify!($field) };
    (@default) => { None };
    (@default $default:expr) => { Some(|| $default) };
}
pub(crate) use form;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    form! {
        /// A form for this test.
        pub struct Sample {
            r#ref: String,
            limit: u16 = 50,
            note: Option<String>,
            on: bool = true,
        }
    }

    fn check(value: Value, expected: &[(&str, &str)]) {
        let Value::Object(values) = value else {
            panic!("an object")
        };
        let errors = read::<Sample>(values).err().unwrap_or_default().into_vec();
        let found: Vec<_> = errors.iter().map(|e| (e.path.as_str(), e.message.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn everything_that_is_wrong_at_once() {
        check(json!({"ref": "a"}), &[]);
        check(json!({"ref": "a", "note": null, "limit": 3, "on": false}), &[]);
        check(
            json!({"limit": "x", "on": null, "surprise": 1}),
            &[
                ("ref", "is missing"),
                ("limit", "invalid type: string \"x\", expected u16"),
                ("on", "invalid type: null, expected a boolean"),
                ("surprise", "is not known here"),
            ],
        );
    }

    #[test]
    fn text_of_a_query_becomes_what_it_means() {
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
        assert!(read_plain::<Sample>(values("-7"), FieldErrors::new()).is_err());
    }
}
