//! The life of an execution: its states, and which causes lead from one to another.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One spelling in Rust, PostgreSQL, JSON and the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[serde(rename_all = "snake_case")]
pub enum ExecutionStatus {
    /// A concurrency key is full; freed by the transaction that finishes another execution.
    Waiting,
    /// May be claimed by a worker, at once or at a later instant.
    Scheduled,
    Running,
    /// Asked to stop; the worker has not confirmed yet.
    Canceling,
    Succeeded,
    Failed,
    TimedOut,
    Canceled,
    /// Its worker vanished and a second start is not allowed.
    Lost,
    /// Never started, because a policy said so.
    Skipped,
}

impl ExecutionStatus {
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Scheduled,
        Self::Running,
        Self::Canceling,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Canceled,
        Self::Lost,
        Self::Skipped,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Canceled => "canceled",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }

    pub fn is_terminal(self) -> bool {
        !matches!(
            self,
            Self::Waiting | Self::Scheduled | Self::Running | Self::Canceling
        )
    }
}

/// What moves an execution along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A slot of its concurrency key became free.
    Freed,
    /// An overlap policy gives it up.
    Overlapped,
    /// A worker took it.
    Claimed,
    /// The action ended by itself or ran out of time.
    Ended(Outcome),
    /// A reported failure that is to be tried again, or a lost one that may be.
    Requeued,
    /// A person asked for it.
    Cancel,
    /// The worker that was asked to stop it did.
    CancelConfirmed,
    /// Its worker is gone for good.
    OwnerLost,
}

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Failed,
    TimedOut,
}

impl From<Outcome> for ExecutionStatus {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Failed => Self::Failed,
            Outcome::TimedOut => Self::TimedOut,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an execution that is {} cannot take {cause:?}", .from.as_str())]
pub struct IllegalTransition {
    pub from: ExecutionStatus,
    pub cause: Cause,
}

/// The legal pairs, all of them. The database refuses every other pair a second time (`execution_guard`).
pub fn after(from: ExecutionStatus, cause: Cause) -> Result<ExecutionStatus, IllegalTransition> {
    use ExecutionStatus as S;
    match (from, cause) {
        (S::Waiting, Cause::Freed) | (S::Running, Cause::Requeued) => Ok(S::Scheduled),
        (S::Waiting, Cause::Overlapped) => Ok(S::Skipped),
        (S::Scheduled, Cause::Claimed) => Ok(S::Running),
        (S::Running | S::Canceling, Cause::Ended(outcome)) => Ok(outcome.into()),
        (S::Scheduled | S::Waiting, Cause::Cancel)
        | (S::Canceling, Cause::CancelConfirmed | Cause::OwnerLost) => Ok(S::Canceled),
        (S::Running, Cause::Cancel) => Ok(S::Canceling),
        (S::Running, Cause::OwnerLost) => Ok(S::Lost),
        (from, cause) => Err(IllegalTransition { from, cause }),
    }
}

/// Every pair of states that some cause connects.
pub fn transitions() -> Vec<(ExecutionStatus, ExecutionStatus)> {
    let causes = [
        Cause::Freed,
        Cause::Overlapped,
        Cause::Claimed,
        Cause::Ended(Outcome::Succeeded),
        Cause::Ended(Outcome::Failed),
        Cause::Ended(Outcome::TimedOut),
        Cause::Requeued,
        Cause::Cancel,
        Cause::CancelConfirmed,
        Cause::OwnerLost,
    ];
    let mut pairs = Vec::new();
    for from in ExecutionStatus::ALL {
        pairs.extend(causes.iter().filter_map(|cause| Some((from, after(from, *cause).ok()?))));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_states_never_change() {
        for (from, to) in transitions() {
            assert!(!from.is_terminal(), "{from:?} → {to:?}");
        }
    }

    #[test]
    fn one_spelling() {
        for status in ExecutionStatus::ALL {
            let json = serde_json::to_value(status).expect("a status is a string");
            assert_eq!(json, status.as_str());
        }
    }
}
