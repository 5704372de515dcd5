//! From an execution to an invocation, and from its end to a result.

use crate::{
    lease::StopReason,
    runner::{Ended, Invocation, Outcome, Runner, Work},
};
use attune_common::{
    service::Context,
    store::{
        execution_queue::{Claimed, Finished, Held, Requeued},
        rule_set::{self, ActionRow},
    },
};
use attune_domain::{
    definition::{OnLost, OutputFormat, RuntimeKind},
    execution::{self, ExecutionStatus},
    retry::RetryPolicy,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// What this worker knows of actions, right as of one value of the definitions counter.
#[derive(Debug, Default)]
pub struct Actions(Mutex<(i64, HashMap<String, Arc<ActionRow>>)>);

impl Actions {
    /// Forgets everything when definitions have changed.
    pub fn as_of(&self, version: i64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != version {
            *known = (version, HashMap::new());
        }
    }

    async fn get(&self, context: &Context, reference: &str) -> Result<Arc<ActionRow>, String> {
        let known = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .get(reference)
            .cloned();
        if let Some(action) = known {
            return Ok(action);
        }
        let found = rule_set::action(&context.pool, reference).await;
        let action = found.map_err(|error| format!("the action {reference} could not be read: {error}"))?;
        let action = Arc::new(action.ok_or_else(|| format!("the action {reference} does not exist any more"))?);
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .insert(reference.to_owned(), Arc::clone(&action));
        Ok(action)
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
}

impl End {
    fn failed(error: String) -> Self {
        Self {
            outcome: Outcome::Failed,
            result: None,
            error: Some(error),
            exit_code: None,
        }
    }
}

/// Finds out how to run an execution. The error is already its end.
pub async fn prepare(context: &Context, actions: &Actions, execution: &Claimed) -> Result<Prepared, End> {
    let action = actions.get(context, &execution.action_ref).await.map_err(End::failed)?;
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
        timeout: Duration::from_secs(u64::try_from(execution.timeout_seconds).unwrap_or(1)),
        kill_grace: Duration::from_secs(context.config.worker.kill_grace_seconds),
    };
    Ok(Prepared::Process {
        invocation: Box::new(invocation),
        output_format: action.output_format,
    })
}

impl Prepared {
    pub async fn run(self, runner: &Runner, cancel: CancellationToken) -> End {
        match self {
            Self::Process {
                invocation,
                output_format,
            } => result(runner.run(*invocation, cancel).await, output_format),
            Self::Native { name } if name == "noop" => End {
                outcome: Outcome::Succeeded,
                result: Some(json!({})),
                error: None,
                exit_code: None,
            },
            Self::Native { name } => End::failed(format!("the worker has no native action {name:?}; it has `noop`")),
        }
    }
}

/// The result of a process: its output and exit code, and its output as a value when the action says that it is one.
fn result(ended: Ended, output_format: OutputFormat) -> End {
    let output = match output_format {
        OutputFormat::Json => serde_json::from_str::<Value>(&ended.stdout).ok(),
        OutputFormat::Text => None,
    };
    let mut result = json!({"stdout": ended.stdout, "stderr": ended.stderr, "exit_code": ended.exit_code});
    if let Some(output) = output {
        result["output"] = output;
    }
    End {
        outcome: ended.outcome,
        result: Some(result),
        error: ended.error,
        exit_code: ended.exit_code,
    }
}

/// What is to be reported.
#[derive(Debug, Clone)]
pub enum Report {
    Finished(Finished),
    /// To be tried again; should somebody have asked to cancel meanwhile, it ends like this.
    Requeued(Requeued, Finished),
}

/// Decides between the end and another attempt.
pub fn conclude(execution: &Claimed, end: End, stopped: Option<StopReason>) -> Report {
    let held = Held {
        id: execution.id,
        attempt: execution.attempt,
    };
    let finished = |status, error| Finished {
        held,
        status,
        result: end.result.clone(),
        error,
        exit_code: end.exit_code,
    };
    let outcome = match end.outcome {
        Outcome::Succeeded => execution::Outcome::Succeeded,
        Outcome::Failed => execution::Outcome::Failed,
        Outcome::TimedOut => execution::Outcome::TimedOut,
        Outcome::Canceled => return conclude_stopped(execution, stopped, finished),
    };
    let last = finished(outcome.into(), end.error.clone());
    let policy = execution
        .retry
        .as_ref()
        .and_then(|retry| RetryPolicy::parse(retry).ok());
    let attempt = u32::try_from(execution.attempt).unwrap_or(u32::MAX);
    let delay = policy.and_then(|policy| policy.next_attempt(attempt, outcome, rand::random()));
    match delay {
        Some(delay) => Report::Requeued(
            Requeued {
                held,
                outcome: outcome.as_str(),
                error: end.error,
                delay,
            },
            last,
        ),
        None => Report::Finished(last),
    }
}

fn conclude_stopped(
    execution: &Claimed,
    stopped: Option<StopReason>,
    finished: impl Fn(ExecutionStatus, Option<String>) -> Finished,
) -> Report {
    let canceled = finished(ExecutionStatus::Canceled, Some("canceled".to_owned()));
    if stopped == Some(StopReason::Canceled) {
        return Report::Finished(canceled);
    }
    let reason = match stopped {
        Some(StopReason::WorkerStopped) => "worker_stopped",
        _ => "lease_lost",
    };
    match execution.on_lost {
        OnLost::Requeue if execution.attempt < execution.attempts_max => {
            let held = Held {
                id: execution.id,
                attempt: execution.attempt,
            };
            let error = Some(format!("{reason}: started again on another worker"));
            Report::Requeued(
                Requeued {
                    held,
                    outcome: "lost",
                    error,
                    delay: Duration::ZERO,
                },
                canceled,
            )
        }
        _ => Report::Finished(finished(ExecutionStatus::Lost, Some(reason.to_owned()))),
    }
}
