//! Turns the end of one attempt into its result, and decides whether another attempt follows.

use crate::{
    leased::StopReason,
    redact::Redactor,
    runner::{Ended, Outcome},
};
use attune_common::{
    saturating,
    store::execution_queue::{AttemptKey, Claimed, Finished, Lifetime, Requeued},
};
use attune_domain::{
    FieldErrors,
    definition::{CorruptDefinition, OnLost, OutputFormat},
    execution::{self, ExecutionStatus},
    output::{self, Source},
    raw::Raw,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How a run ended, whether it was a process, a native action, or never started.
#[derive(Debug)]
pub struct RunResult {
    pub outcome: Outcome,
    pub result: Option<Value>,
    pub error: Option<String>,
    pub exit_code: Option<i32>,
    pub life: Option<Lifetime>,
}

impl RunResult {
    pub fn succeeded(result: Value) -> Self {
        Self {
            outcome: Outcome::Succeeded,
            result: Some(result),
            error: None,
            exit_code: None,
            life: None,
        }
    }

    pub fn failed(error: String) -> Self {
        Self {
            outcome: Outcome::Failed,
            result: None,
            error: Some(error),
            exit_code: None,
            life: None,
        }
    }

    pub fn failed_with(error: String, result: Value) -> Self {
        Self {
            result: Some(result),
            ..Self::failed(error)
        }
    }

    pub fn timed_out(limit: Duration) -> Self {
        Self {
            outcome: Outcome::TimedOut,
            ..Self::failed(format!("timed out after {} s", limit.as_secs_f64()))
        }
    }

    pub fn canceled() -> Self {
        Self::stopped("canceled")
    }

    pub fn stopped_before_start() -> Self {
        Self::stopped("stopped before it started")
    }

    fn stopped(error: &str) -> Self {
        Self {
            outcome: Outcome::Canceled,
            ..Self::failed(error.to_owned())
        }
    }

    /// The result of a process: its output and exit code, and the value that it wrote to descriptor 3. Without one, standard
    /// output is parsed if the action declares it to be JSON.
    ///
    /// A result that is not one JSON value fails the attempt: its author expects it to arrive. Standard output that is not JSON
    /// does not.
    pub fn of_process(ended: Ended, output_format: OutputFormat) -> Self {
        let mut result = json!({"stdout": ended.stdout, "stderr": ended.stderr, "exit_code": ended.exit_code});
        let (mut outcome, mut error) = (ended.outcome, ended.error);
        let was_started = !ended.ran.is_zero();
        let output = match ended.result {
            Some(written) => {
                if let (Err(reason), Outcome::Succeeded) = (&written, outcome) {
                    (outcome, error) = (Outcome::Failed, Some(reason.clone()));
                }
                Some(written)
            }
            None if was_started && matches!(output_format, OutputFormat::Json) => {
                Some(output::json(&ended.stdout, ended.stdout_flaw, Source::StandardOutput))
            }
            None => None,
        };
        match output {
            Some(Ok(output)) => result["output"] = output,
            Some(Err(reason)) => result["output_error"] = reason.into(),
            None => {}
        }
        Self {
            outcome,
            result: Some(result),
            error,
            exit_code: ended.exit_code,
            life: ended.life,
        }
    }
}

impl RunResult {
    /// Redacts what is derived from the output, whose text is redacted already: JSON may spell a secret in another way.
    #[must_use]
    pub fn redacted(mut self, redactor: &Redactor) -> Self {
        if let Some(Value::Object(result)) = &mut self.result {
            for name in ["output", "output_error"] {
                if let Some(part) = result.get_mut(name) {
                    *part = redactor.value(part.take());
                }
            }
        }
        self.error = self.error.map(|error| redactor.text(error));
        self
    }
}

/// The result of one attempt, and the retry if there is one.
#[derive(Debug, Clone)]
pub struct AttemptResult {
    pub finished: Finished,
    /// Set if the attempt is retried. If a cancel was requested meanwhile, the execution ends as `finished` instead.
    pub retry: Option<Requeued>,
    /// The trace of the execution and the time the attempt ended, for its last span. A result read from disk has none.
    pub trace: Option<(Uuid, Instant)>,
    /// The concurrency keys whose slots the attempt held.
    pub slot_keys: Vec<String>,
}

impl AttemptResult {
    pub fn key(&self) -> AttemptKey {
        self.finished.held
    }

    /// Of an attempt whose worker died before it started the action: another attempt follows at once, whatever `on_lost` is.
    pub fn never_started(held: AttemptKey) -> Self {
        let error = "the worker died before it started the action";
        let run = RunResult::failed(error.to_owned());
        Self {
            finished: finished(held, ExecutionStatus::Lost, Some(error.to_owned()), run),
            retry: Some(Requeued {
                held,
                outcome: "not_started".into(),
                error: Some(format!("{error}: requeued")),
                delay: Duration::ZERO,
                life: None,
            }),
            trace: None,
            slot_keys: Vec::new(),
        }
    }
}

/// Decides between the end and another attempt.
pub fn conclude(execution: &Claimed, mut run: RunResult, stopped: Option<StopReason>) -> AttemptResult {
    // Lifetimes are recorded only for attempts that held a slot.
    run.life = run.life.filter(|_| !execution.slot_keys.is_empty());
    let key = AttemptKey {
        id: execution.id,
        attempt: execution.attempt,
    };
    let outcome = match run.outcome {
        Outcome::Succeeded => execution::Outcome::Succeeded,
        Outcome::Failed => execution::Outcome::Failed,
        Outcome::TimedOut => execution::Outcome::TimedOut,
        Outcome::Canceled => return conclude_stopped(execution, key, run, stopped),
    };
    let policy = match execution.retry.as_ref().map(Raw::parse).transpose() {
        Ok(policy) => policy,
        Err(errors) => {
            if outcome != execution::Outcome::Succeeded {
                run.error = Some(not_retried(run.error.as_deref(), &execution.action_ref, errors));
            }
            None
        }
    };
    let attempt = saturating::u32(execution.attempt);
    let delay = policy.and_then(|policy| policy.next_attempt(attempt, outcome, rand::random()));
    let retry = delay.map(|delay| Requeued {
        held: key,
        outcome: outcome.as_str().into(),
        error: run.error.clone(),
        delay,
        life: run.life,
    });
    AttemptResult {
        finished: finished(key, outcome.into(), run.error.clone(), run),
        retry,
        trace: None,
        slot_keys: execution.slot_keys.clone(),
    }
}

fn conclude_stopped(
    execution: &Claimed,
    key: AttemptKey,
    run: RunResult,
    stopped: Option<StopReason>,
) -> AttemptResult {
    let reason = match stopped {
        Some(StopReason::Canceled) => {
            return AttemptResult {
                finished: finished(key, ExecutionStatus::Canceled, Some("canceled".to_owned()), run),
                retry: None,
                trace: None,
                slot_keys: execution.slot_keys.clone(),
            };
        }
        Some(StopReason::WorkerStopped) => "worker_stopped",
        _ => "lease_lost",
    };
    let is_requeued = execution.on_lost == OnLost::Requeue && execution.attempt < execution.attempts_max;
    let retry = is_requeued.then(|| Requeued {
        held: key,
        outcome: "lost".into(),
        error: Some(format!("{reason}: requeued")),
        delay: Duration::ZERO,
        life: run.life,
    });
    // The database changes `lost` to `canceled` if a cancel was requested.
    AttemptResult {
        finished: finished(key, ExecutionStatus::Lost, Some(reason.to_owned()), run),
        retry,
        trace: None,
        slot_keys: execution.slot_keys.clone(),
    }
}

fn finished(key: AttemptKey, status: ExecutionStatus, error: Option<String>, run: RunResult) -> Finished {
    Finished {
        held: key,
        status,
        result: run.result,
        error,
        exit_code: run.exit_code,
        life: run.life,
    }
}

/// Adds to the error of an attempt that its retry policy is invalid: its author expects another attempt.
fn not_retried(error: Option<&str>, action: &str, errors: FieldErrors) -> String {
    let misconfigured = CorruptDefinition::new(format!("the action {action} or its rule"), errors);
    format!("{}; not retried: {misconfigured}", error.unwrap_or("failed"))
}

#[cfg(test)]
mod tests;
