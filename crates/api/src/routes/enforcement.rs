//! Enforcements: records of rules that matched events.

use crate::{
    answer::{List, One},
    api::Api,
    known,
    problem::Problem,
    request::{Id, OneOf, Query, Texts, form, query},
};
use attune_common::store::{enforcement, known::Noun};
use attune_domain::{
    EnforcementId, EventId,
    moment::Moment,
    occurrence::{Enforcement, EnforcementStatus},
};
use axum::extract::State;
use uuid::Uuid;

type Statuses = OneOf<EnforcementStatus>;

form! {
    pub struct EnforcementFilter {
        /// One value, or several separated by commas.
        #[schema(inline)]
        rule_ref: Option<Texts>,
        event_id: Option<Uuid>,
        /// One value, or several separated by commas.
        #[schema(inline)]
        status: Option<Statuses>,
        /// Filters by the time in the id of the event: when it was received; for a timer, when it was scheduled.
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

pub async fn list(
    State(api): State<Api>,
    Query(params): Query<EnforcementFilter>,
) -> Result<List<Enforcement>, Problem> {
    let span = query::span(params.limit, params.cursor)
        .since(query::past(params.since))
        .until(query::past(params.until))
        .around(params.event_id);
    known::check(&api.pool, &[("rule_ref", Noun::Rule, params.rule_ref.as_ref())]).await?;
    let status = params.status.map(|any| any.texts());
    let filter = enforcement::Filter {
        rule_ref: params.rule_ref.as_ref().map(|any| any.0.as_slice()),
        event_id: params.event_id.map(EventId),
        status: status.as_deref(),
    };
    let rows = enforcement::page(&api.pool, &filter, &span).await?;
    Ok(List::of(rows, span.limit, |row| row.id.to_string()))
}

pub async fn get(State(api): State<Api>, Id(id): Id<EnforcementId>) -> Result<One<Enforcement>, Problem> {
    let found = enforcement::get(&api.pool, id).await?;
    found.map(One::new).ok_or_else(|| Problem::not_found("enforcement", id))
}
