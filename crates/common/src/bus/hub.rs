//! The subscriptions of this process, and the delivery of messages to them.
//!
//! Both buses deliver through a hub; the in-process bus consists of nothing else. The tricky thing is a wake: there is one
//! permit per kind of work, shared by all its subscribers. Granting a permit twice is one permit (coalescing), a permit
//! remains while no subscriber waits, and exactly one subscriber takes it (competing consumers).

use super::message::{Control, Feed, FeedFilter, Wake};
use crate::sync;
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, broadcast, broadcast::error::RecvError};

/// How many messages a slow subscriber may lag behind before it misses the oldest.
const CONTROL_BACKLOG_MAX: usize = 1024;
const FEED_BACKLOG_MAX: usize = 4096;

/// Wakes for more kinds of work than this are dropped: there are few pools, and a name may come from outside.
const KINDS_MAX: usize = 4096;

pub(super) struct Hub {
    slots: RwLock<HashMap<Wake, Arc<Slot>>>,
    controls: broadcast::Sender<Control>,
    feeds: broadcast::Sender<Arc<Feed>>,
    /// Notified when a subscription starts or ends.
    interest: Arc<Notify>,
}

/// One kind of work.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) wake: Notify,
    /// Notified when a subscriber took the wake.
    pub(super) taken: Notify,
    subscribers: AtomicUsize,
}

impl Hub {
    pub(super) fn new() -> Self {
        Self {
            slots: RwLock::default(),
            controls: broadcast::channel(CONTROL_BACKLOG_MAX).0,
            feeds: broadcast::channel(FEED_BACKLOG_MAX).0,
            interest: Arc::default(),
        }
    }

    /// Grants one subscriber of this kind its permit. False if there are too many kinds.
    pub(super) fn wake(&self, wake: &Wake) -> bool {
        let slot = self.existing(wake).or_else(|| self.slot(wake.clone()));
        slot.map(|slot| slot.wake.notify_one()).is_some()
    }

    /// Wakes every subscriber of this process once, and announces changed definitions: messages may have been missed.
    pub(super) fn wake_all(&self) {
        let slots = sync::read(&self.slots);
        for slot in slots.values() {
            slot.wake.notify_waiters();
            slot.wake.notify_one();
        }
        drop(slots);
        self.control(Control::DefinitionsChanged);
    }

    pub(super) fn control(&self, control: Control) {
        // Fails only without a subscriber.
        let _ = self.controls.send(control);
    }

    pub(super) fn feed(&self, feed: Feed) {
        if self.feeds.receiver_count() > 0 {
            let _ = self.feeds.send(Arc::new(feed));
        }
    }

    pub(super) fn wakes(&self, wake: Wake) -> Wakes {
        // A kind beyond the limit gets a separate slot that is never woken: its subscriber only polls.
        let slot = self.slot(wake).unwrap_or_default();
        slot.subscribers.fetch_add(1, Ordering::Relaxed);
        self.interest.notify_one();
        Wakes {
            slot,
            is_started: AtomicBool::new(false),
            interest: Interest(Arc::clone(&self.interest)),
        }
    }

    pub(super) fn controls(&self) -> Controls {
        let controls = Controls {
            receiver: self.controls.subscribe(),
            interest: self.interest(),
        };
        self.interest.notify_one();
        controls
    }

    pub(super) fn feeds(&self, filter: FeedFilter) -> Feeds {
        let feeds = Feeds {
            filter,
            receiver: self.feeds.subscribe(),
            interest: self.interest(),
        };
        self.interest.notify_one();
        feeds
    }

    /// Resolves when a subscription has started or ended since the last call.
    pub(super) async fn interest_changed(&self) {
        self.interest.notified().await;
    }

    /// The kinds of work with a subscriber.
    pub(super) fn subscribed_wakes(&self) -> Vec<(Wake, Arc<Slot>)> {
        let slots = sync::read(&self.slots);
        let subscribed = slots
            .iter()
            .filter(|(_, slot)| slot.subscribers.load(Ordering::Relaxed) > 0);
        subscribed
            .map(|(wake, slot)| (wake.clone(), Arc::clone(slot)))
            .collect()
    }

    pub(super) fn has_control_subscribers(&self) -> bool {
        self.controls.receiver_count() > 0
    }

    pub(super) fn has_feed_subscribers(&self) -> bool {
        self.feeds.receiver_count() > 0
    }

    fn interest(&self) -> Interest {
        Interest(Arc::clone(&self.interest))
    }

    fn existing(&self, wake: &Wake) -> Option<Arc<Slot>> {
        let slots = sync::read(&self.slots);
        slots.get(wake).map(Arc::clone)
    }

    fn slot(&self, wake: Wake) -> Option<Arc<Slot>> {
        let mut slots = sync::write(&self.slots);
        if slots.len() >= KINDS_MAX && !slots.contains_key(&wake) {
            return None;
        }
        Some(Arc::clone(slots.entry(wake).or_default()))
    }
}

/// Notifies the hub, when dropped, that a subscription has ended.
struct Interest(Arc<Notify>);

impl Drop for Interest {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A subscription to one kind of work.
pub struct Wakes {
    slot: Arc<Slot>,
    /// Whether the first call has returned.
    is_started: AtomicBool,
    /// Declared after the slot: it must notify after the count has been lowered (see `Drop`).
    #[expect(dead_code, reason = "dropping it is its use")]
    interest: Interest,
}

impl Wakes {
    /// Resolves when at least one wake arrived since the last call. The first call resolves at once, because wakes before the
    /// subscription are unknown. Cancel-safe: the wake remains for the next call.
    ///
    /// A wake can be lost or spurious, so the caller always polls as well.
    pub async fn recv(&self) {
        if !self.is_started.swap(true, Ordering::Relaxed) {
            return;
        }
        self.slot.wake.notified().await;
        self.slot.taken.notify_one();
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.slot.subscribers.fetch_sub(1, Ordering::Relaxed);
        // A permit that was granted and not taken must not be lost for the other subscribers.
        self.slot.wake.notify_one();
    }
}

/// A subscription to the messages for every process.
pub struct Controls {
    receiver: broadcast::Receiver<Control>,
    #[expect(dead_code, reason = "dropping it is its use")]
    interest: Interest,
}

impl Controls {
    /// The next message. A slow subscriber misses the oldest ones; it then gets [`Control::DefinitionsChanged`], and learns of
    /// canceled executions when it renews its leases.
    pub async fn recv(&mut self) -> Control {
        match self.receiver.recv().await {
            Ok(control) => control,
            Err(RecvError::Lagged(_)) => Control::DefinitionsChanged,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// A subscription to a part of the feed.
pub struct Feeds {
    filter: FeedFilter,
    receiver: broadcast::Receiver<Arc<Feed>>,
    #[expect(dead_code, reason = "dropping it is its use")]
    interest: Interest,
}

/// An item of a feed subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    Feed(Arc<Feed>),
    /// The subscriber was too slow and missed this number of messages, matching or not.
    Missed(u64),
}

impl Feeds {
    /// The next message that matches the filter.
    pub async fn recv(&mut self) -> FeedItem {
        loop {
            match self.receiver.recv().await {
                Ok(feed) if self.filter.matches(&feed) => return FeedItem::Feed(feed),
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => return FeedItem::Missed(missed),
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").finish_non_exhaustive()
    }
}

impl fmt::Debug for Wakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wakes").finish_non_exhaustive()
    }
}
