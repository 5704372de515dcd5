//! Changes as server-sent events.

use crate::{
    api::Api,
    auth::{Caller, Standing},
    known,
    problem::Problem,
    request::{OneOf, Query, form},
    stream::{Filter, Kinds, watch},
};
use attune_common::store::known::Noun;
use attune_domain::{EventId, ExecutionId, FieldErrors, reference::InvalidRef};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::str::FromStr;
use uuid::Uuid;

form! {
    pub struct StreamFilter {
        /// `event`, `enforcement`, `execution`, or one with a status such as `execution.failed`; several with commas.
        /// `execution.log`, the output of running actions, is included if it is named, or with `execution_id` and no kind.
        kind: Option<String>,
        trigger_ref: Option<String>,
        rule_ref: Option<String>,
        action_ref: Option<String>,
        event_id: Option<Uuid>,
        execution_id: Option<Uuid>,
        /// Only changes of this trace: an event, what follows from it, and reruns.
        trace_id: Option<Uuid>,
    }
}

pub async fn live(
    State(api): State<Api>,
    caller: Caller,
    Extension(standing): Extension<Standing>,
    headers: HeaderMap,
    Query(params): Query<StreamFilter>,
) -> Result<Response, Problem> {
    let filter = filter(&params)?;
    check_refs(&api, &filter).await?;
    let slot = api.stream_slots.enter(&caller.key()).ok_or_else(|| {
        let detail = "too many open streams; close one, or retry";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", detail).retry_after(5)
    })?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let stream = watch(api.stream_sources(), filter, standing, last, slot).await;
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    // A proxy that buffers answers would delay changes.
    Ok((headers, [("x-accel-buffering", "no")], Body::from_stream(stream)).into_response())
}

/// A stream of an unknown definition would never send anything.
async fn check_refs(api: &Api, filter: &Filter) -> Result<(), Problem> {
    let one = |reference: Option<&str>| reference.map(|reference| OneOf(vec![reference.to_owned()]));
    let (trigger, rule, action) = (
        one(filter.trigger_ref.as_deref()),
        one(filter.rule_ref.as_deref()),
        one(filter.action_ref.as_deref()),
    );
    let named = [
        ("trigger_ref", Noun::Trigger, trigger.as_ref()),
        ("rule_ref", Noun::Rule, rule.as_ref()),
        ("action_ref", Noun::Action, action.as_ref()),
    ];
    known::check(&api.pool, &named).await
}

fn filter(params: &StreamFilter) -> Result<Filter, Problem> {
    let mut errors = FieldErrors::new();
    let trigger_ref = reference("trigger_ref", params.trigger_ref.as_deref(), &mut errors);
    let rule_ref = reference("rule_ref", params.rule_ref.as_deref(), &mut errors);
    let action_ref = reference("action_ref", params.action_ref.as_deref(), &mut errors);
    let kinds = params
        .kind
        .as_deref()
        .map_or_else(|| Ok(Kinds::default()), Kinds::parse);
    let kinds = kinds.map_err(|message| errors.add("kind", message)).unwrap_or_default();
    errors.into_result()?;
    Ok(Filter {
        kinds,
        event_id: params.event_id.map(EventId),
        execution_id: params.execution_id.map(ExecutionId),
        trace_id: params.trace_id,
        trigger_ref,
        rule_ref,
        action_ref,
    })
}

fn reference<T: FromStr<Err = InvalidRef>>(name: &str, text: Option<&str>, errors: &mut FieldErrors) -> Option<T> {
    let parsed = text?.parse::<T>();
    parsed.map_err(|error| errors.add(name, error.to_string())).ok()
}
