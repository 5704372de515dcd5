//! The exchanges and queues. The arguments of an existing queue cannot change, so a change here needs a new name.

use super::endpoint::InvalidRabbitmqConfig;
use crate::bus::message::Wake;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

/// A wake only makes a consumer poll, so more wakes than consumers are useless.
const WAKES_MAX: i32 = 100;
/// Consumers poll within 1.2 s anyway, so an older wake is useless.
const WAKE_TTL_MS: i32 = 2_000;
/// The queue of a pool without workers is deleted.
const WAKE_QUEUE_EXPIRES_MS: i32 = 3_600_000;
const CONTROLS_MAX: i32 = 1_000;
const FEEDS_MAX: i32 = 10_000;

/// Routing keys and names of queues are limited to 255 bytes.
const POOL_BYTES_MAX: usize = 128;
const NAMESPACE_BYTES_MAX: usize = 64;

/// The names of the exchanges, all starting with the namespace (`attune`).
#[derive(Debug)]
pub(super) struct Topology {
    pub(super) wake: String,
    pub(super) control: String,
    pub(super) events: String,
}

impl Topology {
    pub(super) fn new(namespace: &str) -> Result<Self, InvalidRabbitmqConfig> {
        if !is_plain(namespace, NAMESPACE_BYTES_MAX) {
            return Err(InvalidRabbitmqConfig::Namespace(namespace.to_owned()));
        }
        Ok(Self {
            wake: format!("{namespace}.wake"),
            control: format!("{namespace}.control"),
            events: format!("{namespace}.events"),
        })
    }

    pub(super) async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        for (name, kind) in [
            (&self.wake, ExchangeKind::Topic),
            (&self.control, ExchangeKind::Fanout),
            (&self.events, ExchangeKind::Topic),
        ] {
            channel
                .exchange_declare(name.as_str().into(), kind, durable, FieldTable::default())
                .await?;
        }
        Ok(())
    }

    /// The queue shared by all consumers of one kind of work.
    pub(super) async fn wake_queue(&self, channel: &Channel, wake: &Wake) -> lapin::Result<ShortString> {
        let name = match wake {
            Wake::Events => format!("{}.executor", self.wake),
            Wake::Executions { pool } => format!("{}.worker.{pool}", self.wake),
        };
        let durable = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let arguments = bounded(
            WAKES_MAX,
            &[("x-message-ttl", WAKE_TTL_MS), ("x-expires", WAKE_QUEUE_EXPIRES_MS)],
        );
        let queue = channel
            .queue_declare(name.into(), durable, arguments)
            .await?
            .name()
            .clone();
        bind(channel, &queue, &self.wake, &wake_key(wake)).await?;
        Ok(queue)
    }

    pub(super) async fn control_queue(&self, channel: &Channel) -> lapin::Result<ShortString> {
        exclusive_queue(channel, &self.control, CONTROLS_MAX).await
    }

    pub(super) async fn feed_queue(&self, channel: &Channel) -> lapin::Result<ShortString> {
        exclusive_queue(channel, &self.events, FEEDS_MAX).await
    }
}

pub(super) fn wake_key(wake: &Wake) -> String {
    match wake {
        Wake::Events => "events".to_owned(),
        Wake::Executions { pool } => format!("executions.{pool}"),
    }
}

/// False if the wake cannot be routed: a pool's name is part of a routing key, where `*` and `#` are wildcards.
pub(super) fn is_routable(wake: &Wake) -> bool {
    match wake {
        Wake::Events => true,
        Wake::Executions { pool } => is_plain(pool, POOL_BYTES_MAX),
    }
}

fn is_plain(name: &str, bytes_max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=bytes_max).contains(&name.len()) && name.bytes().all(plain)
}

/// A queue that exists as long as this connection and receives all messages of an exchange.
async fn exclusive_queue(channel: &Channel, exchange: &str, length_max: i32) -> lapin::Result<ShortString> {
    let exclusive = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..Default::default()
    };
    let queue = channel
        .queue_declare("".into(), exclusive, bounded(length_max, &[]))
        .await?
        .name()
        .clone();
    bind(channel, &queue, exchange, "#").await?;
    Ok(queue)
}

async fn bind(channel: &Channel, queue: &ShortString, exchange: &str, key: &str) -> lapin::Result<()> {
    let (queue, exchange, key) = (queue.clone(), exchange.into(), key.into());
    channel
        .queue_bind(queue, exchange, key, QueueBindOptions::default(), FieldTable::default())
        .await
}

fn bounded(length_max: i32, more: &[(&str, i32)]) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(length_max));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    for (key, value) in more {
        arguments.insert((*key).into(), AMQPValue::LongInt(*value));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_pool_name_is_routable() {
        let check = |pool: &str, good: bool| assert_eq!(is_routable(&Wake::executions(pool)), good, "{pool:?}");
        check("default", true);
        check("gpu-2.eu_west", true);
        check("", false);
        check("#", false);
        check("a b", false);
        check("é", false);
        check(&"x".repeat(129), false);
    }
}
