//! The bus of services in separate processes. One task owns the connection; when anything fails, it discards everything, waits,
//! and reconnects. Subscriptions belong to the [`Hub`] and not to a connection, so subscribers do not notice, except that all
//! are woken once after each new connection.
//!
//! lapin's own recovery of connections is not used: a failed recovery or a missing confirm would be additional states, and
//! reconnecting from scratch has none.
//!
//! If the broker is unavailable, at the start or later, the bus is `down` and subscribers poll. That is not an error.

mod backoff;
mod consume;
mod endpoint;
mod outbox;
mod topology;

pub use endpoint::{InvalidRabbitmqConfig, RabbitmqConfig};

use super::{
    count,
    hub::{Controls, Feeds, Hub, Wakes},
    interface::{Bus, BusHealth},
    message::{Control, Feed, FeedFilter, Wake},
};
use crate::sync;
use backoff::Backoff;
use endpoint::Endpoint;
use outbox::{Outbox, Outgoing, Pending};
use std::{
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use topology::Topology;

/// How long a process that shuts down sends remaining messages, and how long closing may take.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(400);
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Declaring exchanges takes milliseconds. A broker that takes this long is frozen.
const DECLARE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects services in separate processes.
#[derive(Debug)]
pub struct RabbitmqBus {
    shared: Arc<Shared>,
    outbox: Outbox,
}

/// Shared by the ends of the bus and the task that owns the connection.
#[derive(Debug)]
struct Shared {
    hub: Hub,
    health: RwLock<BusHealth>,
}

impl RabbitmqBus {
    /// Returns at once. A task of `tracker` connects and reconnects until `stop` is cancelled; then it sends the remaining
    /// messages and ends within a second. So cancel `stop` after the services have ended.
    pub fn start(
        config: &RabbitmqConfig,
        tracker: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, InvalidRabbitmqConfig> {
        let health = BusHealth {
            kind: "rabbitmq",
            up: false,
            since: Instant::now(),
        };
        let shared = Arc::new(Shared {
            hub: Hub::new(),
            health: RwLock::new(health),
        });
        let (outbox, pending) = outbox::channel();
        let keeper = Keeper {
            endpoint: Endpoint::new(config)?,
            topology: Topology::new(&config.namespace)?,
            shared: Arc::clone(&shared),
            stop,
        };
        count::up(false);
        tracker.spawn(keeper.run(pending));
        Ok(Self { shared, outbox })
    }
}

impl Bus for RabbitmqBus {
    fn wake(&self, wake: Wake) {
        self.outbox.put(Outgoing::Wake(wake), self.health().up);
    }

    fn control(&self, control: Control) {
        self.outbox.put(Outgoing::Control(control), self.health().up);
    }

    fn feed(&self, feed: Feed) {
        self.outbox.put(Outgoing::Feed(Box::new(feed)), self.health().up);
    }

    fn wakes(&self, of: Wake) -> Wakes {
        self.shared.hub.wakes(of)
    }

    fn controls(&self) -> Controls {
        self.shared.hub.controls()
    }

    fn feeds(&self, filter: FeedFilter) -> Feeds {
        self.shared.hub.feeds(filter)
    }

    fn health(&self) -> BusHealth {
        *sync::read(&self.shared.health)
    }
}

impl Shared {
    fn set_up(&self, up: bool) {
        let mut health = sync::write(&self.health);
        if health.up != up {
            *health = BusHealth {
                up,
                since: Instant::now(),
                ..*health
            };
        }
        drop(health);
        count::up(up);
    }
}

/// Owns the connection.
struct Keeper {
    endpoint: Endpoint,
    topology: Topology,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Keeper {
    async fn run(self, mut pending: Pending) {
        let mut backoff = Backoff::default();
        let mut last_reason = String::new();
        while !self.stop.is_cancelled() {
            let ended = self.session(&mut pending).await;
            let health = *sync::read(&self.shared.health);
            self.shared.set_up(false);
            let Err(error) = ended else { return };
            let reason = error.to_string();
            // Logged once for each reason, not for each attempt.
            if health.up || reason != last_reason {
                tracing::warn!(broker = %self.endpoint, error = reason, "failed to connect to the broker; services find work by polling");
            }
            last_reason = reason;
            tokio::select! {
                () = tokio::time::sleep(backoff.next(health.up.then_some(health.since))) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// One connection. An error if it broke, Ok if the process stops.
    async fn session(&self, pending: &mut Pending) -> anyhow::Result<()> {
        let opened = tokio::select! {
            opened = self.endpoint.open() => opened,
            () = self.stop.cancelled() => return Ok(()),
        };
        let link = opened?;
        let channel = timeout(DECLARE_TIMEOUT, async {
            let channel = link.connection.create_channel().await?;
            self.topology.declare(&channel).await.map(|()| channel)
        });
        let channel = channel.await??;
        // Messages that cannot be sent in time are dropped: they are only hints.
        let overdue = async {
            self.stop.cancelled().await;
            tokio::time::sleep(FLUSH_TIMEOUT).await;
        };
        tokio::select! {
            ended = pending.publish(&channel, &self.topology, &self.stop) => ended?,
            ended = consume::consume(&link.connection, &self.topology, &self.shared.hub, || self.ready()) => ended?,
            error = link.lost() => return Err(error),
            () = overdue => {}
        }
        let _ = timeout(CLOSE_TIMEOUT, link.close()).await;
        Ok(())
    }

    fn ready(&self) {
        tracing::info!(broker = %self.endpoint, "connected to the broker");
        self.shared.set_up(true);
        self.shared.hub.wake_all();
    }
}
