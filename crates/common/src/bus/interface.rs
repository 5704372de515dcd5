//! What both buses offer to services.

use super::{
    hub::{Controls, Feeds, Wakes},
    message::{Control, Feed, FeedFilter, Wake},
};
use std::{fmt, time::Instant};

/// One end of the bus. Services share it as `Arc<dyn Bus>`.
pub trait Bus: fmt::Debug + Send + Sync {
    /// Wakes one subscriber of this kind of work. Never waits.
    fn wake(&self, wake: Wake);

    /// Sends a message to every process, including this one. Never waits.
    fn control(&self, control: Control);

    /// Sends a message to the live streams. Never waits.
    fn feed(&self, feed: Feed);

    /// Subscribes to one kind of work. All subscribers of the same kind, in all processes, compete for its wakes.
    fn wakes(&self, of: Wake) -> Wakes;

    /// Subscribes to every [`Control`].
    fn controls(&self) -> Controls;

    /// Subscribes to the messages of the feed that match `filter`.
    fn feeds(&self, filter: FeedFilter) -> Feeds;

    /// A bus that is down makes a service `degraded`, never `failing`.
    fn health(&self) -> BusHealth;
}

/// The state of the bus.
#[derive(Debug, Clone, Copy)]
pub struct BusHealth {
    /// `in_process` or `rabbitmq`.
    pub kind: &'static str,
    pub up: bool,
    /// When it last went up or down.
    pub since: Instant,
}
