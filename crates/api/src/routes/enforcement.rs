//! Enforcements: what came of an event meeting a rule.

use crate::{
    answer::{List, One},
    api::Api,
    known,
    problem::Problem,
    request::{Id, OneOf, Query, form, query},
};
use attune_common::store::{enforcement, known::Noun};
use attune_domain::{
    EnforcementId, EventId,
    moment::Moment,
    occurrence::{Enforcement, EnforcementStatus},
};
use axum::extract::State;
use uuid::Uuid;

form! {
    pub struct EnforcementFilter {
        /// One, or several with commas.
        #[schema(inline)]
        rule_ref: Option<OneOf<String>>,
        event_id: Option<Uuid>,
        /// One, or several with commas.
        #[schema(inline)]
        status: Option<OneOf<EnforcementStatus>>,
        /// By the time in the event's id: when it was received, or of a timer its nominal instant.
        /// A time, a date (its midnight in UTC), or how long ago: `2026-11-30T10:00:00+02:00`, `2026-11-30`, `24h`, `7d`.
        #[schema(value_type = Option<String>)]
        since: Option<Moment>,
        /// Like `since`, and exclusive.
        #[schema(value_type = Option<String>)]
        until: Option<Moment>,
        limit: u16 = 50,
        cursor: Option<Uuid>,
    }
}

pub async fn list(
    State(api): State<Api>,
    Query(asked): Query<EnforcementFilter>,
) -> Result<List<Enforcement>, Problem> {
    let span = query::span(asked.limit, asked.cursor)?
        .since(query::past(asked.since))
        .until(query::past(asked.until))
        .around(asked.event_id);
    known::check(&api.pool, &[("rule_ref", Noun::Rule, asked.rule_ref.as_ref())]).await?;
    let status = asked.status.map(|any| any.texts());
    let filter = enforcement::Filter {
        rule_ref: asked.rule_ref.as_ref().map(|any| any.0.as_slice()),
        event_id: asked.event_id.map(EventId),
        status: status.as_deref(),
    };
    let rows = enforcement::page(&api.pool, &filter, &span).await?;
    Ok(List::of(rows, span.limit, |row| row.id.to_string()))
}

pub async fn get(State(api): State<Api>, Id(id): Id<EnforcementId>) -> Result<One<Enforcement>, Problem> {
    let found = enforcement::get(&api.pool, id).await?;
    found.map(One::new).ok_or_else(|| Problem::not_found("enforcement", id))
}
