//! The running services.

use crate::{answer::List, api::Api, problem::Problem};
use attune_common::store::{
    service_instance::{self, Service},
    upkeep::{self, Retention},
};
use axum::extract::State;

pub async fn list(State(api): State<Api>) -> Result<List<Service>, Problem> {
    Ok(List::whole(service_instance::list(&api.pool, None).await?))
}

/// How long history is retained, and what was removed.
pub async fn retention(State(api): State<Api>) -> Result<List<Retention>, Problem> {
    Ok(List::whole(upkeep::retention(&api.pool).await?))
}

pub async fn workers(State(api): State<Api>) -> Result<List<Service>, Problem> {
    Ok(List::whole(service_instance::list(&api.pool, Some("worker")).await?))
}
