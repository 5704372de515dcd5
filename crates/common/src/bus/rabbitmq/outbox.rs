//! The bounded channel between publishers and the broker. Publishers never wait: messages that do not fit are dropped and
//! counted. Hints have a separate channel, so that a busy feed cannot crowd them out.

use super::topology::{self, Topology};
use crate::{
    bus::{
        count::{self, Kind},
        message::{self, Control, Feed, Wake},
    },
    failpoint,
};
use futures_util::future::try_join_all;
use lapin::{BasicProperties, Channel, options::BasicPublishOptions};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const HINTS_MAX: usize = 1_024;
const FEEDS_MAX: usize = 4_096;
/// The broker's limit for a routing key.
const KEY_BYTES_MAX: usize = 255;
/// The most messages published together.
const BATCH_MAX: usize = 256;

#[derive(Debug, PartialEq)]
pub(super) enum Outgoing {
    Wake(Wake),
    Control(Control),
    Feed(Box<Feed>),
}

impl Outgoing {
    fn kind(&self) -> Kind {
        match self {
            Self::Wake(_) => Kind::Wake,
            Self::Control(_) => Kind::Control,
            Self::Feed(_) => Kind::Feed,
        }
    }

    fn body(&self) -> Option<Vec<u8>> {
        match self {
            Self::Wake(wake) if !topology::is_routable(wake) => None,
            Self::Wake(wake) => message::encode(wake),
            Self::Control(control) => message::encode(control),
            Self::Feed(feed) if feed.kind.as_str().len() > KEY_BYTES_MAX => None,
            Self::Feed(feed) => message::encode(feed),
        }
    }
}

/// The publishers' end.
#[derive(Debug)]
pub(super) struct Outbox {
    hints: mpsc::Sender<Outgoing>,
    feeds: mpsc::Sender<Outgoing>,
}

/// The broker's end. It outlives connections.
pub(super) struct Pending {
    hints: mpsc::Receiver<Outgoing>,
    feeds: mpsc::Receiver<Outgoing>,
    batch: Vec<Outgoing>,
}

pub(super) fn channel() -> (Outbox, Pending) {
    let (hints, pending_hints) = mpsc::channel(HINTS_MAX);
    let (feeds, pending_feeds) = mpsc::channel(FEEDS_MAX);
    let pending = Pending {
        hints: pending_hints,
        feeds: pending_feeds,
        batch: Vec::with_capacity(BATCH_MAX),
    };
    (Outbox { hints, feeds }, pending)
}

impl Outbox {
    /// Queues the message for the broker, or drops and counts it.
    pub(super) fn put(&self, message: Outgoing, up: bool) {
        let kind = message.kind();
        let channel = if matches!(kind, Kind::Feed) {
            &self.feeds
        } else {
            &self.hints
        };
        if !up {
            count::message(kind, "down");
        } else if channel.try_send(message).is_err() {
            count::message(kind, "full");
        }
    }
}

impl Pending {
    /// Publishes until the connection breaks, or until `stop`; messages that are queued by then are still published. A broker
    /// that does not read blocks this function, and the channels fill up.
    ///
    /// It must not be dropped in the middle of a message: lapin would send the close frame before it.
    pub(super) async fn publish(
        &mut self,
        channel: &Channel,
        topology: &Topology,
        stop: &CancellationToken,
    ) -> lapin::Result<()> {
        loop {
            tokio::select! {
                biased;
                Some(hint) = self.hints.recv() => self.batch.push(hint),
                Some(feed) = self.feeds.recv() => self.batch.push(feed),
                () = stop.cancelled() => return Ok(()),
            }
            self.fill_batch();
            let messages = coalesce(&mut self.batch);
            failpoint::hit("bus.publish").await;
            try_join_all(messages.iter().map(|message| publish(channel, topology, message))).await?;
        }
    }

    /// Takes queued messages, hints first.
    fn fill_batch(&mut self) {
        while self.batch.len() < BATCH_MAX
            && let Ok(message) = self.hints.try_recv().or_else(|_| self.feeds.try_recv())
        {
            self.batch.push(message);
        }
    }
}

/// Drops duplicate hints.
fn coalesce(batch: &mut Vec<Outgoing>) -> Vec<Outgoing> {
    let mut coalesced: Vec<Outgoing> = Vec::with_capacity(batch.len());
    for message in batch.drain(..) {
        if !matches!(message, Outgoing::Feed(_)) && coalesced.contains(&message) {
            count::message(message.kind(), "coalesced");
        } else {
            coalesced.push(message);
        }
    }
    coalesced
}

async fn publish(channel: &Channel, topology: &Topology, message: &Outgoing) -> lapin::Result<()> {
    let Some(body) = message.body() else {
        count::message(message.kind(), "invalid");
        return Ok(());
    };
    let (exchange, key) = match message {
        Outgoing::Wake(wake) => (&topology.wake, topology::wake_key(wake)),
        Outgoing::Control(_) => (&topology.control, String::new()),
        Outgoing::Feed(feed) => (&topology.events, feed.kind.to_string()),
    };
    let transient = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(1);
    let options = BasicPublishOptions::default();
    // Without a confirm: polling makes up for a lost message anyway.
    channel
        .basic_publish(exchange.as_str().into(), key.into(), options, &body, transient)
        .await?;
    count::message(message.kind(), "sent");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hints_are_coalesced_and_feed_messages_are_not() {
        let feed = || Outgoing::Feed(Box::new(Feed::new(message::FeedKind::event_created())));
        let mut batch = vec![
            Outgoing::Wake(Wake::Events),
            feed(),
            Outgoing::Wake(Wake::executions("default")),
            Outgoing::Wake(Wake::Events),
            feed(),
        ];
        let coalesced = coalesce(&mut batch);
        assert_eq!(
            coalesced,
            [
                Outgoing::Wake(Wake::Events),
                feed(),
                Outgoing::Wake(Wake::executions("default")),
                feed()
            ]
        );
    }
}
