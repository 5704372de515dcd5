//! Waits for the end of an execution. No database connection is held while waiting, and a disconnect changes nothing.

use crate::api::Api;
use attune_common::{
    bus::{FeedFilter, FeedItem, Feeds},
    store::{execution, with_default_timeout},
};
use attune_domain::{ExecutionId, occurrence::Execution};
use std::time::Duration;
use tokio::time::Instant;

/// The message about the end may be lost.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, Clone, Copy)]
pub struct Wait {
    until: Instant,
}

impl Wait {
    /// Reads `?wait=`.
    pub fn of(seconds: u8) -> Self {
        let until = Instant::now() + Duration::from_secs(seconds.into());
        Self { until }
    }

    /// The execution when it has ended, or its last known state. It is committed, so a failure of the database while
    /// waiting is not an error of this request.
    pub async fn for_end(self, api: &Api, made: Execution) -> Execution {
        let id = made.id;
        let mut seen = made;
        let mut feeds = api.bus.feeds(FeedFilter::default());
        loop {
            if let Ok(Some(execution)) = with_default_timeout(execution::get(&api.pool, id)).await {
                seen = execution;
            }
            if seen.status.is_terminal() || Instant::now() >= self.until || api.stopping.is_cancelled() {
                return seen;
            }
            tokio::select! {
                () = next_change(&mut feeds, id) => {}
                () = tokio::time::sleep(POLL) => {}
                () = tokio::time::sleep_until(self.until) => {}
                () = api.stopping.cancelled() => {}
            }
        }
    }
}

async fn next_change(feeds: &mut Feeds, id: ExecutionId) {
    loop {
        match feeds.recv().await {
            FeedItem::Missed(_) => return,
            FeedItem::Feed(feed) if feed.execution_id == Some(id) => return,
            FeedItem::Feed(_) => {}
        }
    }
}
