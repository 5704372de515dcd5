//! The whole chain that something belongs to: the event, the rules it met, what they started.

use super::execution::{ExecutionView, views};
use crate::{answer::One, api::Api, problem::Problem, request::Id};
use attune_common::store::{Span, enforcement, event, execution, execution_log, execution_queue::Held};
use attune_domain::{
    EventId, ExecutionId,
    execution::ExecutionStatus,
    occurrence::{Enforcement, Event, Execution},
    output,
};
use axum::extract::State;
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// At most so many of each.
const LINKS_MAX: u16 = 1000;

#[derive(Debug, Serialize, ToSchema)]
pub struct Chain {
    trace_id: Uuid,
    event: Option<Event>,
    enforcements: Vec<Enforcement>,
    executions: Vec<ChainExecution>,
}

/// An execution, and what helps to find out why it failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainExecution {
    #[serde(flatten)]
    view: ExecutionView,
    /// The end of standard error (at most 10 lines and 1 KiB) of an execution that failed, timed out or was lost.
    stderr_end: Option<String>,
    /// Why the result has no `output`, although the action's `output_format` is `json`.
    output_error: Option<String>,
}

/// By the id of an event, or of one of its executions.
pub async fn get(State(api): State<Api>, Id(id): Id<Uuid>) -> Result<One<Chain>, Problem> {
    let event = event::get(&api.pool, EventId(id)).await?;
    if let Some(event) = event {
        return of_event(&api, event).await;
    }
    let execution = execution::get(&api.pool, ExecutionId(id)).await?;
    let execution = execution.ok_or_else(|| Problem::not_found("event or execution", id))?;
    let event = match execution.event_id {
        Some(event) => event::get(&api.pool, event).await?,
        None => None,
    };
    match event {
        Some(event) => of_event(&api, event).await,
        None => Ok(One::new(Chain {
            trace_id: execution.trace_id,
            event: None,
            enforcements: Vec::new(),
            executions: links(&api, vec![execution]).await?,
        })),
    }
}

async fn links(api: &Api, executions: Vec<Execution>) -> Result<Vec<ChainExecution>, Problem> {
    // A result holds standard error; without one, there may be pieces of it in the log.
    let unread = executions
        .iter()
        .filter(|one| went_wrong(one) && told(one, "stderr").is_none());
    let unread: Vec<Held> = unread
        .map(|one| Held {
            id: one.id,
            attempt: one.attempt,
        })
        .collect();
    let logged: HashMap<ExecutionId, String> = match unread.as_slice() {
        [] => HashMap::new(),
        unread => execution_log::ends_of_stderr(&api.pool, unread)
            .await?
            .into_iter()
            .collect(),
    };
    let link = |view: ExecutionView| {
        let execution = &view.execution;
        let stderr = told(execution, "stderr").or_else(|| logged.get(&execution.id).map(String::as_str));
        let stderr = stderr.filter(|_| went_wrong(execution));
        ChainExecution {
            stderr_end: stderr.and_then(output::end_of).map(str::to_owned),
            output_error: told(execution, "output_error").map(str::to_owned),
            view,
        }
    };
    Ok(views(api, executions).await?.into_iter().map(link).collect())
}

fn went_wrong(execution: &Execution) -> bool {
    matches!(
        execution.status,
        ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Lost
    )
}

/// A text in the result.
fn told<'a>(execution: &'a Execution, name: &str) -> Option<&'a str> {
    execution.result.as_ref()?.get(name)?.as_str()
}

async fn of_event(api: &Api, event: Event) -> Result<One<Chain>, Problem> {
    let span = Span::new(LINKS_MAX).around(Some(event.id.0));
    let met = enforcement::Filter {
        event_id: Some(event.id),
        ..enforcement::Filter::default()
    };
    let started = execution::Filter {
        event_id: Some(event.id),
        ..execution::Filter::default()
    };
    Ok(One::new(Chain {
        trace_id: event.trace_id,
        enforcements: enforcement::page(&api.pool, &met, &span).await?,
        executions: links(api, execution::page(&api.pool, &started, &span).await?).await?,
        event: Some(event),
    }))
}
