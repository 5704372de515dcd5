//! Finds definitions by text, and what an id belongs to.

use crate::{
    answer::{List, One},
    api::Api,
    problem::Problem,
    request::{Id, Query, form},
};
use attune_common::store::search::{self, Hit, Resolved};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

const HITS_MAX: u16 = 50;
const TEXT_MAX: usize = 128;

form! {
    pub struct SearchFilter {
        /// A part of a ref or a label, in any case.
        q: String,
        limit: u16 where (1..=HITS_MAX) = 20,
    }
}

/// What an id belongs to, and where the web UI shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolvedView {
    #[serde(flatten)]
    resolved: Resolved,
    /// The path of its page.
    path: String,
}

pub async fn definitions(State(api): State<Api>, Query(params): Query<SearchFilter>) -> Result<List<Hit>, Problem> {
    let text = params.q.trim();
    if text.is_empty() || text.chars().count() > TEXT_MAX {
        return Err(Problem::field("q", format!("must have 1 to {TEXT_MAX} characters")));
    }
    let hits = search::definitions(&api.pool, text, i64::from(params.limit)).await?;
    Ok(List::whole(hits))
}

pub async fn resolve(State(api): State<Api>, Id(id): Id<Uuid>) -> Result<One<ResolvedView>, Problem> {
    let found = search::resolve(&api.pool, id).await?;
    let resolved = found.ok_or_else(|| Problem::not_found("event, enforcement, execution or webhook request", id))?;
    let path = match resolved.trace_id {
        Some(trace) if resolved.noun != "webhook_request" => format!("/t/{trace}?node={id}"),
        _ => format!("/webhooks/inbox/{id}"),
    };
    Ok(One::new(ResolvedView { resolved, path }))
}
