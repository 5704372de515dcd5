//! Enforcements: what came of an event meeting a rule.

use crate::{
    answer::{List, One},
    api::Api,
    problem::Problem,
    request::{Id, Query, form, query},
};
use attune_common::store::enforcement;
use attune_domain::{
    EnforcementId, EventId,
    occurrence::{Enforcement, EnforcementStatus},
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use uuid::Uuid;

form! {
    pub struct EnforcementFilter {
        rule_ref: Option<String>,
        event_id: Option<Uuid>,
        status: Option<EnforcementStatus>,
        /// By the time in the event's id: when it was received, or of a timer its nominal instant.
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        limit: u16 = 50,
        cursor: Option<Uuid>,
    }
}

pub async fn list(
    State(api): State<Api>,
    Query(asked): Query<EnforcementFilter>,
) -> Result<List<Enforcement>, Problem> {
    let span = query::span(asked.limit, asked.cursor)?
        .since(asked.since)
        .until(asked.until)
        .around(asked.event_id);
    let filter = enforcement::Filter {
        rule_ref: asked.rule_ref.as_deref(),
        event_id: asked.event_id.map(EventId),
        status: asked.status,
    };
    let rows = enforcement::page(&api.pool, &filter, &span).await?;
    Ok(List::of(rows, span.limit, |row| row.id.to_string()))
}

pub async fn get(State(api): State<Api>, Id(id): Id<EnforcementId>) -> Result<One<Enforcement>, Problem> {
    let found = enforcement::get(&api.pool, id).await?;
    found.map(One::new).ok_or_else(|| Problem::not_found("enforcement", id))
}
