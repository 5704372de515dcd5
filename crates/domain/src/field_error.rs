//! Validation errors of an input, field by field, so that a user can fix all of them at once.

use serde::{Deserialize, Serialize};
use std::{collections::HashSet, fmt};
use utoipa::ToSchema;

/// One bad field. `path` is written as a reader would address it: `config.seconds`, `action_params.message`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    pub path: String,
    pub message: String,
}

/// Every bad field of one input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub fn new() -> Self {
        Self::default()
    }

    /// An input with exactly one bad field.
    pub fn one(path: impl Into<String>, message: impl Into<String>) -> Self {
        let mut errors = Self::new();
        errors.add(path, message);
        errors
    }

    pub fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError {
            path: path.into(),
            message: message.into(),
        });
    }

    /// Adds the errors of a nested value, prefixing their paths with its place.
    pub fn nest(&mut self, prefix: &str, inner: FieldErrors) {
        for error in inner.0 {
            let path = match (prefix, error.path.as_str()) {
                (prefix, "") => prefix.to_owned(),
                ("", path) => path.to_owned(),
                (prefix, path) if path.starts_with('[') => format!("{prefix}{path}"),
                (prefix, path) => format!("{prefix}.{path}"),
            };
            self.add(path, error.message);
        }
    }

    /// The value, or `None` after adding its errors.
    pub fn collect<T>(&mut self, result: Result<T, FieldErrors>) -> Option<T> {
        result.map_err(|errors| self.0.extend(errors.0)).ok()
    }

    /// Whether an error has exactly this path.
    pub fn has(&self, path: &str) -> bool {
        self.0.iter().any(|error| error.path == path)
    }

    /// Keeps the errors of the fields that `keep` names. A field is a path up to its first `.` or `[`.
    #[must_use]
    pub fn of_fields(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.0
            .retain(|error| keep(error.path.split(['.', '[']).next().unwrap_or_default()));
        self
    }

    /// The errors in the order of these fields; others come last. The order within a field is kept.
    #[must_use]
    pub fn in_order(mut self, fields: &[&str]) -> Self {
        self.0.sort_by_key(|error| {
            let field = error.path.split(['.', '[']).next();
            let known = fields.iter().position(|known| Some(*known) == field);
            known.unwrap_or(fields.len())
        });
        self
    }

    /// The same errors with prefixed paths.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        let mut errors = Self::new();
        errors.nest(prefix, self);
        errors
    }

    /// Keeps one error for each field: the first one, and none for the fields inside an invalid one.
    #[must_use]
    pub fn distinct(self) -> Self {
        let mut reported = HashSet::new();
        let mut errors = self.0;
        errors.retain(|error| {
            let path = error.path.as_str();
            let inside = path
                .match_indices(['.', '['])
                .any(|(end, _)| reported.contains(&path[..end]));
            !inside && reported.insert(path.to_owned())
        });
        Self(errors)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    pub fn into_vec(self) -> Vec<FieldError> {
        self.0
    }

    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            if error.path.is_empty() {
                f.write_str(&error.message)?;
            } else {
                write!(f, "{}: {}", error.path, error.message)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for FieldErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_error_for_each_field() {
        let mut errors = FieldErrors::new();
        for path in ["a", "a", "a.b", "a[0]", "ab", "c.d", "c", "", "e"] {
            errors.add(path, "is bad");
        }
        let paths: Vec<_> = errors
            .distinct()
            .into_vec()
            .into_iter()
            .map(|error| error.path)
            .collect();
        assert_eq!(paths, ["a", "ab", "c.d", "c", "", "e"]);
    }

    #[test]
    fn nested_errors_carry_their_place() {
        let mut errors = FieldErrors::new();
        errors.nest("config", FieldErrors::one("seconds", "must be at least 1"));
        errors.nest("config", FieldErrors::one("", "must be an object"));
        assert_eq!(
            errors.to_string(),
            "config.seconds: must be at least 1; config: must be an object"
        );
    }
}
