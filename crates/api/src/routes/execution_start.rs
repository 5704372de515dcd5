//! Running an action manually, and running it again.

use super::{
    event::READS_MAX,
    execution::{Nothing, found},
    execution_parameters::stored,
    execution_wait::Wait,
};
use crate::{
    answer::{Created, One},
    api::Api,
    auth::Caller,
    catalog::{Known, Runnable},
    creation::{Created as Written, Creation, Start, Work},
    definitions::links::Link,
    limits,
    problem::Problem,
    request::{
        Body, Draft, Id, Query, form,
        idempotency::{IdempotencyKey, repeated},
    },
};
use attune_common::{
    clock,
    ingest::IngestError,
    store::{action, execution_start::Started, idempotency, pack},
};
use attune_domain::{
    ExecutionId, FieldErrors,
    definition::{Action, CorruptDefinition},
    event,
    occurrence::Execution,
    parameters::Schema,
    policy::Gates,
    raw::Raw,
    reference::Key,
    retry::{RetryPolicy, attempts_max},
    secret,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

form! {
    pub struct ExecutionForm {
        action_ref: Option<String>,
        action: Option<i64>,
        parameters: Value = json!({}),
    }
}

form! {
    pub struct WaitFilter {
        /// Wait up to this many seconds, 0 to 30, until the execution has ended. An execution that has not ended by then is
        /// answered with 202 and continues to run.
        #[schema(minimum = 0, maximum = 30)]
        wait: Option<u8> where (0..=limits::WAIT_SECONDS_MAX),
    }
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
    let key = key.of(hash, "").into_key();
    let link = Link {
        noun: "action",
        reference: form.action_ref.as_deref(),
        id: form.action,
    };
    let Some(named) = link.key(&mut errors) else {
        return Err(Problem::invalid(errors));
    };
    let request = Request {
        parameters: form.parameters,
        origin: None,
        wait,
    };
    let mut fresh = false;
    for _ in 0..READS_MAX {
        let read = async {
            let mut errors = errors.clone();
            let action = action::get(&api.pool, &named).await?;
            link.check(&mut errors, action.as_ref().map(|action| action.r#ref.as_str()));
            let action = action.filter(|_| errors.is_empty());
            runnable(&api, action.ok_or_else(|| Problem::invalid(errors))?).await
        };
        let known = api.actions.find((&api.pool, &named, fresh), read).await?;
        let mut errors = errors.clone();
        link.check(&mut errors, Some(known.definition.action.r#ref.as_str()));
        errors.into_result()?;
        match start(&api, &caller, key.clone(), &known, &request).await {
            Ok(Some(response)) => return Ok(response),
            Ok(None) => fresh = true,
            // The cause may be an outdated definition.
            Err(_) if !known.fresh => fresh = true,
            Err(problem) => return Err(problem),
        }
    }
    Err(IngestError::Outdated.into())
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
    let key = key.of(body.hash, &id.to_string()).into_key();
    let first = found(&api.pool, id).await?;
    if !first.status.is_terminal() {
        let detail = format!("the execution is {}; it can be rerun when it has ended", first.status);
        return Err(Problem::conflict("not_ended", detail));
    }
    let named = Key::Ref(first.action_ref.to_string());
    let request = Request {
        parameters: first.parameters.clone(),
        origin: Some(first),
        wait,
    };
    for _ in 0..READS_MAX {
        let read = async {
            let action = action::get(&api.pool, &named).await?;
            let gone = || {
                Problem::conflict(
                    "gone",
                    format!("the action {} was deleted", named.reference().unwrap_or("?")),
                )
            };
            runnable(&api, action.ok_or_else(gone)?).await
        };
        let known = api.actions.find((&api.pool, &named, true), read).await?;
        if let Some(response) = start(&api, &caller, key.clone(), &known, &request).await? {
            return Ok(response);
        }
    }
    Err(IngestError::Outdated.into())
}

struct Request {
    parameters: Value,
    /// The execution that is rerun.
    origin: Option<Execution>,
    wait: Option<Wait>,
}

/// An action that can be run, or why it cannot.
async fn runnable(api: &Api, action: Action) -> Result<Runnable, Problem> {
    let disabled = |what: &str, name: &str| Problem::conflict("disabled", format!("the {what} {name} is disabled"));
    if !action.enabled {
        return Err(disabled("action", &action.r#ref));
    }
    let pack = pack::get(&api.pool, &Key::from(action.pack_ref.as_str())).await?;
    if let Some(pack) = pack.filter(|pack| !pack.enabled) {
        return Err(disabled("pack", &pack.r#ref));
    }
    let attempts_max = attempts_max(retry_policy(&action)?.as_ref(), action.on_lost);
    Ok(Runnable {
        schema: Schema::compile(&action.parameters_schema)?,
        attempts_max: i32::try_from(attempts_max).unwrap_or(i32::MAX),
        action,
    })
}

/// Starts an execution. `None` if the definitions have changed since the action was read.
async fn start(
    api: &Api,
    caller: &Caller,
    key: Option<idempotency::Key>,
    known: &Known<Runnable>,
    request: &Request,
) -> Result<Option<Response>, Problem> {
    let Runnable {
        action,
        schema,
        attempts_max,
    } = &*known.definition;
    let origin = request.origin.as_ref();
    let parameters = stored(api, (action, schema), &request.parameters, origin.is_some()).await?;
    let id = ExecutionId::random(clock::now(), rand::random());
    let start = Start {
        id,
        action_id: action.id,
        gates: gates(action, &parameters)?,
        parameters: parameters.clone(),
        attempts_max: *attempts_max,
        rerun_of: origin.map(|origin| origin.id),
        trace_id: origin.map_or(id.0, |origin| origin.trace_id),
        definitions: known.version,
        caller: caller.clone(),
        verb: if origin.is_some() { "rerun" } else { "run" },
        object: format!("action {}", action.r#ref),
    };
    let (rerun_of, trace_id) = (start.rerun_of, start.trace_id);
    let work = Work::Execution(Box::new(start));
    let queued = match api.creations.submit(Creation { key, work }).await? {
        Written::Execution(Started::Queued(queued)) => queued,
        Written::Execution(Started::Refused(reason)) => return Err(Problem::conflict("skipped", reason)),
        Written::Execution(Started::Outdated) => return Ok(None),
        Written::Claimed(claim) => {
            let answer = repeated(claim)?;
            let id = answer["execution_id"].as_str().and_then(|id| id.parse().ok());
            let made = found(&api.pool, id.ok_or_else(Problem::internal)?).await?;
            return Ok(Some(answered(api, made, request.wait, StatusCode::OK).await));
        }
        Written::Event(_) => return Err(Problem::internal()),
    };
    let made = Execution {
        id,
        action_ref: queued.action_ref,
        rule_ref: None,
        event_id: None,
        enforcement_id: None,
        status: queued.status,
        attempt: 0,
        parameters,
        result: None,
        error: None,
        exit_code: None,
        created_at: queued.created_at,
        scheduled_at: queued.scheduled_at,
        started_at: None,
        finished_at: None,
        worker: None,
        rerun_of,
        trace_id,
        pack_hash: queued.pack_hash,
    };
    Ok(Some(answered(api, made, request.wait, StatusCode::CREATED).await))
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
        .gate(action.id, &event::Context::of_action(&secret::visible(parameters)))
        .map_err(|reason| Problem::conflict("policy", format!("the action's {reason}")))?;
    Ok(Gates {
        action: Some(gate),
        ..Gates::default()
    })
}
