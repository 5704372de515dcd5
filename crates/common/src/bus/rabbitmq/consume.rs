//! The queues that this process consumes: those that have a subscriber in it, for as long as they have one.
//!
//! The tricky thing is a wake for a busy process. No subscriber there takes it, and an idle process would not get it. So a
//! wake is acknowledged when a subscriber takes it, one at a time, and is requeued for other processes if none takes it within
//! a moment. (It must not be held long anyway, because the broker closes a channel with an old unacknowledged message.)

use super::topology::Topology;
use crate::bus::{
    count::{self, Kind},
    hub::{Hub, Slot},
    message::{self, Control, Feed, Wake},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use lapin::{
    Channel, Connection, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long a wake waits for a local subscriber before it is requeued.
const HOLD: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Wake(Wake),
    Controls,
    Feeds,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, anyhow::Result<()>>>;

/// Consumes until the connection breaks. `ready` is called once all initial subscriptions are being consumed.
pub(super) async fn consume(
    connection: &Connection,
    topology: &Topology,
    hub: &Hub,
    ready: impl FnOnce(),
) -> anyhow::Result<()> {
    let mut ready = Some(ready);
    let mut running = Running::new();
    let mut stops = HashMap::new();
    loop {
        let mut sources = subscribed(hub);
        stops.retain(|source, _| sources.contains_key(source));
        sources.retain(|source, _| !stops.contains_key(source));
        for (source, slot) in sources {
            let stop = CancellationToken::new();
            let reading = read(connection, topology, hub, &source, slot, stop.clone()).await?;
            running.push(reading);
            stops.insert(source, stop.drop_guard());
        }
        if let Some(ready) = ready.take() {
            ready();
        }
        tokio::select! {
            () = hub.interest_changed() => {}
            Some(ended) = running.next() => ended?,
        }
    }
}

fn subscribed(hub: &Hub) -> HashMap<Source, Option<Arc<Slot>>> {
    let wakes = hub
        .subscribed_wakes()
        .into_iter()
        .map(|(wake, slot)| (Source::Wake(wake), Some(slot)));
    let controls = hub.has_control_subscribers().then_some((Source::Controls, None));
    let feeds = hub.has_feed_subscribers().then_some((Source::Feeds, None));
    wakes.chain(controls).chain(feeds).collect()
}

/// Starts to consume one source. The returned future delivers its messages until it is stopped.
async fn read<'a>(
    connection: &Connection,
    topology: &Topology,
    hub: &'a Hub,
    source: &Source,
    slot: Option<Arc<Slot>>,
    stop: CancellationToken,
) -> anyhow::Result<BoxFuture<'a, anyhow::Result<()>>> {
    let channel = connection.create_channel().await?;
    let (queue, no_ack) = match source {
        Source::Wake(wake) => (topology.wake_queue(&channel, wake).await?, false),
        Source::Controls => (topology.control_queue(&channel).await?, true),
        Source::Feeds => (topology.feed_queue(&channel).await?, true),
    };
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions {
        no_ack,
        ..Default::default()
    };
    let consumer = channel
        .basic_consume(queue, "".into(), options, FieldTable::default())
        .await?;
    if let Some(slot) = &slot {
        // A wake may have been published before the queue existed.
        slot.wake.notify_one();
    }
    let reader = match (source, slot) {
        (Source::Feeds, _) => Reader::Feeds(hub),
        (Source::Wake(_), Some(slot)) => Reader::Wake(slot),
        _ => Reader::Controls(hub),
    };
    Ok(reader.run(channel, consumer, stop).boxed())
}

/// The destination of a queue's messages.
enum Reader<'a> {
    Wake(Arc<Slot>),
    Controls(&'a Hub),
    Feeds(&'a Hub),
}

impl Reader<'_> {
    async fn run(self, channel: Channel, mut consumer: Consumer, stop: CancellationToken) -> anyhow::Result<()> {
        let reading = async {
            while let Some(delivery) = consumer.next().await {
                self.deliver(delivery?).await?;
            }
            anyhow::bail!("the broker canceled a consumer")
        };
        tokio::select! {
            ended = reading => ended,
            () = stop.cancelled() => {
                // This requeues an unacknowledged wake.
                channel.close(200, "no subscriber".into()).await?;
                Ok(())
            }
        }
    }

    async fn deliver(&self, delivery: Delivery) -> lapin::Result<()> {
        match self {
            Self::Wake(slot) => deliver_wake(slot, delivery).await?,
            Self::Controls(hub) => deliver_control(hub, &delivery),
            Self::Feeds(hub) => deliver_feed(hub, &delivery),
        }
        Ok(())
    }
}

async fn deliver_wake(slot: &Slot, delivery: Delivery) -> lapin::Result<()> {
    if message::decode::<Wake>(&delivery.data).is_none() {
        count::message(Kind::Wake, "invalid");
        delivery.ack(BasicAckOptions::default()).await?;
        return Ok(());
    }
    // An earlier wake from within this process may have left a notification.
    let _ = slot.taken.notified().now_or_never();
    slot.wake.notify_one();
    tokio::select! {
        biased;
        () = slot.taken.notified() => {
            count::message(Kind::Wake, "received");
            delivery.ack(BasicAckOptions::default()).await?;
        }
        () = tokio::time::sleep(HOLD) => {
            count::message(Kind::Wake, "passed_on");
            delivery.nack(BasicNackOptions { requeue: true, ..Default::default() }).await?;
        }
    }
    Ok(())
}

fn deliver_control(hub: &Hub, delivery: &Delivery) {
    match message::decode::<Control>(&delivery.data) {
        Some(control) => {
            hub.control(control);
            count::message(Kind::Control, "received");
        }
        None => count::message(Kind::Control, "invalid"),
    }
}

fn deliver_feed(hub: &Hub, delivery: &Delivery) {
    match message::decode::<Feed>(&delivery.data) {
        Some(feed) => {
            hub.feed(feed);
            count::message(Kind::Feed, "received");
        }
        None => count::message(Kind::Feed, "invalid"),
    }
}
