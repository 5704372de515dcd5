//! Bounds the expressions of a template.

use crate::expression::{Expression, Scope};

const EXPRESSIONS_MAX: usize = 256;
const SOURCE_BYTES_MAX: usize = 16 * 1024;

/// The limits that all strings of one template share.
#[derive(Debug, Default)]
pub(super) struct Limits {
    scope: Scope,
    /// It may pass secrets on: it makes the parameters of an action.
    secrets: bool,
    expressions: usize,
    bytes: usize,
}

impl Limits {
    pub fn of(scope: Scope, secrets: bool) -> Self {
        Self {
            scope,
            secrets,
            ..Self::default()
        }
    }

    pub fn may_pass_secrets(&self) -> bool {
        self.secrets
    }

    /// Counts one expression of the template.
    pub fn count(&mut self, source: &str) -> Result<(), String> {
        self.expressions += 1;
        self.bytes += source.len();
        if self.expressions > EXPRESSIONS_MAX || self.bytes > SOURCE_BYTES_MAX {
            return Err(format!(
                "exceeds the limits of a template: {EXPRESSIONS_MAX} expressions with {SOURCE_BYTES_MAX} bytes in total"
            ));
        }
        Ok(())
    }

    /// Compiles one expression of the template.
    pub fn expression(&mut self, source: &str) -> Result<Expression, String> {
        self.count(source)?;
        Expression::compile(source, self.scope).map_err(|message| {
            let source: String = source.trim().chars().take(80).collect();
            format!("the expression `{source}` {message}")
        })
    }
}
