//! The bus: one contract for both implementations, and the failures of a broker.

mod broker;
mod contract;

use attune_common::bus::{Bus, RabbitmqBus, RabbitmqConfig, Wakes};
use futures_util::FutureExt;
use secrecy::SecretString;
use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Far longer than any step here takes.
const SOON: Duration = Duration::from_secs(10);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("this happens soon")
}

async fn until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < deadline, "not within {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Takes all pending wakes, and returns their number.
fn drain(wakes: &Wakes) -> usize {
    std::iter::from_fn(|| wakes.recv().now_or_never()).count()
}

/// One process of an installation: its end of the bus and the task that owns it.
struct Process {
    bus: Arc<RabbitmqBus>,
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Process {
    /// Connects later: everything before the first `await` happens first.
    fn start(url: &SecretString, namespace: &str) -> Self {
        let config = RabbitmqConfig {
            namespace: namespace.to_owned(),
            ..RabbitmqConfig::new(url.clone())
        };
        Self::with(&config)
    }

    fn with(config: &RabbitmqConfig) -> Self {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let bus = RabbitmqBus::start(config, &tracker, stop.clone()).expect("a good address");
        Self {
            bus: Arc::new(bus),
            tracker,
            stop,
        }
    }

    async fn up(&self) {
        until("the bus is up", SOON, || self.bus.health().up).await;
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tracker.close();
        let began = Instant::now();
        soon(self.tracker.wait()).await;
        assert!(
            began.elapsed() < Duration::from_millis(1_500),
            "stopping took {:?}",
            began.elapsed()
        );
    }
}
