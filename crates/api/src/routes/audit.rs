//! Who did what, for admins.

use crate::{
    answer::List,
    api::Api,
    problem::Problem,
    request::{Query, form, query},
};
use attune_common::store::audit::{self, AuditEntry};
use axum::extract::State;
use chrono::{DateTime, Utc};

form! {
    pub struct AuditFilter {
        /// A login; whatever was done with its API tokens belongs to it.
        actor: Option<String>,
        /// `sign_in`, `sign_in_refused`, `create`, `update`, `delete`, `enable`, `fire`, `run`, `revoke`, `rotate_key` …
        verb: Option<String>,
        /// `rule core.hello`, `identity ann`, `token 7`.
        object: Option<String>,
        since: Option<DateTime<Utc>>,
        until: Option<DateTime<Utc>>,
        limit: u16 = 50,
        cursor: Option<i64>,
    }
}

pub async fn list(State(api): State<Api>, Query(asked): Query<AuditFilter>) -> Result<List<AuditEntry>, Problem> {
    let limit = query::span(asked.limit, None)?.limit;
    let filter = audit::Filter {
        actor: asked.actor.as_deref(),
        verb: asked.verb.as_deref(),
        object: asked.object.as_deref(),
        since: asked.since,
        until: asked.until,
    };
    let rows = audit::page(&api.pool, &filter, asked.cursor, i64::from(limit) + 1).await?;
    Ok(List::of(rows, limit, |row| row.id.to_string()))
}
