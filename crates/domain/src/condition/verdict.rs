//! The result of evaluating a condition.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The path under which errors are reported.
pub(super) const ROOT: &str = "condition";

/// Whether a condition holds for an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Holds,
    Fails(Box<Clause>),
}

/// The part of a condition that is false, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Clause {
    /// The address in the event, such as `event.payload.alerts[3].status` for a clause about an item; for a failed expression its
    /// text, for a failed `any` empty.
    pub path: String,
    /// The operator; `any`, `not` or `expression` for these.
    pub operator: String,
    /// The expected value: the `value` of the clause, or for `any` and `not` the clauses inside.
    pub expected: Value,
    /// The actual value in the event; null when it does not exist.
    pub actual: Value,
    /// Position of the clause in the condition: `all[1].not`; empty for the whole condition.
    pub at: String,
    /// The event has no value at the path, and `missing` of the clause decided.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

impl Clause {
    /// A path with its actual value.
    pub(super) fn of(path: String, actual: Option<&Value>) -> Self {
        Self {
            path,
            operator: String::new(),
            expected: Value::Null,
            actual: actual.cloned().unwrap_or_default(),
            at: String::new(),
            missing: false,
        }
    }
}

/// Why a condition is neither true nor false.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path} {message}")]
pub struct ConditionError {
    /// Where in the condition: `condition.all[1]`.
    pub path: String,
    pub message: String,
}
