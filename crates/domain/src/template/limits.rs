//! Bounds the expressions of a template.

use crate::expression::{Expression, Scope};

const EXPRESSIONS_MAX: usize = 256;
const SOURCE_BYTES_MAX: usize = 16 * 1024;

/// The limits that all strings of one template share.
#[derive(Debug, Default)]
pub(super) struct Limits {
    scope: Scope,
    expressions: usize,
    bytes: usize,
}

impl Limits {
    pub fn of(scope: Scope) -> Self {
        Self {
            scope,
            ..Self::default()
        }
    }

    /// Compiles one expression of the template.
    pub fn expression(&mut self, source: &str) -> Result<Expression, String> {
        self.expressions += 1;
        self.bytes += source.len();
        if self.expressions > EXPRESSIONS_MAX || self.bytes > SOURCE_BYTES_MAX {
            return Err(format!(
                "exceeds the limits of a template: {EXPRESSIONS_MAX} expressions with {SOURCE_BYTES_MAX} bytes in total"
            ));
        }
        Expression::compile(source, self.scope).map_err(|message| {
            let source: String = source.trim().chars().take(80).collect();
            format!("the expression `{source}` {message}")
        })
    }
}
