//! The attempts of an execution.

use crate::{answer::List, api::Api, problem::Problem, request::Id};
use attune_common::store::{execution, execution_attempt};
use attune_domain::{ExecutionId, occurrence::Attempt};
use axum::extract::State;

pub async fn list(State(api): State<Api>, Id(id): Id<ExecutionId>) -> Result<List<Attempt>, Problem> {
    execution::get(&api.pool, id)
        .await?
        .ok_or_else(|| Problem::not_found("execution", id))?;
    Ok(List::whole(execution_attempt::list(&api.pool, id).await?))
}
