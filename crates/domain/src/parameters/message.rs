//! Error messages for users. Those of the validator mention its own keywords.

use crate::whole;
use jsonschema::{
    JsonType, ValidationError,
    error::{TypeKind, ValidationErrorKind as Kind},
};
use serde_json::Value;

const OPTIONS_MAX: usize = 20;
const LENGTH_MAX: usize = 300;

/// A message that follows the name of a field. It never contains the value, which may be a secret.
pub(super) fn message(error: &ValidationError<'_>) -> String {
    let text = match error.kind() {
        Kind::Type {
            kind: TypeKind::Single(kind),
        } => {
            let reason = match kind {
                JsonType::Integer | JsonType::Number => whole::form_error(error.instance()),
                _ => "",
            };
            format!("must be {}{reason}", noun(*kind))
        }
        Kind::Type {
            kind: TypeKind::Multiple(kinds),
        } => {
            let nouns: Vec<_> = kinds.iter().map(noun).collect();
            format!("must be {}", nouns.join(" or "))
        }
        Kind::Enum { options } => one_of(options),
        Kind::Constant { expected_value } => format!("must be {}", plain(expected_value)),
        Kind::Minimum { limit } => format!("must be at least {limit}"),
        Kind::Maximum { limit } => format!("must be at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
        Kind::MinLength { limit } => format!("must have at least {limit} characters"),
        Kind::MaxLength { limit } => format!("must have at most {limit} characters"),
        Kind::MinItems { limit } => format!("must have at least {limit} items"),
        Kind::MaxItems { limit } => format!("must have at most {limit} items"),
        Kind::MinProperties { limit } => format!("must have at least {limit} fields"),
        Kind::MaxProperties { limit } => format!("must have at most {limit} fields"),
        Kind::UniqueItems => "must not contain duplicate items".to_owned(),
        Kind::Pattern { pattern } => format!("must match the pattern {pattern}"),
        Kind::Format { format } => format!("must be written as {format}"),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => alternatives(context),
        Kind::OneOfMultipleValid { .. } => {
            "matches more than one of the forms of which its schema allows exactly one".to_owned()
        }
        Kind::Not { .. } | Kind::FalseSchema => "is not allowed by its schema".to_owned(),
        _ => error.masked().to_string(),
    };
    text.chars().take(LENGTH_MAX).collect()
}

/// For each alternative of the schema, the first reason why the value does not match it.
fn alternatives(context: &[Vec<ValidationError<'static>>]) -> String {
    let mut expected: Vec<String> = Vec::new();
    for first in context.iter().filter_map(|errors| errors.first()) {
        let message = message(first);
        // An error deeper inside would read like an error of the whole value.
        let Some(expectation) = message.strip_prefix("must be ").filter(|_| is_root(first)) else {
            return "fits none of the forms that its schema allows".to_owned();
        };
        if !expected.iter().any(|known| known == expectation) {
            expected.push(expectation.to_owned());
        }
    }
    format!("must be {}", expected.join(" or "))
}

/// An error inside `anyOf` has its place relative to the root of the instance: it is the same for all errors about the
/// value itself.
fn is_root(error: &ValidationError<'_>) -> bool {
    matches!(
        error.kind(),
        Kind::Type { .. } | Kind::Enum { .. } | Kind::Constant { .. }
    )
}

fn one_of(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut texts: Vec<_> = options.iter().take(OPTIONS_MAX).map(plain).collect();
    if options.len() > OPTIONS_MAX {
        texts.push("…".to_owned());
    }
    format!("must be one of {}", texts.join(", "))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn noun(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Array => "a list",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "text",
    }
}
