//! Streams of changes: the feed of the bus as server-sent events.
//!
//! The feed comes from the bus, so every API process sends the changes of all services. A stream that is read too slowly
//! loses the oldest messages and gets their number. Nothing is stored for a client; one that reconnects with
//! `Last-Event-ID` gets what the database still contains.
//!
//! The tricky thing is the end: a stream is open for hours, so its credentials are checked again every few seconds.

mod enrich;
mod filter;
mod frame;
mod resume;
mod slots;

pub use enrich::FeedEnricher;
pub use filter::{Filter, Kinds};
pub use slots::{StreamSlot, StreamSlots};

use crate::auth::{Sessions, Standing};
use attune_common::{
    bus::{Bus, Feed, FeedFilter, FeedItem, Feeds, LogRange},
    clock,
    store::{PgPool, execution_log, execution_queue::AttemptKey, with_timeout},
};
use attune_domain::ExecutionId;
use axum::body::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::json;
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often the credentials are checked, and something is sent so that no proxy closes the connection.
const CHECK: Duration = Duration::from_secs(4);
/// Every n-th check is a heartbeat: an event with an id, so that `Last-Event-ID` advances while nothing happens.
const CHECKS_PER_HEARTBEAT: u32 = 4;

/// The limit of a query: a client hears something every few seconds, even without the database.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);

/// What a stream reads from.
#[derive(Debug, Clone)]
pub struct Sources {
    pub pool: PgPool,
    pub bus: Arc<dyn Bus>,
    pub sessions: Sessions,
    pub enricher: FeedEnricher,
    pub stopping: CancellationToken,
}

struct Watch {
    sources: Sources,
    feeds: Feeds,
    filter: Filter,
    standing: Standing,
    checks: Interval,
    checked: u32,
    ready: VecDeque<Bytes>,
    ended: bool,
    _slot: StreamSlot,
}

/// Opens a stream. It subscribes before it reads the past, so that no change is lost in between.
pub async fn watch(
    sources: Sources,
    filter: Filter,
    standing: Standing,
    last_event_id: Option<&str>,
    slot: StreamSlot,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let mut checks = interval(CHECK);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch {
        feeds: sources.bus.feeds(FeedFilter::default()),
        sources,
        filter,
        standing,
        checks,
        checked: 0,
        ready: VecDeque::from([frame::opening()]),
        ended: false,
        _slot: slot,
    };
    if let Some(last) = last_event_id {
        let frames = resume::frames(&watch.sources.pool, &watch.filter, last).await;
        watch.ready.extend(frames);
    }
    // The first tick is immediate.
    watch.checks.tick().await;
    stream::unfold(watch, |mut watch| async move {
        let bytes = watch.next().await?;
        Some((Ok(bytes), watch))
    })
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                () = self.sources.stopping.cancelled() => self.end("stopping"),
                item = self.feeds.recv() => match item {
                    FeedItem::Feed(feed) => self.push(&feed).await,
                    FeedItem::Missed(count) => self.ready.push_back(frame::missed(&json!({"count": count, "reason": "too_slow"}))),
                },
                _ = self.checks.tick() => self.check().await,
            }
        }
    }

    async fn push(&mut self, feed: &Arc<Feed>) {
        let feed = self
            .sources
            .enricher
            .complete(&self.sources.pool, feed, &self.filter)
            .await;
        if !self.filter.passes(&feed) {
            return;
        }
        match (feed.log, feed.execution_id) {
            (Some(range), Some(id)) => self.push_log(id, range).await,
            _ => self.ready.push_back(frame::change(&feed, clock::now(), false)),
        }
    }

    /// The message contains the range of the chunks; the rows contain the text.
    async fn push_log(&mut self, id: ExecutionId, range: LogRange) {
        let key = AttemptKey {
            id,
            attempt: range.attempt,
        };
        let chunks_read = execution_log::between(&self.sources.pool, key, range.first, range.last);
        match with_timeout(QUERY_TIMEOUT, chunks_read).await {
            Ok(chunks) => {
                let now = clock::now();
                self.ready
                    .extend(chunks.iter().map(|chunk| frame::log(id, chunk, now, false)));
            }
            Err(_) => self.ready.push_back(frame::missed(&json!({"reason": "unavailable"}))),
        }
    }

    async fn check(&mut self) {
        match with_timeout(
            QUERY_TIMEOUT,
            self.standing.is_valid(&self.sources.sessions, &self.sources.pool),
        )
        .await
        {
            Ok(true) => {}
            Ok(false) => return self.end("unauthorized"),
            // The check was not possible. The client may reconnect.
            Err(_) => return self.end("unavailable"),
        }
        self.checked += 1;
        let sign = if self.checked.is_multiple_of(CHECKS_PER_HEARTBEAT) {
            frame::heartbeat(clock::now())
        } else {
            frame::comment()
        };
        self.ready.push_back(sign);
    }

    fn end(&mut self, reason: &str) {
        self.ready.push_back(frame::end(reason));
        self.ended = true;
    }
}
