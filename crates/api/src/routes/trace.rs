//! Traces: an event, its enforcements, and their executions.

use super::{
    execution::{View, waiting},
    explain::{Explanation, explanation},
};
use crate::{
    answer::One,
    api::Api,
    problem::Problem,
    request::{Id, OneOf, Query, form},
};
use attune_common::store::{
    Span, enforcement, event, execution, execution_attempt, execution_log,
    execution_queue::AttemptKey,
    webhook_inbox::{self, Cause},
};
use attune_domain::{
    EventId, ExecutionId,
    execution::ExecutionStatus,
    occurrence::{Attempt, Enforcement, Event, ExecutionSummary},
    output,
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// How many enforcements and executions are returned at most.
const LINKS_MAX: u16 = 1000;
/// How many results are read for details of failures. A result may have 2 MiB.
const DETAILS_MAX: usize = 100;
const RULES_MAX: usize = 200;

type Parts = OneOf<Part>;

form! {
    pub struct TraceFilter {
        /// How much of each execution is returned, as in the list of executions.
        #[schema(inline)]
        view: View = View::Summary,
        /// More parts, separated by commas: `explain` (how each rule evaluated the event), `attempts` (those of each
        /// execution), `requests` (the webhook request that created the event).
        #[schema(inline)]
        with: Option<Parts>,
    }
}

/// A part of a trace that is returned on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Explain,
    Attempts,
    Requests,
}

/// Everything with the same `trace_id`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Chain {
    trace_id: Uuid,
    /// Null if the trace began with a manual execution, or if retention has removed the event.
    event: Option<Event>,
    enforcements: Vec<Enforcement>,
    /// The executions of the rules and all reruns, newest first.
    executions: Vec<ChainExecution>,
    /// There are more executions than returned: `GET /api/v1/executions?event_id=…` lists all of the event.
    more: bool,
    /// With `explain`, if there is an event. At most 200 rules, those that matched first; `omitted` counts the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
    /// With `requests`, if a webhook created the event and the request is still stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Cause>,
}

/// An execution, and why it has not started or failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChainExecution {
    #[serde(flatten)]
    execution: ExecutionSummary,
    /// Why it has not started: a limit is reached, or no worker serves its pool.
    waiting: Option<String>,
    /// The end of standard error (at most 10 lines and 1 KiB) of an execution that failed, timed out or was lost.
    stderr_end: Option<String>,
    /// Why the result has no `output`, although the action's `output_format` is `json`.
    output_error: Option<String>,
    /// With `attempts`, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<Vec<Attempt>>,
}

/// The id is that of the event, or of an execution of the trace.
pub async fn get(
    State(api): State<Api>,
    Id(id): Id<Uuid>,
    Query(params): Query<TraceFilter>,
) -> Result<One<Chain>, Problem> {
    let (trace_id, event) = match event::get(&api.pool, EventId(id)).await? {
        Some(event) => (event.trace_id, Some(event)),
        None => of_execution(&api, id).await?,
    };
    let enforcements = match &event {
        Some(event) => met(&api, event.id).await?,
        None => Vec::new(),
    };
    let full = params.view == View::Full;
    let (executions, more) = execution::of_trace(&api.pool, trace_id, full, LINKS_MAX).await?;
    let with = |part: Part| params.with.as_ref().is_some_and(|parts| parts.0.contains(&part));
    let explanation = match &event {
        Some(event) if with(Part::Explain) => explanation(&api, event.id, None, RULES_MAX).await?,
        _ => None,
    };
    let request = match &event {
        Some(event) if with(Part::Requests) => webhook_inbox::of_event(&api.pool, &event.trigger_ref, event.id).await?,
        _ => None,
    };
    let mut executions = links(&api, executions).await?;
    if with(Part::Attempts) {
        add_attempts(&api, &mut executions).await?;
    }
    Ok(One::new(Chain {
        trace_id,
        event,
        enforcements,
        executions,
        more,
        explanation,
        request,
    }))
}

async fn add_attempts(api: &Api, executions: &mut [ChainExecution]) -> Result<(), Problem> {
    let ids: Vec<_> = executions.iter().map(|one| one.execution.id).collect();
    let mut attempts = HashMap::<_, Vec<_>>::new();
    for (id, attempt) in execution_attempt::of_all(&api.pool, &ids).await? {
        attempts.entry(id).or_default().push(attempt);
    }
    for one in executions {
        one.attempts = Some(attempts.remove(&one.execution.id).unwrap_or_default());
    }
    Ok(())
}

/// The trace of an execution. A trace that began with an event has the id of that event.
async fn of_execution(api: &Api, id: Uuid) -> Result<(Uuid, Option<Event>), Problem> {
    let execution = execution::get(&api.pool, ExecutionId(id)).await?;
    let execution = execution.ok_or_else(|| Problem::not_found("event or execution", id))?;
    let event = execution.event_id.unwrap_or(EventId(execution.trace_id));
    Ok((execution.trace_id, event::get(&api.pool, event).await?))
}

async fn met(api: &Api, event: EventId) -> Result<Vec<Enforcement>, Problem> {
    let span = Span::new(LINKS_MAX).around(Some(event.0));
    let filter = enforcement::Filter {
        event_id: Some(event),
        ..enforcement::Filter::default()
    };
    Ok(enforcement::page(&api.pool, &filter, &span).await?)
}

async fn links(api: &Api, executions: Vec<ExecutionSummary>) -> Result<Vec<ChainExecution>, Problem> {
    let mut reasons = waiting(api, executions.iter().map(|one| (one.id, one.status))).await?;
    let mut details = details(api, &executions).await?;
    let links = executions.into_iter().map(|execution| {
        let details = details.remove(&execution.id).unwrap_or_default();
        ChainExecution {
            waiting: reasons.remove(&execution.id),
            stderr_end: details.stderr.as_deref().and_then(output::end_of).map(str::to_owned),
            output_error: details.output_error,
            attempts: None,
            execution,
        }
    });
    Ok(links.collect())
}

/// Details that help to find out why executions failed: of the failed ones, and of the newest others.
async fn details(
    api: &Api,
    executions: &[ExecutionSummary],
) -> Result<HashMap<ExecutionId, execution::Details>, Problem> {
    let (failed, others): (Vec<_>, Vec<_>) = executions.iter().partition(|one| has_failed(one.status));
    let read: Vec<ExecutionId> = failed
        .iter()
        .chain(&others)
        .take(DETAILS_MAX)
        .map(|one| one.id)
        .collect();
    let mut details: HashMap<_, _> = execution::details(&api.pool, &read).await?.into_iter().collect();
    // A result contains standard error. Without a result, the log may have chunks of it.
    let unread = failed.iter().take(DETAILS_MAX).filter(|one| {
        let known = details.get(&one.id);
        known.is_none_or(|known: &execution::Details| known.stderr.is_none())
    });
    let unread: Vec<AttemptKey> = unread
        .map(|one| AttemptKey {
            id: one.id,
            attempt: one.attempt,
        })
        .collect();
    if !unread.is_empty() {
        for (id, stderr) in execution_log::ends_of_stderr(&api.pool, &unread).await? {
            details.entry(id).or_default().stderr = Some(stderr);
        }
    }
    for one in others {
        if let Some(known) = details.get_mut(&one.id) {
            known.stderr = None;
        }
    }
    Ok(details)
}

fn has_failed(status: ExecutionStatus) -> bool {
    matches!(
        status,
        ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Lost
    )
}
