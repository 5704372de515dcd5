//! The whole chain that something belongs to: the event, the rules it met, what they started.

use super::execution::{ExecutionView, views};
use crate::{answer::One, api::Api, problem::Problem, request::Id};
use attune_common::store::{Span, enforcement, event, execution};
use attune_domain::{
    EventId, ExecutionId,
    occurrence::{Enforcement, Event},
};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// At most so many of each.
const LINKS_MAX: u16 = 1000;

#[derive(Debug, Serialize, ToSchema)]
pub struct Chain {
    trace_id: Uuid,
    event: Option<Event>,
    enforcements: Vec<Enforcement>,
    executions: Vec<ExecutionView>,
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
            executions: views(&api, vec![execution]).await?,
        })),
    }
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
        executions: views(api, execution::page(&api.pool, &started, &span).await?).await?,
        event: Some(event),
    }))
}
