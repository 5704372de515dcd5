//! The bus wakes whoever should look, and fans out live updates. Nothing is true because it was said here: rows make
//! it true. Every message may be lost, doubled or late, and a bus that is down or frozen stops nothing, because every
//! reader also polls (1 s ± 20 %).
//!
//! Two implementations, chosen at the start, with one contract test suite (`tests/it/bus.rs`): [`InProcessBus`] for
//! `attune up`, [`RabbitmqBus`] for services of their own. It knows nothing about the database.
//!
//! The tricky thing is what publishing must never do: wait. It puts the message into a bounded channel, and when that
//! is full the message is dropped and counted. Publish a wake after the commit that it speaks of.

mod count;
mod hub;
mod in_process;
mod message;
mod rabbitmq;

pub use hub::{Controls, FeedItem, Feeds, Wakes};
pub use in_process::InProcessBus;
pub use message::{BODY_BYTES_MAX, Control, Feed, FeedFilter, FeedKind, InvalidFeedKind, LogRange, Subject, Wake};
pub use rabbitmq::{InvalidRabbitmqConfig, RabbitmqBus, RabbitmqConfig};

use crate::config::MessageQueue;
use anyhow::Context as _;
use std::{fmt, sync::Arc, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// One end of the bus. Services hold it as `Arc<dyn Bus>`.
pub trait Bus: fmt::Debug + Send + Sync {
    /// Some one of those that do this kind of work should look. Never waits.
    fn wake(&self, wake: Wake);

    /// Every process should hear this, this one included. Never waits.
    fn control(&self, control: Control);

    /// Whoever watches may see this. Never waits.
    fn feed(&self, feed: Feed);

    /// Waits for one kind of work. All that wait for the same kind, in all processes, share its wakes.
    fn wakes(&self, of: Wake) -> Wakes;

    /// Hears every [`Control`].
    fn controls(&self) -> Controls;

    /// Watches the part of the feed that passes `filter`.
    fn feeds(&self, filter: FeedFilter) -> Feeds;

    /// A bus that is down makes a service `degraded`, never `down`.
    fn health(&self) -> BusHealth;
}

/// How the bus is.
#[derive(Debug, Clone, Copy)]
pub struct BusHealth {
    /// `in_process` or `rabbitmq`.
    pub kind: &'static str,
    pub up: bool,
    /// Since when it is up, or down.
    pub since: Instant,
}

/// The bus of a process of its own: RabbitMQ where an address is given. Without one, services find work by polling.
///
/// `stop` should come after the services: their last words are still to be said.
pub fn connect(
    queue: &MessageQueue,
    name: &str,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<Arc<dyn Bus>> {
    let Some(url) = &queue.url else {
        tracing::warn!(
            "message_queue.url is not set: services of other processes are found by polling, within a second"
        );
        return Ok(Arc::new(InProcessBus::new()));
    };
    let config = RabbitmqConfig {
        connection_name: name.to_owned(),
        namespace: queue.namespace.clone(),
        ..RabbitmqConfig::new(url.clone())
    };
    let bus = RabbitmqBus::start(&config, tracker, stop).context("message_queue.url cannot be used")?;
    Ok(Arc::new(bus))
}
