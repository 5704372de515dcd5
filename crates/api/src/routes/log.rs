//! What an action wrote to its standard output and standard error.

use crate::{
    answer::One,
    api::Api,
    problem::Problem,
    request::{Id, Query, form},
};
use attune_common::{
    bus::FeedFilter,
    store::{execution, watch},
};
use attune_domain::{ExecutionId, execution::ExecutionStatus, occurrence::Execution};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// How long an answer waits for the end.
const FOLLOW: Duration = Duration::from_secs(25);
/// Messages may be lost.
const POLL: Duration = Duration::from_millis(500);
const STREAMS: [&str; 2] = ["stdout", "stderr"];

form! {
    pub struct LogFilter {
        /// Wait up to 25 seconds for the end; ask again as long as `complete` is false.
        follow: bool = false,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Logs {
    execution_id: ExecutionId,
    status: ExecutionStatus,
    attempt: i32,
    /// It has ended: nothing more will come.
    complete: bool,
    #[serde(rename = "logs")]
    pieces: Vec<Log>,
}

/// Pieces of both streams in their order, where they were kept while it ran; else each stream as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct Log {
    /// `stdout` or `stderr`.
    stream: String,
    attempt: i32,
    text: String,
    at: Option<DateTime<Utc>>,
}

pub async fn get(
    State(api): State<Api>,
    Id(id): Id<ExecutionId>,
    Query(asked): Query<LogFilter>,
) -> Result<One<Logs>, Problem> {
    let until = Instant::now() + FOLLOW;
    let mut feeds = api.bus.feeds(FeedFilter {
        execution_id: Some(id),
        ..FeedFilter::default()
    });
    loop {
        let execution = execution::get(&api.pool, id)
            .await?
            .ok_or_else(|| Problem::not_found("execution", id))?;
        let complete = execution.status.is_terminal();
        if complete || !asked.follow || Instant::now() >= until || api.stopping.is_cancelled() {
            let pieces = pieces(&api, &execution).await?;
            return Ok(One::new(Logs {
                execution_id: id,
                status: execution.status,
                attempt: execution.attempt,
                complete,
                pieces,
            }));
        }
        tokio::select! {
            _ = feeds.recv() => {}
            () = tokio::time::sleep(POLL) => {}
            () = tokio::time::sleep_until(until) => {}
            () = api.stopping.cancelled() => {}
        }
    }
}

async fn pieces(api: &Api, execution: &Execution) -> Result<Vec<Log>, Problem> {
    let kept = watch::chunks(&api.pool, execution.id).await?;
    if !kept.is_empty() {
        let piece = |chunk: watch::Chunk| Log {
            stream: chunk.stream,
            attempt: chunk.attempt,
            text: chunk.chunk,
            at: Some(chunk.at),
        };
        return Ok(kept.into_iter().map(piece).collect());
    }
    let result = execution.result.as_ref();
    let whole = STREAMS.into_iter().filter_map(|stream| {
        let text = result?.get(stream)?.as_str().filter(|text| !text.is_empty())?;
        Some(Log {
            stream: stream.to_owned(),
            attempt: execution.attempt,
            text: text.to_owned(),
            at: execution.finished_at,
        })
    });
    Ok(whole.collect())
}
