//! Runtimes come with packs; here they are only shown.

use crate::{
    answer::{List, One},
    api::Api,
    problem::Problem,
    request::{Name, Query, form, query},
};
use attune_common::store::runtime;
use attune_domain::definition::Runtime;
use axum::extract::State;

form! {
    pub struct RuntimeFilter {
        limit: u16 where (1..=query::LIMIT_MAX) = 50,
        cursor: Option<String>,
    }
}

pub async fn list(State(api): State<Api>, Query(filter): Query<RuntimeFilter>) -> Result<List<Runtime>, Problem> {
    let page = query::page(filter.limit, filter.cursor)?;
    let rows = runtime::page(&api.pool, &page).await?;
    Ok(List::of(rows, page.limit, |runtime| runtime.r#ref.clone()))
}

pub async fn get(State(api): State<Api>, Name(key): Name) -> Result<One<Runtime>, Problem> {
    let found = runtime::get(&api.pool, &key).await?;
    found.map(One::new).ok_or_else(|| Problem::not_found("runtime", key))
}
