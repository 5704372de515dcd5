//! Live changes for whoever watches: the bus's feed as server-sent events.
//!
//! The feed comes over the bus, so every API shows the changes of all services. A watcher costs one place in the feed's
//! backlog: who reads too slowly misses the oldest, and is told how many. Nothing is kept for anybody; whoever comes back
//! with `Last-Event-ID` gets what the database still tells, or is told that it cannot.
//!
//! The tricky thing is the end: a watcher stays for hours, so its right is looked at again every few seconds.

mod belongings;
mod filter;
mod frame;
mod guests;
mod resume;

pub use belongings::Belongings;
pub use filter::{Filter, Kinds};
pub use guests::{Guest, Guests};

use crate::{api::Api, auth::Standing};
use attune_common::{
    bus::{Feed, FeedFilter, FeedItem, Feeds, LogRange},
    clock,
    store::{execution_log, execution_queue::AttemptKey, with_timeout},
};
use attune_domain::ExecutionId;
use axum::body::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::json;
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often a watcher's right is looked at, and something is sent so that nobody in between hangs up.
const CHECK: Duration = Duration::from_secs(4);
/// One in so many checks is a heartbeat: an event with an id, so that `Last-Event-ID` moves on while nothing happens.
const CHECKS_PER_HEARTBEAT: u32 = 4;

/// What the database may take for one answer: who watches hears something every few seconds, also of its absence.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

struct Watch {
    api: Api,
    feeds: Feeds,
    filter: Filter,
    standing: Standing,
    checks: Interval,
    checked: u32,
    ready: VecDeque<Bytes>,
    ended: bool,
    /// Gives its place back when it is dropped.
    _guest: Guest,
}

/// Starts to watch. What happens from now on is not missed, also while the past is still being read.
pub async fn watch(
    api: Api,
    filter: Filter,
    standing: Standing,
    last_event_id: Option<&str>,
    guest: Guest,
) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let mut checks = interval(CHECK);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch {
        feeds: api.bus.feeds(FeedFilter::default()),
        api,
        filter,
        standing,
        checks,
        checked: 0,
        ready: VecDeque::from([frame::opening()]),
        ended: false,
        _guest: guest,
    };
    if let Some(last) = last_event_id {
        let frames = resume::frames(&watch.api, &watch.filter, last).await;
        watch.ready.extend(frames);
    }
    // The first tick comes at once.
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
                () = self.api.stopping.cancelled() => self.end("stopping"),
                item = self.feeds.recv() => match item {
                    FeedItem::Feed(feed) => self.tell(&feed).await,
                    FeedItem::Missed(count) => self.ready.push_back(frame::missed(&json!({"count": count, "reason": "too_slow"}))),
                },
                _ = self.checks.tick() => self.check().await,
            }
        }
    }

    async fn tell(&mut self, feed: &Arc<Feed>) {
        let feed = self.api.belongings.complete(&self.api.pool, feed, &self.filter).await;
        if !self.filter.passes(&feed) {
            return;
        }
        match (feed.log, feed.execution_id) {
            (Some(range), Some(id)) => self.tell_log(id, range).await,
            _ => self.ready.push_back(frame::change(&feed, clock::now(), false)),
        }
    }

    /// The bus says which pieces there are; the rows hold them.
    async fn tell_log(&mut self, id: ExecutionId, range: LogRange) {
        let held = AttemptKey {
            id,
            attempt: range.attempt,
        };
        let pieces = execution_log::between(&self.api.pool, held, range.first, range.last);
        match with_timeout(ANSWERED_WITHIN, pieces).await {
            Ok(chunks) => {
                let now = clock::now();
                self.ready
                    .extend(chunks.iter().map(|chunk| frame::log(id, chunk, now, false)));
            }
            Err(_) => self.ready.push_back(frame::missed(&json!({"reason": "unavailable"}))),
        }
    }

    async fn check(&mut self) {
        match with_timeout(ANSWERED_WITHIN, self.standing.holds(&self.api)).await {
            Ok(true) => {}
            Ok(false) => return self.end("unauthorized"),
            // Nobody knows whether it still may: it can come back.
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
