//! The bus of services that run apart. One task owns the connection and everything on it; when anything breaks, it
//! throws all away, waits a moment and builds all again. Subscriptions belong to the [`Hub`], not to a connection, so
//! nobody who waits notices, except that everybody is woken once after each new connection.
//!
//! lapin can recover connections by itself. That is not used: a recovery that gives up, or a confirm that never comes,
//! would be further states to know about, and building all again from nothing has one.
//!
//! A broker that is absent, at the start or later, makes the bus `down` and everybody poll. It is no error.

mod backoff;
mod consume;
mod endpoint;
mod outbox;
mod topology;

pub use endpoint::InvalidRabbitmqConfig;

use super::{Bus, BusHealth, Control, Controls, Feed, FeedFilter, Feeds, Wake, Wakes, count, hub::Hub};
use backoff::Backoff;
use endpoint::Endpoint;
use outbox::{Outbox, Outgoing, Pending};
use secrecy::SecretString;
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use topology::Topology;

/// What a process that stops may still say, and how long it takes to say goodbye.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(400);
const CLOSE_TIMEOUT: Duration = Duration::from_millis(300);

/// Declaring exchanges takes milliseconds; a broker that takes longer is frozen.
const DECLARE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the broker is and how this process is called there.
#[derive(Debug, Clone)]
pub struct RabbitmqConfig {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…` for an encrypted connection.
    pub url: SecretString,
    /// An authority that `amqps` trusts besides those of the system, in PEM.
    pub ca_pem: Option<String>,
    /// The first part of the name of every exchange and queue: installations that share a virtual host differ here.
    pub namespace: String,
    /// What the broker's tools show for this process.
    pub connection_name: String,
}

impl RabbitmqConfig {
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            ca_pem: None,
            namespace: "attune".to_owned(),
            connection_name: "attune".to_owned(),
        }
    }
}

/// Connects services that run apart.
#[derive(Debug)]
pub struct RabbitmqBus {
    shared: Arc<Shared>,
    outbox: Outbox,
}

/// What the ends of the bus and the task that keeps the connection both know.
#[derive(Debug)]
struct Shared {
    hub: Hub,
    health: RwLock<BusHealth>,
}

impl RabbitmqBus {
    /// Returns at once; the connection is made, and made again, in a task of `tracker` until `stop` is canceled. Then
    /// the task says what is still to be said and ends within a second. So `stop` should come after the services.
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
        *self.shared.health.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn set_up(&self, up: bool) {
        let mut health = self.health.write().unwrap_or_else(PoisonError::into_inner);
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

/// Keeps the connection.
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
            let health = *self.shared.health.read().unwrap_or_else(PoisonError::into_inner);
            self.shared.set_up(false);
            let Err(error) = ended else { return };
            let reason = error.to_string();
            // Once for each reason, not once for each attempt.
            if health.up || reason != last_reason {
                tracing::warn!(broker = %self.endpoint, error = reason, "no connection to the broker: polling goes on");
            }
            last_reason = reason;
            tokio::select! {
                () = tokio::time::sleep(backoff.next(health.up.then_some(health.since))) => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// One connection, from its making to its end: an error when it broke, nothing when the process stops.
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
        // What cannot be said in time is not said: they were hints.
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
