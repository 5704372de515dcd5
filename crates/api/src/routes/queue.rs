//! Quarantined events, whose decision has failed repeatedly.

use crate::{
    answer::{List, One},
    api::Api,
    audit,
    auth::Caller,
    problem::Problem,
    request::{Id, Query, form, query},
};
use attune_common::{
    bus::Wake,
    store::{event, quarantine},
};
use attune_domain::{EventId, occurrence::Event};
use axum::{extract::State, http::StatusCode};
use uuid::Uuid;

form! {
    pub struct QueueFilter {
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<Uuid>,
    }
}

pub async fn list(
    State(api): State<Api>,
    Query(params): Query<QueueFilter>,
) -> Result<List<quarantine::Quarantined>, Problem> {
    let span = query::span(params.limit, params.cursor);
    let rows = quarantine::page(&api.pool, &span).await?;
    Ok(List::of(rows, span.limit, |row| row.event_id.to_string()))
}

/// Lets an executor decide the event again.
pub async fn replay(State(api): State<Api>, caller: Caller, Id(id): Id<EventId>) -> Result<One<Event>, Problem> {
    let mut tx = api.begin().await?;
    if !quarantine::replay(&mut tx, id).await? {
        return Err(Problem::not_found("quarantined event", id));
    }
    audit::note(&mut tx, &caller, "replay", &format!("event {id}")).await?;
    let event = event::get(&mut *tx, id).await?;
    tx.commit().await?;
    api.bus.wake(Wake::Events);
    event.map(One::new).ok_or_else(|| Problem::not_found("event", id))
}

/// Removes the event from the queue without a decision.
pub async fn discard(State(api): State<Api>, caller: Caller, Id(id): Id<EventId>) -> Result<StatusCode, Problem> {
    let mut tx = api.begin().await?;
    if !quarantine::discard(&mut tx, id).await? {
        return Err(Problem::not_found("quarantined event", id));
    }
    audit::note(&mut tx, &caller, "discard", &format!("event {id}")).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
