//! The lifecycle of an execution: its states, and the causes of its transitions.

use crate::spelled::spelled;

spelled! {
    /// What happens when the worker of a running execution disappears.
    OnLost {
        /// At most once: the execution ends as `lost`, and a user decides.
        Fail = "fail",
        /// At least once, for actions that may start twice.
        Requeue = "requeue",
    }
}

spelled! {
    /// One spelling in Rust, PostgreSQL, JSON and the documentation.
    ExecutionStatus {
        /// Queued because a concurrency key is full; the transaction that finishes another execution starts it.
        Waiting = "waiting",
        /// May be claimed by a worker, at once or at a later instant.
        Scheduled = "scheduled",
        Running = "running",
        /// Cancellation requested; the worker has not confirmed yet.
        Canceling = "canceling",
        Succeeded = "succeeded",
        Failed = "failed",
        TimedOut = "timed_out",
        Canceled = "canceled",
        /// Its worker disappeared, and a second start is not allowed.
        Lost = "lost",
        /// Never started, because of a policy.
        Skipped = "skipped",
    }
}

impl ExecutionStatus {
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Waiting | Self::Scheduled | Self::Running | Self::Canceling)
    }
}

/// The cause of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A slot of its concurrency key became free.
    Freed,
    /// An overlap policy discards it.
    Overlapped,
    /// A worker claimed it.
    Claimed,
    /// The action ended by itself or ran out of time.
    Ended(Outcome),
    /// A reported failure that is retried, or a lost attempt that may be repeated.
    Requeued,
    /// A user requested it.
    Cancel,
    /// The worker stopped it on request.
    CancelConfirmed,
    /// Its worker has disappeared.
    OwnerLost,
}

spelled! {
    /// How an action ended.
    Outcome {
        Succeeded = "succeeded",
        Failed = "failed",
        TimedOut = "timed_out",
    }
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

/// All legal transitions. The database refuses every other one as well (`execution_guard`).
pub fn after(from: ExecutionStatus, cause: Cause) -> Result<ExecutionStatus, IllegalTransition> {
    use ExecutionStatus as S;
    match (from, cause) {
        (S::Waiting, Cause::Freed) | (S::Running, Cause::Requeued) => Ok(S::Scheduled),
        (S::Waiting, Cause::Overlapped) => Ok(S::Skipped),
        (S::Scheduled, Cause::Claimed) => Ok(S::Running),
        (S::Running | S::Canceling, Cause::Ended(outcome)) => Ok(outcome.into()),
        (S::Scheduled | S::Waiting, Cause::Cancel) | (S::Canceling, Cause::CancelConfirmed | Cause::OwnerLost) => {
            Ok(S::Canceled)
        }
        (S::Running, Cause::Cancel) => Ok(S::Canceling),
        (S::Running, Cause::OwnerLost) => Ok(S::Lost),
        (from, cause) => Err(IllegalTransition { from, cause }),
    }
}

/// The next status of an execution whose worker has disappeared.
///
/// It starts again only if the action allows that, and only as often as the action allows.
pub fn after_loss(on_lost: OnLost, attempt: i32, attempts_max: i32, cancel_requested: bool) -> ExecutionStatus {
    match on_lost {
        _ if cancel_requested => ExecutionStatus::Canceled,
        OnLost::Requeue if attempt < attempts_max => ExecutionStatus::Scheduled,
        OnLost::Requeue | OnLost::Fail => ExecutionStatus::Lost,
    }
}

/// Every pair of states with a transition.
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
    for &from in ExecutionStatus::ALL {
        pairs.extend(
            causes
                .iter()
                .filter_map(|cause| Some((from, after(from, *cause).ok()?))),
        );
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
    fn only_requeueable_actions_start_twice() {
        let check = |on_lost, attempt, cancel, expected| assert_eq!(after_loss(on_lost, attempt, 3, cancel), expected);
        check(OnLost::Fail, 1, false, ExecutionStatus::Lost);
        check(OnLost::Requeue, 2, false, ExecutionStatus::Scheduled);
        check(OnLost::Requeue, 3, false, ExecutionStatus::Lost);
        check(OnLost::Requeue, 1, true, ExecutionStatus::Canceled);
        check(OnLost::Fail, 1, true, ExecutionStatus::Canceled);
    }

    #[test]
    fn one_spelling() {
        for &status in ExecutionStatus::ALL {
            let json = serde_json::to_value(status).expect("a status is a string");
            assert_eq!(json, status.as_str());
        }
    }
}
