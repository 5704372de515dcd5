//! A row that holds what no draft may hold.

use crate::FieldErrors;
use std::fmt;

/// A definition with fields that cannot be used, because its row was written past the API. Whatever depends on them fails
/// with this reason; nothing is taken for absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorruptDefinition {
    definition: String,
    errors: FieldErrors,
}

impl CorruptDefinition {
    /// `definition`: noun and reference, as in `the action demo.deploy`.
    pub fn new(definition: impl Into<String>, errors: FieldErrors) -> Self {
        Self {
            definition: definition.into(),
            errors,
        }
    }
}

impl fmt::Display for CorruptDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is misconfigured: {}; correct that field",
            self.definition, self.errors
        )
    }
}

impl std::error::Error for CorruptDefinition {}
