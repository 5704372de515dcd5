//! The subscriptions of this process: who waits for what, and how a message reaches them.
//!
//! Both buses deliver through a hub; the in-process bus is nothing else. The tricky thing is a wake: it is one permit
//! per kind of work, shared by all who wait for that kind. A permit given twice is one permit (that is the
//! coalescing), it is kept while nobody waits, and exactly one waiter takes it (that is the competing).

use super::message::{Control, Feed, FeedFilter, Wake};
use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, broadcast, broadcast::error::RecvError};

/// Messages that a slow reader may be behind before it loses the oldest.
const CONTROL_BACKLOG_MAX: usize = 1024;
const FEED_BACKLOG_MAX: usize = 4096;

/// Wakes for more kinds of work than this are not kept: pools are few, and a name may come from outside.
const KINDS_MAX: usize = 4096;

pub(super) struct Hub {
    slots: RwLock<HashMap<Wake, Arc<Slot>>>,
    controls: broadcast::Sender<Control>,
    feeds: broadcast::Sender<Arc<Feed>>,
    /// Told whenever somebody begins or ends to wait for something.
    interest: Arc<Notify>,
}

/// One kind of work.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) wake: Notify,
    /// Told when a waiter took the wake.
    pub(super) taken: Notify,
    waiters: AtomicUsize,
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

    /// Gives one waiter of this kind its permit. False when there are too many kinds to keep one more.
    pub(super) fn wake(&self, wake: &Wake) -> bool {
        let slot = self.known(wake).or_else(|| self.slot(wake.clone()));
        slot.map(|slot| slot.wake.notify_one()).is_some()
    }

    /// Every waiter of this process looks once, and everybody reads the definitions: messages may have been missed.
    pub(super) fn wake_all(&self) {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.values() {
            slot.wake.notify_waiters();
            slot.wake.notify_one();
        }
        drop(slots);
        self.control(Control::DefinitionsChanged);
    }

    pub(super) fn control(&self, control: Control) {
        // Without a reader there is nothing to tell.
        let _ = self.controls.send(control);
    }

    pub(super) fn feed(&self, feed: Feed) {
        if self.feeds.receiver_count() > 0 {
            let _ = self.feeds.send(Arc::new(feed));
        }
    }

    pub(super) fn wakes(&self, wake: Wake) -> Wakes {
        // A kind beyond the limit gets a slot of its own, which nobody wakes: its reader polls.
        let slot = self.slot(wake).unwrap_or_default();
        slot.waiters.fetch_add(1, Ordering::Relaxed);
        self.interest.notify_one();
        Wakes {
            slot,
            began: AtomicBool::new(false),
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

    /// Resolves when somebody began or ended to wait since the last call.
    pub(super) async fn interest_changed(&self) {
        self.interest.notified().await;
    }

    /// The kinds of work that somebody waits for.
    pub(super) fn wanted_wakes(&self) -> Vec<(Wake, Arc<Slot>)> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = slots
            .iter()
            .filter(|(_, slot)| slot.waiters.load(Ordering::Relaxed) > 0);
        wanted.map(|(wake, slot)| (wake.clone(), Arc::clone(slot))).collect()
    }

    pub(super) fn wants_controls(&self) -> bool {
        self.controls.receiver_count() > 0
    }

    pub(super) fn wants_feeds(&self) -> bool {
        self.feeds.receiver_count() > 0
    }

    fn interest(&self) -> Interest {
        Interest(Arc::clone(&self.interest))
    }

    fn known(&self, wake: &Wake) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(wake).map(Arc::clone)
    }

    fn slot(&self, wake: Wake) -> Option<Arc<Slot>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= KINDS_MAX && !slots.contains_key(&wake) {
            return None;
        }
        Some(Arc::clone(slots.entry(wake).or_default()))
    }
}

/// Tells the hub, once it is dropped, that somebody stopped waiting.
struct Interest(Arc<Notify>);

impl Drop for Interest {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Waits for one kind of work.
pub struct Wakes {
    slot: Arc<Slot>,
    /// Was the first call answered?
    began: AtomicBool,
    /// After the slot: it must speak when the count is already lower (see `Drop`).
    #[expect(dead_code, reason = "dropping it is its use")]
    interest: Interest,
}

impl Wakes {
    /// Resolves when at least one wake arrived since the last call; the first call of a subscription resolves at once,
    /// because nobody knows what came before it. Safe to drop at any moment: the wake stays for the next call.
    ///
    /// A wake can be lost, and one can come for nothing, so the caller always polls as well.
    pub async fn recv(&self) {
        if !self.began.swap(true, Ordering::Relaxed) {
            return;
        }
        self.slot.wake.notified().await;
        self.slot.taken.notify_one();
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.slot.waiters.fetch_sub(1, Ordering::Relaxed);
        // A permit that came and that nobody took must not be lost for the others: they look once.
        self.slot.wake.notify_one();
    }
}

/// Hears everything that every process should hear.
pub struct Controls {
    receiver: broadcast::Receiver<Control>,
    #[expect(dead_code, reason = "dropping it is its use")]
    interest: Interest,
}

impl Controls {
    /// The next message. A reader that is too slow misses the oldest ones; it is told to read the definitions, and
    /// learns of canceled executions when it renews its leases.
    pub async fn recv(&mut self) -> Control {
        match self.receiver.recv().await {
            Ok(control) => control,
            Err(RecvError::Lagged(_)) => Control::DefinitionsChanged,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Watches a part of the feed.
pub struct Feeds {
    filter: FeedFilter,
    receiver: broadcast::Receiver<Arc<Feed>>,
    #[expect(dead_code, reason = "dropping it is its use")]
    interest: Interest,
}

/// What a watcher of the feed gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedItem {
    Feed(Arc<Feed>),
    /// The watcher was too slow: so many messages, wanted or not, went by unseen.
    Missed(u64),
}

impl Feeds {
    /// The next message that passes the filter.
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
