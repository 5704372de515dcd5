//! Executions: what was run, and canceling it.

use crate::{
    answer::{List, One},
    api::Api,
    audit,
    auth::Caller,
    known,
    problem::Problem,
    request::{Body, Id, OneOf, Query, Texts, form, query},
};
use attune_common::{
    announce,
    bus::Control,
    store::{PgExecutor, Transaction, execution, known::Noun, service_instance},
};
use attune_domain::{
    ActionRef, EventId, ExecutionId,
    execution::ExecutionStatus,
    moment::Moment,
    occurrence::{Execution, ExecutionSummary},
};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

type Statuses = OneOf<ExecutionStatus>;

form! {
    pub struct ExecutionFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        rule_ref: Option<Texts>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        action_ref: Option<Texts>,
        event_id: Option<Uuid>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        status: Option<Statuses>,
        /// `summary`: without `result`, and `parameters` only if they are short. `full`: with both, at most 4 MiB per page.
        #[schema(inline)]
        view: View = View::Summary,
        /// Filters by the time in the id: that of the event, or of the request that started it.
        /// A time, a date (its midnight in UTC), or an age: `2026-11-30T10:00:00+02:00`, `2026-11-30`, `24h`, `7d`.
        #[schema(value_type = Option<String>)]
        since: Option<Moment>,
        /// Like `since`, but exclusive.
        #[schema(value_type = Option<String>)]
        until: Option<Moment>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<Uuid>,
    }
}

form! {
    pub struct Nothing {}
}

/// How much of each execution is returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum View {
    Summary,
    Full,
}

pub async fn list(
    State(api): State<Api>,
    Query(params): Query<ExecutionFilter>,
) -> Result<List<ExecutionSummary>, Problem> {
    let span = query::span(params.limit, params.cursor)
        .since(query::past(params.since))
        .until(query::past(params.until))
        .around(params.event_id);
    let named = [
        ("rule_ref", Noun::Rule, params.rule_ref.as_ref()),
        ("action_ref", Noun::Action, params.action_ref.as_ref()),
    ];
    known::check(&api.pool, &named).await?;
    let [rule_ref, action_ref] = named.map(|(_, _, refs)| refs.map(|any| any.0.as_slice()));
    let status = params.status.map(|any| any.texts());
    let filter = execution::Filter {
        rule_ref,
        action_ref,
        event_id: params.event_id.map(EventId),
        status: status.as_deref(),
        full: params.view == View::Full,
    };
    let rows = execution::page(&api.pool, &filter, &span).await?;
    let more = !execution::is_last(&api.pool, &filter, &span, &rows).await?;
    Ok(List::of_more(rows, span.limit, more, |row| row.id.to_string()))
}

const LIMITED: &str = "queued: concurrency limit of its rule or action reached";

/// An execution, and why it has not started.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExecutionView {
    #[serde(flatten)]
    pub(super) execution: Execution,
    /// Why it has not started: a limit is reached, or no worker serves its pool.
    waiting: Option<String>,
}

pub async fn get(State(api): State<Api>, Id(id): Id<ExecutionId>) -> Result<One<ExecutionView>, Problem> {
    let execution = found(&api.pool, id).await?;
    let waiting = waiting(&api, [(id, execution.status)].into_iter()).await?.remove(&id);
    Ok(One::new(ExecutionView { execution, waiting }))
}

/// Why executions have not started, by their ids.
pub(super) async fn waiting(
    api: &Api,
    executions: impl Iterator<Item = (ExecutionId, ExecutionStatus)>,
) -> Result<HashMap<ExecutionId, String>, Problem> {
    let (mut reasons, mut scheduled) = (HashMap::new(), Vec::new());
    for (id, status) in executions {
        match status {
            ExecutionStatus::Waiting => drop(reasons.insert(id, LIMITED.to_owned())),
            ExecutionStatus::Scheduled => scheduled.push(id.0),
            _ => {}
        }
    }
    if !scheduled.is_empty() {
        let stuck = service_instance::without_worker(&api.pool, &scheduled).await?;
        let reason = |(id, pool)| (id, format!("no worker serves the pool {pool}"));
        reasons.extend(stuck.into_iter().map(reason));
    }
    Ok(reasons)
}

pub(super) async fn found<'e>(db: impl PgExecutor<'e>, id: ExecutionId) -> Result<Execution, Problem> {
    execution::get(db, id)
        .await?
        .ok_or_else(|| Problem::not_found("execution", id))
}

/// An execution that has not started never starts. A running one is canceled by its worker, which confirms it.
pub async fn cancel(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ExecutionId>,
    _: Body<Nothing>,
) -> Result<One<Execution>, Problem> {
    let mut tx: Transaction = api.begin().await?;
    let outcome = execution::cancel(&mut tx, id)
        .await?
        .ok_or_else(|| Problem::not_found("execution", id))?;
    let status = outcome.map_err(|illegal| {
        Problem::conflict(
            "ended",
            format!(
                "the execution is already {}; only one that has not ended can be canceled",
                illegal.from
            ),
        )
    })?;
    audit::note(&mut tx, &caller, "cancel", &format!("execution {id}")).await?;
    let execution = found(&mut *tx, id).await?;
    tx.commit().await?;
    if status == ExecutionStatus::Canceling {
        api.bus.control(Control::Cancel { execution_id: id });
    }
    feed(&api, id, status, &execution.action_ref);
    Ok(One::new(execution))
}

fn feed(api: &Api, id: ExecutionId, status: ExecutionStatus, action_ref: &ActionRef) {
    announce::execution(&*api.bus, id, Some(action_ref), status);
}
