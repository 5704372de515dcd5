//! The queues that this process reads: exactly those that somebody in it waits for, from the moment they do.
//!
//! The tricky thing is a wake for a process that is busy. Nobody there takes it, and an idle process would not hear of
//! it. So a wake is acknowledged when a waiter takes it, one at a time, and goes back to the queue for the others when
//! nobody takes it for a moment. (It also must not be held long: the broker closes a channel that does.)

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

/// How long a wake waits for somebody here before the others may have it.
const HOLD: Duration = Duration::from_millis(250);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Source {
    Wake(Wake),
    Controls,
    Feeds,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, anyhow::Result<()>>>;

/// Reads until the connection breaks. `ready` is called once everything that was wanted at first is being read.
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
        let mut wanted = wanted(hub);
        stops.retain(|source, _| wanted.contains_key(source));
        wanted.retain(|source, _| !stops.contains_key(source));
        for (source, slot) in wanted {
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

fn wanted(hub: &Hub) -> HashMap<Source, Option<Arc<Slot>>> {
    let wakes = hub
        .wanted_wakes()
        .into_iter()
        .map(|(wake, slot)| (Source::Wake(wake), Some(slot)));
    let controls = hub.wants_controls().then_some((Source::Controls, None));
    let feeds = hub.wants_feeds().then_some((Source::Feeds, None));
    wakes.chain(controls).chain(feeds).collect()
}

/// Begins to read one source; the future that is returned goes on with it until it is stopped.
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
        // Whatever was said before the queue was there.
        slot.wake.notify_one();
    }
    let reader = match (source, slot) {
        (Source::Feeds, _) => Reader::Feeds(hub),
        (Source::Wake(_), Some(slot)) => Reader::Wake(slot),
        _ => Reader::Controls(hub),
    };
    Ok(reader.run(channel, consumer, stop).boxed())
}

/// To whom the messages of a queue go.
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
            anyhow::bail!("the broker ended a subscription")
        };
        tokio::select! {
            ended = reading => ended,
            () = stop.cancelled() => {
                // A wake that is held goes back to the queue with this.
                channel.close(200, "nobody waits any more".into()).await?;
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
    // An earlier wake, from within this process, may have left its mark.
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
