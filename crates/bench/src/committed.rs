//! When events were committed: the sensor announces them on the bus right after the commit, and this listens.

use crate::testbed::Testbed;
use attune_common::bus::{FeedFilter, FeedItem, Feeds, Subject};
use attune_domain::EventId;
use chrono::{DateTime, TimeDelta, Utc};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::task::AbortHandle;

#[derive(Debug, Default)]
struct Heard {
    at: HashMap<EventId, Instant>,
    missed: u64,
}

pub struct Committed {
    heard: Arc<Mutex<Heard>>,
    listener: AbortHandle,
    /// The database's clock and ours at one moment.
    clocks: (DateTime<Utc>, Instant),
}

impl Committed {
    pub async fn listen(testbed: &Testbed) -> anyhow::Result<Self> {
        let context = testbed.context()?;
        let feeds = context.bus.feeds(FeedFilter {
            subject: Some(Subject::Event),
            ..FeedFilter::default()
        });
        let heard = Arc::<Mutex<Heard>>::default();
        let listener = context.tracker().spawn(hear(feeds, Arc::clone(&heard))).abort_handle();
        let queried_at = Instant::now();
        let now = testbed.now().await?;
        let clocks = (now, queried_at + queried_at.elapsed() / 2);
        Ok(Self {
            heard,
            listener,
            clocks,
        })
    }

    /// Stops listening. Returns a function that computes how long after an instant an event was committed.
    pub fn end(self) -> anyhow::Result<impl Fn(EventId, DateTime<Utc>) -> Option<f64>> {
        self.listener.abort();
        let heard = std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        anyhow::ensure!(
            heard.missed == 0,
            "{} messages of the bus went by unheard",
            heard.missed
        );
        let (now, then) = self.clocks;
        Ok(move |id: EventId, scheduled_at: DateTime<Utc>| {
            let after = heard.at.get(&id)?.saturating_duration_since(then);
            let committed_at = now + TimeDelta::from_std(after).ok()?;
            Some((committed_at - scheduled_at).as_seconds_f64() * 1000.0)
        })
    }
}

async fn hear(mut feeds: Feeds, heard: Arc<Mutex<Heard>>) {
    loop {
        let item = feeds.recv().await;
        let at = Instant::now();
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        match item {
            FeedItem::Missed(missed) => heard.missed += missed,
            FeedItem::Feed(feed) => {
                if let Some(id) = feed.event_id {
                    heard.at.insert(id, at);
                }
            }
        }
    }
}
