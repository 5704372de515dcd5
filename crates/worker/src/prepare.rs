//! From an execution to an invocation, and from its end to a result.

use crate::{
    lease::StopReason,
    log::Log,
    runner::{Ended, Invocation, Outcome, Runner, Stop, Ties, Work},
};
use attune_common::{
    service::{Context, jittered},
    store::{
        execution_queue::{AttemptKey, Claimed, Finished, Life, Requeued},
        is_unavailable,
        rule_set::{self, ActionRow},
        with_timeout,
    },
};
use attune_domain::{
    FieldErrors,
    definition::{OnLost, OutputFormat, RuntimeKind},
    execution::{self, ExecutionStatus},
    output,
    policy::Misconfigured,
    resources::Resources,
    retry::RetryPolicy,
    variables,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

const READ_AGAIN: Duration = Duration::from_millis(500);

/// What this worker knows of actions, right as of one value of the definitions counter.
#[derive(Debug, Default)]
pub struct Actions(Mutex<(i64, HashMap<String, Arc<ActionRow>>)>);

impl Actions {
    /// Forgets everything when definitions have changed.
    pub fn as_of(&self, version: i64) {
        let mut known = self.lock();
        if known.0 != version {
            *known = (version, HashMap::new());
        }
    }

    async fn get(&self, context: &Context, reference: &str, stop: &Stop) -> Result<Arc<ActionRow>, End> {
        let version = {
            let known = self.lock();
            if let Some(action) = known.1.get(reference) {
                return Ok(Arc::clone(action));
            }
            known.0
        };
        let found = read(context, reference, stop).await?;
        let action = found.ok_or_else(|| End::failed(format!("the action {reference} does not exist any more")))?;
        let action = Arc::new(action);
        self.learn(version, reference, &action);
        Ok(action)
    }

    /// Remembers what was read while `version` was the newest that is known: it may be older than what is newest now.
    fn learn(&self, version: i64, reference: &str, action: &Arc<ActionRow>) {
        let mut known = self.lock();
        if known.0 == version {
            known.1.insert(reference.to_owned(), Arc::clone(action));
        }
    }

    fn lock(&self) -> MutexGuard<'_, (i64, HashMap<String, Arc<ActionRow>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A database that goes away in this moment is waited for, until somebody else may start it: nothing has started yet, and
/// nothing has failed.
async fn read(context: &Context, reference: &str, stop: &Stop) -> Result<Option<ActionRow>, End> {
    loop {
        let limit = context.config.worker.lease() / 3;
        match with_timeout(limit, rule_set::action(&context.pool, reference)).await {
            Ok(found) => return Ok(found),
            Err(error) if is_unavailable(&error) => {
                tracing::warn!(%error, action = reference, "an action cannot be read; trying again");
            }
            Err(error) => {
                return Err(End::failed(format!(
                    "the action {reference} could not be read: {error}"
                )));
            }
        }
        tokio::select! {
            () = stop.asked() => return Err(End::stopped()),
            () = tokio::time::sleep(jittered(READ_AGAIN)) => {}
        }
    }
}

/// An execution that is ready to run.
#[derive(Debug)]
pub enum Prepared {
    Process {
        invocation: Box<Invocation>,
        output_format: OutputFormat,
    },
    Native {
        name: String,
    },
}

/// How a run ended, whatever it was.
#[derive(Debug)]
pub struct End {
    outcome: Outcome,
    result: Option<Value>,
    error: Option<String>,
    exit_code: Option<i32>,
    life: Option<Life>,
}

impl End {
    fn failed(error: String) -> Self {
        Self {
            outcome: Outcome::Failed,
            result: None,
            error: Some(error),
            exit_code: None,
            life: None,
        }
    }

    /// Asked to stop before anything was started.
    fn stopped() -> Self {
        Self {
            outcome: Outcome::Canceled,
            ..Self::failed("stopped before it was started".to_owned())
        }
    }
}

/// Finds out how to run an execution. The error is already its end.
pub async fn prepare(context: &Context, actions: &Actions, execution: &Claimed, stop: &Stop) -> Result<Prepared, End> {
    let action = actions.get(context, &execution.action_ref, stop).await?;
    if action.runtime_kind == RuntimeKind::Native {
        return Ok(Prepared::Native {
            name: action.entry_point.clone(),
        });
    }
    let mut environment = vec![
        ("ATTUNE_ACTION".to_owned(), execution.action_ref.clone()),
        ("ATTUNE_TRACE_ID".to_owned(), execution.trace_id.simple().to_string()),
    ];
    environment.extend(execution.rule_ref.clone().map(|rule| ("ATTUNE_RULE".to_owned(), rule)));
    environment.extend(
        execution
            .event_id
            .map(|event| ("ATTUNE_EVENT_ID".to_owned(), event.to_string())),
    );
    let invocation = Invocation {
        execution_id: execution.id,
        attempt: u32::try_from(execution.attempt).unwrap_or(1),
        work: Work::Script {
            interpreter: action.command.clone(),
            text: action.entry_point.clone(),
        },
        environment,
        parameters: execution.parameters.clone(),
        variables: variables::of(&action.parameters_schema).map(str::to_owned).collect(),
        resources: resources(&action)?,
        timeout: Duration::from_secs(u64::try_from(execution.timeout_seconds).unwrap_or(1)),
        kill_grace: Duration::from_secs(context.config.worker.kill_grace_seconds),
    };
    Ok(Prepared::Process {
        invocation: Box::new(invocation),
        output_format: action.output_format,
    })
}

fn resources(action: &ActionRow) -> Result<Resources, End> {
    let Some(resources) = &action.resources else {
        return Ok(Resources::default());
    };
    Resources::parse(resources).map_err(|errors| End::failed(format!("the action cannot run: {errors}")))
}

impl Prepared {
    pub async fn run(self, runner: &Runner, ties: Ties, log: &Log) -> End {
        match self {
            Self::Process {
                invocation,
                output_format,
            } => {
                let ended = runner
                    .run(
                        *invocation,
                        Ties {
                            tap: Some(log.tap()),
                            ..ties
                        },
                    )
                    .await;
                log.complete(&ended.stdout, &ended.stderr).await;
                result(ended, output_format)
            }
            Self::Native { name } if name == "noop" => End {
                outcome: Outcome::Succeeded,
                result: Some(json!({})),
                error: None,
                exit_code: None,
                life: None,
            },
            Self::Native { name } => End::failed(format!("the worker has no native action {name:?}; it has `noop`")),
        }
    }
}

/// The result of a process: its output and exit code and, when the action says that its output is a value, the value or the
/// reason why there is none.
fn result(ended: Ended, output_format: OutputFormat) -> End {
    let mut result = json!({"stdout": ended.stdout, "stderr": ended.stderr, "exit_code": ended.exit_code});
    let was_started = !ended.ran.is_zero();
    if was_started && matches!(output_format, OutputFormat::Json) {
        match output::json(&ended.stdout, ended.stdout_flaw) {
            Ok(output) => result["output"] = output,
            Err(reason) => result["output_error"] = reason.into(),
        }
    }
    End {
        outcome: ended.outcome,
        result: Some(result),
        error: ended.error,
        exit_code: ended.exit_code,
        life: ended.life,
    }
}

/// What is to be reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    pub end: Finished,
    /// It is to be tried again. Should somebody have asked to cancel meanwhile, it ends as `end` says.
    pub again: Option<Requeued>,
    /// The trace it belongs to and since when it is there, for its last span. What comes back from the disk has none.
    #[serde(skip)]
    pub trace: Option<(Uuid, Instant)>,
    /// Concurrency keys whose slots it held.
    #[serde(skip)]
    pub slot_keys: Vec<String>,
}

impl Report {
    pub fn held(&self) -> AttemptKey {
        self.end.held
    }
}

/// Decides between the end and another attempt.
pub fn conclude(execution: &Claimed, mut end: End, stopped: Option<StopReason>) -> Report {
    // Only lives of what holds a slot are recorded.
    end.life = end.life.filter(|_| !execution.slot_keys.is_empty());
    let held = AttemptKey {
        id: execution.id,
        attempt: execution.attempt,
    };
    let outcome = match end.outcome {
        Outcome::Succeeded => execution::Outcome::Succeeded,
        Outcome::Failed => execution::Outcome::Failed,
        Outcome::TimedOut => execution::Outcome::TimedOut,
        Outcome::Canceled => return conclude_stopped(execution, held, end, stopped),
    };
    let policy = match execution.retry.as_ref().map(RetryPolicy::parse).transpose() {
        Ok(policy) => policy,
        Err(bad) => {
            if outcome != execution::Outcome::Succeeded {
                end.error = Some(not_retried(end.error.as_deref(), &execution.action_ref, bad));
            }
            None
        }
    };
    let attempt = u32::try_from(execution.attempt).unwrap_or(u32::MAX);
    let delay = policy.and_then(|policy| policy.next_attempt(attempt, outcome, rand::random()));
    let again = delay.map(|delay| Requeued {
        held,
        outcome: outcome.as_str().into(),
        error: end.error.clone(),
        delay,
        life: end.life,
    });
    Report {
        end: finished(held, outcome.into(), end.error.clone(), end),
        again,
        trace: None,
        slot_keys: execution.slot_keys.clone(),
    }
}

fn conclude_stopped(execution: &Claimed, held: AttemptKey, end: End, stopped: Option<StopReason>) -> Report {
    let reason = match stopped {
        Some(StopReason::Canceled) => {
            let canceled = finished(held, ExecutionStatus::Canceled, Some("canceled".to_owned()), end);
            return Report {
                end: canceled,
                again: None,
                trace: None,
                slot_keys: execution.slot_keys.clone(),
            };
        }
        Some(StopReason::WorkerStopped) => "worker_stopped",
        _ => "lease_lost",
    };
    let may_start_again = execution.on_lost == OnLost::Requeue && execution.attempt < execution.attempts_max;
    let again = may_start_again.then(|| Requeued {
        held,
        outcome: "lost".into(),
        error: Some(format!("{reason}: started again")),
        delay: Duration::ZERO,
        life: end.life,
    });
    // The database makes it canceled, should somebody have asked for that.
    Report {
        end: finished(held, ExecutionStatus::Lost, Some(reason.to_owned()), end),
        again,
        trace: None,
        slot_keys: execution.slot_keys.clone(),
    }
}

fn finished(held: AttemptKey, status: ExecutionStatus, error: Option<String>, end: End) -> Finished {
    Finished {
        held,
        status,
        result: end.result,
        error,
        exit_code: end.exit_code,
        life: end.life,
    }
}

/// Why an attempt failed, and that its retry policy is broken: whoever wrote it expects another attempt.
fn not_retried(error: Option<&str>, action: &str, bad: FieldErrors) -> String {
    let bad = Misconfigured::new(format!("the action {action} or its rule"), bad);
    format!("{}; it was not tried again: {bad}", error.unwrap_or("it failed"))
}

#[cfg(test)]
mod tests;
