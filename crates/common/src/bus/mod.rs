//! The bus wakes services that have work, and broadcasts changes to live streams. Rows are the truth; messages only add speed:
//! every message may be lost, duplicated or late, and an unavailable bus stops nothing, because every subscriber also polls
//! (1 s ± 20 %).
//!
//! There are two implementations, chosen at the start, with one contract test suite (`tests/it/bus/contract.rs`):
//! [`InProcessBus`] for `attune up`, and [`RabbitmqBus`] for services in processes of their own. The bus must not know about
//! the database.
//!
//! The tricky thing is that publishing must never wait. A message is put into a bounded channel; if the channel is full, the
//! message is dropped and counted. Publish a wake after the commit that it announces.

mod count;
mod hub;
mod in_process;
mod interface;
mod message;
mod rabbitmq;

pub use hub::{Controls, FeedItem, Feeds, Wakes};
pub use in_process::InProcessBus;
pub use interface::{Bus, BusHealth};
pub use message::{BODY_BYTES_MAX, Control, Feed, FeedFilter, FeedKind, InvalidFeedKind, LogRange, Subject, Wake};
pub use rabbitmq::{InvalidRabbitmqConfig, RabbitmqBus, RabbitmqConfig};

use crate::config::MessageQueue;
use anyhow::Context as _;
use std::sync::Arc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The bus of a service in a process of its own: RabbitMQ if `message_queue.url` is set. Without it, services find work by
/// polling.
///
/// Cancel `stop` after the services have ended, so that their last messages are sent.
pub fn connect(
    queue: &MessageQueue,
    name: &str,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<Arc<dyn Bus>> {
    let Some(url) = &queue.url else {
        tracing::warn!(
            "message_queue.url is not set; services in other processes find work by polling, within about a second"
        );
        return Ok(Arc::new(InProcessBus::new()));
    };
    let config = RabbitmqConfig {
        connection_name: name.to_owned(),
        namespace: queue.namespace.clone(),
        ..RabbitmqConfig::new(url.clone())
    };
    let bus = RabbitmqBus::start(&config, tracker, stop).context("invalid message_queue.url")?;
    Ok(Arc::new(bus))
}
