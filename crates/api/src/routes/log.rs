//! The output of an action on standard output and standard error, while it runs and later.
//!
//! Two places contain it. The chunks that are stored while it runs have the order of both streams; the result has the
//! complete output once it has ended. The answer for an ended execution combines both: the chunks, and the rest from the
//! result.

use crate::{
    answer::One,
    api::Api,
    limits::REQUEST,
    problem::Problem,
    request::{Id, Query, form},
};
use attune_common::{
    bus::FeedFilter,
    store::{
        execution,
        execution_log::{self, Chunk, Place},
    },
};
use attune_domain::{ExecutionId, execution::ExecutionStatus, occurrence::Execution};
use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// How long an answer waits for new output. It has to be on its way before the time limit of the request.
const FOLLOW: Duration = Duration::from_secs(8);
const _: () = assert!(FOLLOW.as_secs() < REQUEST.as_secs());
/// Messages may be lost.
const POLL: Duration = Duration::from_millis(500);
const TAIL_MAX: u32 = 100_000;
/// The `Accept` of a download.
const TEXT: &str = "text/plain";
const STREAMS: [&str; 2] = ["stdout", "stderr"];
/// After everything that an attempt can have written.
const END: i32 = i32::MAX;

form! {
    pub struct LogFilter {
        /// Wait up to 8 seconds for new output or for the end. Repeat with `after` while `complete` is false.
        follow: bool = false,
        /// Only the output after this position: `next` of the previous response.
        after: Option<String>,
        /// Only the output of this attempt.
        #[schema(minimum = 1)]
        attempt: Option<i32>,
        /// Only the last lines. `omitted_bytes` counts what precedes them.
        #[schema(minimum = 1, maximum = 100_000)]
        tail: Option<u32>,
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Logs {
    execution_id: ExecutionId,
    status: ExecutionStatus,
    attempt: i32,
    /// The execution has ended: there will be no more output.
    complete: bool,
    /// For `?after=`.
    next: String,
    #[serde(rename = "logs")]
    pieces: Vec<Log>,
    /// How many bytes of output precede the first piece because of `tail`.
    omitted_bytes: usize,
}

/// A chunk of a stream. Chunks of both streams are in the order of arrival, as far as they were stored while the action
/// ran; for a short execution, each stream is one chunk.
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
    headers: HeaderMap,
    Query(params): Query<LogFilter>,
) -> Result<Response, Problem> {
    if params.attempt.is_some_and(|attempt| attempt < 1) {
        return Err(Problem::field("attempt", "must be at least 1"));
    }
    if params.tail.is_some_and(|lines| !(1..=TAIL_MAX).contains(&lines)) {
        return Err(Problem::field("tail", format!("must be between 1 and {TAIL_MAX}")));
    }
    let place = params.after.as_deref().map_or(Ok(Place::default()), place)?;
    let until = Instant::now() + FOLLOW;
    let mut feeds = api.bus.feeds(FeedFilter {
        execution_id: Some(id),
        ..FeedFilter::default()
    });
    loop {
        let execution = execution::get(&api.pool, id)
            .await?
            .ok_or_else(|| Problem::not_found("execution", id))?;
        // Read after the execution, so that the chunks of an ended one are complete.
        let mut logs = read(&api, &execution, place).await?;
        logs.select(&params);
        if logs.complete
            || !params.follow
            || !logs.pieces.is_empty()
            || Instant::now() >= until
            || api.stopping.is_cancelled()
        {
            let as_text = headers.get(header::ACCEPT).is_some_and(|accept| accept == TEXT);
            return Ok(if as_text {
                logs.download()
            } else {
                One::new(logs).into_response()
            });
        }
        tokio::select! {
            _ = feeds.recv() => {}
            () = tokio::time::sleep(POLL) => {}
            () = tokio::time::sleep_until(until) => {}
            () = api.stopping.cancelled() => {}
        }
    }
}

/// `<attempt>.<number of the chunk>`; empty is the beginning.
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
    parsed.ok_or_else(|| Problem::field("after", "must be the `next` of a previous response"))
}

async fn read(api: &Api, execution: &Execution, place: Place) -> Result<Logs, Problem> {
    let complete = execution.status.is_terminal();
    let from = if complete { Place::default() } else { place };
    let stored = execution_log::after(&api.pool, execution.id, from).await?;
    let end = Place {
        attempt: execution.attempt,
        seq: END,
    };
    let rest = if complete && place < end {
        rest(execution, &stored)
    } else {
        Vec::new()
    };
    let last = stored.last().map_or(place, Chunk::place).max(place);
    let next = if complete { end } else { last };
    let new = stored.into_iter().filter(|chunk| chunk.place() > place);
    Ok(Logs {
        execution_id: execution.id,
        status: execution.status,
        attempt: execution.attempt,
        complete,
        next: format!("{}.{}", next.attempt, next.seq),
        pieces: new.map(Log::from).chain(rest).collect(),
        omitted_bytes: 0,
    })
}

impl Logs {
    /// Keeps the pieces that the filter selects.
    fn select(&mut self, filter: &LogFilter) {
        if let Some(attempt) = filter.attempt {
            self.pieces.retain(|piece| piece.attempt == attempt);
        }
        let Some(lines) = filter.tail else { return };
        let mut left = usize::try_from(lines).unwrap_or(usize::MAX);
        let mut kept = Vec::new();
        while let Some(mut piece) = self.pieces.pop() {
            // The end of a line belongs to it.
            let ends = piece
                .text
                .trim_end_matches('\n')
                .rmatch_indices('\n')
                .map(|(at, _)| at + 1);
            let starts: Vec<usize> = ends.collect();
            let count = starts.len() + 1;
            if count >= left {
                let start = if count > left { starts[left - 1] } else { 0 };
                self.omitted_bytes = start + self.pieces.iter().map(|piece| piece.text.len()).sum::<usize>();
                piece.text = piece.text.split_off(start);
                kept.push(piece);
                break;
            }
            left -= count;
            kept.push(piece);
        }
        kept.reverse();
        self.pieces = kept;
    }

    /// The text alone, as a file.
    fn download(self) -> Response {
        let text: String = self.pieces.into_iter().map(|piece| piece.text).collect();
        let name = format!("attachment; filename=\"{}.log\"", self.execution_id);
        let content_type = format!("{TEXT}; charset=utf-8");
        (
            [
                (header::CONTENT_TYPE, content_type),
                (header::CONTENT_DISPOSITION, name),
            ],
            text,
        )
            .into_response()
    }
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

/// The part of the result that the chunks do not contain.
fn rest(execution: &Execution, stored: &[Chunk]) -> Vec<Log> {
    let result = execution.result.as_ref();
    let of_stream = |stream: &str| {
        let whole = result?.get(stream)?.as_str()?;
        let pieces = stored
            .iter()
            .filter(|chunk| chunk.attempt == execution.attempt && chunk.stream == stream);
        let sent: String = pieces.map(|chunk| chunk.chunk.as_str()).collect();
        let text = whole.strip_prefix(sent.as_str()).unwrap_or(whole);
        (!text.is_empty()).then(|| Log {
            stream: stream.to_owned(),
            attempt: execution.attempt,
            text: text.to_owned(),
            at: execution.finished_at,
        })
    };
    STREAMS.into_iter().filter_map(of_stream).collect()
}
