//! What an action wrote to its standard output and standard error: now, as it comes, and later.
//!
//! Two places hold it. What was kept while it ran tells the order of both streams; the result holds all there is, once it has
//! ended. So an end is told by both: the pieces, and from the result whatever is not among them.

use crate::{
    answer::One,
    api::Api,
    problem::Problem,
    request::{Id, Query, form},
    router::REQUEST,
};
use attune_common::{
    bus::FeedFilter,
    store::{
        execution,
        execution_log::{self, Chunk, Place},
    },
};
use attune_domain::{ExecutionId, execution::ExecutionStatus, occurrence::Execution};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// How long an answer waits for news. It has to be on its way before the request's own time is over.
const FOLLOW: Duration = Duration::from_secs(8);
const _: () = assert!(FOLLOW.as_secs() < REQUEST.as_secs());
/// Messages may be lost.
const POLL: Duration = Duration::from_millis(500);
const STREAMS: [&str; 2] = ["stdout", "stderr"];
/// Behind everything that an attempt can have written.
const END: i32 = i32::MAX;

form! {
    pub struct LogFilter {
        /// Wait up to 8 seconds for something new, or for the end; ask again with `after` as long as `complete` is false.
        follow: bool = false,
        /// Only what comes after this place: `next` of the answer before.
        after: Option<String>,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Logs {
    execution_id: ExecutionId,
    status: ExecutionStatus,
    attempt: i32,
    /// It has ended: nothing more will come.
    complete: bool,
    /// For `?after=`.
    next: String,
    #[serde(rename = "logs")]
    pieces: Vec<Log>,
}

/// A piece of a stream. Pieces of both streams stand in the order in which they came, as far as they were kept while the
/// action ran; of one that was over soon, each stream is one piece.
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
    let place = asked.after.as_deref().map_or(Ok(Place::default()), place)?;
    let until = Instant::now() + FOLLOW;
    let mut feeds = api.bus.feeds(FeedFilter {
        execution_id: Some(id),
        ..FeedFilter::default()
    });
    loop {
        let execution = execution::get(&api.pool, id)
            .await?
            .ok_or_else(|| Problem::not_found("execution", id))?;
        // Read after the execution: what was kept of one that has ended is all there then.
        let logs = read(&api, &execution, place).await?;
        if logs.complete
            || !asked.follow
            || !logs.pieces.is_empty()
            || Instant::now() >= until
            || api.stopping.is_cancelled()
        {
            return Ok(One::new(logs));
        }
        tokio::select! {
            _ = feeds.recv() => {}
            () = tokio::time::sleep(POLL) => {}
            () = tokio::time::sleep_until(until) => {}
            () = api.stopping.cancelled() => {}
        }
    }
}

/// `<attempt>.<number of the piece>`; nothing is the beginning.
fn place(text: &str) -> Result<Place, Problem> {
    if text.is_empty() {
        return Ok(Place::default());
    }
    let parsed = text.split_once('.').and_then(|(attempt, seq)| {
        Some(Place {
            attempt: attempt.parse().ok()?,
            seq: seq.parse().ok()?,
        })
    });
    parsed.ok_or_else(|| Problem::field("after", "is no place in a log: use `next` of the answer before"))
}

async fn read(api: &Api, execution: &Execution, place: Place) -> Result<Logs, Problem> {
    let complete = execution.status.is_terminal();
    let from = if complete { Place::default() } else { place };
    let kept = execution_log::after(&api.pool, execution.id, from).await?;
    let end = Place {
        attempt: execution.attempt,
        seq: END,
    };
    let rest = if complete && place < end {
        rest(execution, &kept)
    } else {
        Vec::new()
    };
    let last = kept.last().map_or(place, Chunk::place).max(place);
    let next = if complete { end } else { last };
    let new = kept.into_iter().filter(|chunk| chunk.place() > place);
    Ok(Logs {
        execution_id: execution.id,
        status: execution.status,
        attempt: execution.attempt,
        complete,
        next: format!("{}.{}", next.attempt, next.seq),
        pieces: new.map(Log::from).chain(rest).collect(),
    })
}

impl From<Chunk> for Log {
    fn from(chunk: Chunk) -> Self {
        Self {
            stream: chunk.stream,
            attempt: chunk.attempt,
            text: chunk.chunk,
            at: Some(chunk.at),
        }
    }
}

/// What the result holds and the pieces do not.
fn rest(execution: &Execution, kept: &[Chunk]) -> Vec<Log> {
    let result = execution.result.as_ref();
    let of_stream = |stream: &str| {
        let whole = result?.get(stream)?.as_str()?;
        let pieces = kept
            .iter()
            .filter(|chunk| chunk.attempt == execution.attempt && chunk.stream == stream);
        let told: String = pieces.map(|chunk| chunk.chunk.as_str()).collect();
        let text = whole.strip_prefix(told.as_str()).unwrap_or(whole);
        (!text.is_empty()).then(|| Log {
            stream: stream.to_owned(),
            attempt: execution.attempt,
            text: text.to_owned(),
            at: execution.finished_at,
        })
    };
    STREAMS.into_iter().filter_map(of_stream).collect()
}
