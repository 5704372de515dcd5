//! Definitions whose rows contain invalid fields.

use crate::FieldErrors;
use std::fmt;

/// A definition with invalid fields, because its row was written by SQL. Everything that depends on them fails with this
/// reason; an invalid field is never treated as absent.
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
