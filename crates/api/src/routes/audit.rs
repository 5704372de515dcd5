//! Who did what, for admins.

use crate::{
    answer::List,
    api::Api,
    problem::Problem,
    request::{OneOf, Query, form, query},
};
use attune_common::store::audit::{self, AuditEntry, KINDS, VERBS, is_object};
use attune_domain::{FieldErrors, moment::Moment};
use axum::extract::State;

form! {
    pub struct AuditFilter {
        /// A login; whatever was done with its API tokens belongs to it.
        actor: Option<String>,
        /// `sign_in`, `sign_in_refused`, `create`, `update`, `delete`, `enable`, `fire`, `run`, `revoke`, `rotate_key` …; another is
        /// refused with all that there are. Several with commas.
        #[schema(inline)]
        verb: Option<OneOf<String>>,
        /// `rule core.hello`, `identity ann`, `token 7`.
        object: Option<String>,
        /// A time, a date (its midnight in UTC), or how long ago: `2026-11-30T10:00:00+02:00`, `2026-11-30`, `24h`, `7d`.
        #[schema(value_type = Option<String>)]
        since: Option<Moment>,
        /// Like `since`, and exclusive.
        #[schema(value_type = Option<String>)]
        until: Option<Moment>,
        limit: u16 = 50,
        cursor: Option<i64>,
    }
}

pub async fn list(State(api): State<Api>, Query(asked): Query<AuditFilter>) -> Result<List<AuditEntry>, Problem> {
    let limit = query::span(asked.limit, None)?.limit;
    check_words(&asked)?;
    let filter = audit::Filter {
        actor: asked.actor.as_deref(),
        verb: asked.verb.as_ref().map(|any| any.0.as_slice()),
        object: asked.object.as_deref(),
        since: query::past(asked.since),
        until: query::past(asked.until),
    };
    let rows = audit::page(&api.pool, &filter, asked.cursor, i64::from(limit) + 1).await?;
    Ok(List::of(rows, limit, |row| row.id.to_string()))
}

/// A word that is never written would find nothing, and look as if nothing had been done.
fn check_words(asked: &AuditFilter) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    let mut verbs = asked.verb.iter().flat_map(|any| &any.0);
    if verbs.any(|verb| !VERBS.contains(&verb.as_str())) {
        errors.add("verb", format!("must be one of {}", VERBS.join(", ")));
    }
    if asked.object.as_deref().is_some_and(|object| !is_object(object)) {
        let kinds = KINDS[1..].join(", ");
        errors.add(
            "object",
            format!("must be session, or a kind and a name as in `rule core.hello`: the kinds are {kinds}"),
        );
    }
    errors.into_result()
}
