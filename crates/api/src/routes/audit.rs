//! The audit, for admins.

use crate::{
    answer::List,
    api::Api,
    problem::Problem,
    request::{Query, Texts, form, query},
};
use attune_common::store::audit::{self, AuditEntry, KINDS, VERBS, is_object};
use attune_domain::{FieldErrors, moment::Moment};
use axum::extract::State;

form! {
    pub struct AuditFilter {
        /// A login. Includes changes made with its API tokens.
        actor: Option<String>,
        /// `sign_in`, `sign_in_refused`, `create`, `update`, `delete`, `enable`, `fire`, `run`, `revoke`, `rotate_key` … An unknown
        /// verb is refused with the list of all verbs. Separate several with commas.
        #[schema(inline)]
        verb: Option<Texts>,
        /// The object: `rule core.hello`, `identity ann`, `token 7`.
        object: Option<String>,
        /// A time, a date (its midnight in UTC), or an age: `2026-11-30T10:00:00+02:00`, `2026-11-30`, `24h`, `7d`.
        #[schema(value_type = Option<String>)]
        since: Option<Moment>,
        /// Like `since`, but exclusive.
        #[schema(value_type = Option<String>)]
        until: Option<Moment>,
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<i64>,
    }
}

pub async fn list(State(api): State<Api>, Query(params): Query<AuditFilter>) -> Result<List<AuditEntry>, Problem> {
    let limit = query::span(params.limit, None).limit;
    check_values(&params)?;
    let filter = audit::Filter {
        actor: params.actor.as_deref(),
        verb: params.verb.as_ref().map(|any| any.0.as_slice()),
        object: params.object.as_deref(),
        since: query::past(params.since),
        until: query::past(params.until),
    };
    let rows = audit::page(&api.pool, &filter, params.cursor, i64::from(limit) + 1).await?;
    Ok(List::of(rows, limit, |row| row.id.to_string()))
}

/// An unknown verb or object would return a misleading empty list.
fn check_values(params: &AuditFilter) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    let mut verbs = params.verb.iter().flat_map(|any| &any.0);
    if verbs.any(|verb| !VERBS.contains(&verb.as_str())) {
        errors.add("verb", format!("must be one of {}", VERBS.join(", ")));
    }
    if params.object.as_deref().is_some_and(|object| !is_object(object)) {
        let kinds = KINDS[1..].join(", ");
        errors.add(
            "object",
            format!("must be session, or a kind and a name as in `rule core.hello`; the kinds are {kinds}"),
        );
    }
    errors.into_result()
}
