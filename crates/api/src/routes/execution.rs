//! Executions: what was run, and running an action by hand.

use super::execution_wait::Wait;
use crate::{
    answer::{Created, List, One},
    api::Api,
    audit,
    auth::Caller,
    definitions::links::Link,
    known, limits,
    problem::Problem,
    request::{
        Body, Draft, Id, OneOf, Query, Texts, form,
        idempotency::{Begun, IdempotencyKey},
        query,
    },
};
use attune_common::{
    announce,
    bus::{Control, Wake},
    clock, slots,
    store::{
        self, PgExecutor, Transaction, action,
        execution::{self, Started},
        known::Noun,
        pack, service_instance,
    },
};
use attune_domain::{
    ActionRef, EventId, ExecutionId, FieldErrors,
    definition::{Action, CorruptDefinition},
    event,
    execution::ExecutionStatus,
    moment::Moment,
    occurrence::{Execution, ExecutionSummary},
    parameters::Schema,
    policy::Gates,
    raw::Raw,
    reference::Key,
    retry::{RetryPolicy, attempts_max},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use utoipa::ToSchema;
use uuid::Uuid;

type Statuses = OneOf<ExecutionStatus>;

form! {
    pub struct ExecutionForm {
        action_ref: Option<String>,
        action: Option<i64>,
        parameters: Value = json!({}),
    }
}

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

form! {
    pub struct WaitFilter {
        /// Wait up to this many seconds, 0 to 30, until the execution has ended. An execution that has not ended by then is
        /// answered with 202 and continues to run.
        #[schema(minimum = 0, maximum = 30)]
        wait: Option<u8> where (0..=limits::WAIT_SECONDS_MAX),
    }
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

async fn found<'e>(db: impl PgExecutor<'e>, id: ExecutionId) -> Result<Execution, Problem> {
    execution::get(db, id)
        .await?
        .ok_or_else(|| Problem::not_found("execution", id))
}

pub async fn create(
    State(api): State<Api>,
    caller: Caller,
    key: IdempotencyKey,
    Query(params): Query<WaitFilter>,
    body: Draft<ExecutionForm>,
) -> Result<Response, Problem> {
    let wait = params.wait.map(Wait::of);
    let Draft { form, mut errors, hash } = body;
    let key = key.of(hash, "");
    let link = Link {
        noun: "action",
        reference: form.action_ref.as_deref(),
        id: form.action,
    };
    let mut action = None;
    if let Some(key) = link.key(&mut errors) {
        action = action::get(&api.pool, &key).await?;
        link.check(&mut errors, action.as_ref().map(|action| action.r#ref.as_str()));
    }
    let action = action
        .filter(|_| errors.is_empty())
        .ok_or_else(|| Problem::invalid(errors))?;
    start(
        &api,
        &caller,
        key,
        &Start {
            action,
            parameters: form.parameters,
            origin: None,
            wait,
        },
    )
    .await
}

/// Runs the same action with the same parameters as a new execution.
pub async fn rerun(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<ExecutionId>,
    key: IdempotencyKey,
    Query(params): Query<WaitFilter>,
    body: Body<Nothing>,
) -> Result<Response, Problem> {
    let wait = params.wait.map(Wait::of);
    let key = key.of(body.hash, &id.to_string());
    let first = found(&api.pool, id).await?;
    if !first.status.is_terminal() {
        let detail = format!("the execution is {}; it can be rerun when it has ended", first.status);
        return Err(Problem::conflict("not_ended", detail));
    }
    let action = action::get(&api.pool, &Key::Ref(first.action_ref.to_string())).await?;
    let action =
        action.ok_or_else(|| Problem::conflict("gone", format!("the action {} was deleted", first.action_ref)))?;
    let start_again = Start {
        action,
        parameters: first.parameters.clone(),
        origin: Some(first),
        wait,
    };
    start(&api, &caller, key, &start_again).await
}

struct Start {
    action: Action,
    parameters: Value,
    /// The execution that is rerun.
    origin: Option<Execution>,
    wait: Option<Wait>,
}

async fn start(api: &Api, caller: &Caller, key: IdempotencyKey, request: &Start) -> Result<Response, Problem> {
    let disabled = |what: &str, name: &str| Problem::conflict("disabled", format!("the {what} {name} is disabled"));
    if !request.action.enabled {
        return Err(disabled("action", &request.action.r#ref));
    }
    let pack = pack::get(&api.pool, &Key::from(request.action.pack_ref.as_str())).await?;
    if let Some(pack) = pack.filter(|pack| !pack.enabled) {
        return Err(disabled("pack", &pack.r#ref));
    }
    let parameters = Schema::compile(&request.action.parameters_schema)?.validate(request.parameters.clone())?;
    let id = ExecutionId::random(clock::now(), rand::random());
    let retry = retry_policy(&request.action)?;
    let attempts_max = attempts_max(retry.as_ref(), request.action.on_lost);
    let gates = gates(&request.action, &parameters)?;
    let by_hand = execution::ByHand {
        id,
        action_id: request.action.id,
        parameters: &parameters,
        attempts_max: i32::try_from(attempts_max).unwrap_or(i32::MAX),
        rerun_of: request.origin.as_ref().map(|origin| origin.id),
        trace_id: request.origin.as_ref().map_or(id.0, |origin| origin.trace_id),
        gates: &gates,
    };
    let mut tx = match key.begin(api).await? {
        Begun::First(tx) => tx,
        Begun::Repeat(answer) => {
            let id = answer["execution_id"].as_str().and_then(|id| id.parse().ok());
            let made = found(&api.pool, id.ok_or_else(Problem::internal)?).await?;
            return Ok(answered(api, made, request.wait, StatusCode::OK).await);
        }
    };
    let (pool, status) = match execution::start_by_hand(&mut tx, &by_hand)
        .await
        .map_err(deleted_meanwhile)?
    {
        Started::Queued { pool, status } => (pool, status),
        Started::Refused(reason) => return Err(Problem::conflict("skipped", reason)),
    };
    key.remember(&mut tx, &json!({"execution_id": id})).await?;
    let verb = if request.origin.is_some() { "rerun" } else { "run" };
    audit::note(&mut tx, caller, verb, &format!("action {}", request.action.r#ref)).await?;
    // Read before the commit, after which nothing may fail.
    let made = found(&mut *tx, id).await?;
    tx.commit().await?;
    if status == ExecutionStatus::Waiting {
        slots::make_room_soon(&api.pool, &*api.bus).await;
    } else {
        api.bus.wake(Wake::executions(pool));
    }
    feed(api, id, status, &request.action.r#ref);
    Ok(answered(api, made, request.wait, StatusCode::CREATED).await)
}

/// The execution immediately, or when it has ended.
async fn answered(api: &Api, made: Execution, wait: Option<Wait>, done: StatusCode) -> Response {
    let location = format!("/api/v1/executions/{}", made.id);
    let (execution, status) = match wait {
        None => (made, done),
        Some(wait) => {
            let ended = wait.for_end(api, made).await;
            let status = if ended.status.is_terminal() {
                done
            } else {
                StatusCode::ACCEPTED
            };
            (ended, status)
        }
    };
    let mut response = Created {
        location,
        body: One::new(execution),
    }
    .into_response();
    *response.status_mut() = status;
    response
}

/// The retry policy of the action. An invalid one, which SQL may have written, is an error and not the absence of retries.
fn retry_policy(action: &Action) -> Result<Option<RetryPolicy>, Problem> {
    let policy = action.retry.as_ref().map(Raw::parse).transpose();
    policy.map_err(|bad| misconfigured(action, bad))
}

fn misconfigured(action: &Action, errors: FieldErrors) -> Problem {
    let bad = CorruptDefinition::new(format!("the action {}", action.r#ref), errors);
    Problem::conflict("policy", bad.to_string())
}

/// The concurrency gates of the action for these parameters.
fn gates(action: &Action, parameters: &Value) -> Result<Gates, Problem> {
    let Some(policy) = &action.concurrency else {
        return Ok(Gates::default());
    };
    let gate = policy
        .parse()
        .map_err(|bad| misconfigured(action, bad))?
        .gate(action.id, &event::Context::of_action(parameters))
        .map_err(|reason| Problem::conflict("policy", format!("the action's {reason}")))?;
    Ok(Gates {
        action: Some(gate),
        ..Gates::default()
    })
}

/// The action was deleted between the check and the insert.
fn deleted_meanwhile(error: store::Error) -> Problem {
    match error {
        store::Error::RowNotFound => Problem::conflict("gone", "the action was deleted in the meantime"),
        other => other.into(),
    }
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
