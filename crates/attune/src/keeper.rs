//! Keeps the private PostgreSQL of `attune up` running: restarts a server that ends unexpectedly.
//!
//! The services experience a short outage. A server that fails repeatedly is not restarted any more, so that an
//! operator sees the cause. After a stable period the count of failures starts over.

use attune_common::{
    health::Status,
    postgres::{Error, Postgres},
    service::Context,
};
use serde_json::json;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A server that stays up this long has recovered.
const STABLE: Duration = Duration::from_secs(10);
/// The maximum of failures without a stable server in between: two minutes of retries.
const FAILURES_MAX: u32 = 20;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Health expects a report once a second.
const REPORT_PERIOD: Duration = Duration::from_secs(1);

/// Whether the server runs.
#[derive(Debug, Clone)]
enum State {
    Up,
    Down { since: Instant, why: String },
    Failed(String),
}

#[derive(Debug, Clone)]
struct Report {
    state: State,
    restarts: u64,
}

/// A private PostgreSQL that is restarted when it ends.
#[derive(Debug)]
pub struct Keeper {
    url: String,
    shown_url: String,
    status: watch::Receiver<Report>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Keeper {
    pub fn start(postgres: Postgres) -> Self {
        let (url, shown_url) = (postgres.url(), postgres.shown_url());
        let up = Report {
            state: State::Up,
            restarts: 0,
        };
        let (sender, status) = watch::channel(up);
        let stop = CancellationToken::new();
        // It outlives the services, which need the database until they have stopped.
        let task = TaskTracker::new().spawn(keep(postgres, sender, stop.clone()));
        Self {
            url,
            shown_url,
            status,
            stop,
            task,
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same for people and `psql`, with the file of the password in place of the password.
    pub fn shown_url(&self) -> &str {
        &self.shown_url
    }

    /// How often it was restarted. A different value than before means that it ended meanwhile.
    pub fn restarts(&self) -> u64 {
        self.status.borrow().restarts
    }

    pub fn is_up(&self) -> bool {
        matches!(self.status.borrow().state, State::Up)
    }

    /// Waits until the server is up. An error: it failed for good.
    pub async fn up(&self) -> anyhow::Result<()> {
        let mut status = self.status.clone();
        let ended = status
            .wait_for(|status| !matches!(status.state, State::Down { .. }))
            .await;
        match ended.map(|status| status.state.clone()) {
            Ok(State::Up | State::Down { .. }) => Ok(()),
            Ok(State::Failed(why)) => Err(anyhow::Error::msg(why)),
            Err(_) => Err(anyhow::anyhow!("PostgreSQL is not supervised any more")),
        }
    }

    /// Waits until the server has failed for good, and returns the reason.
    pub async fn failed(&self) -> String {
        let mut status = self.status.clone();
        let failed = status.wait_for(|status| matches!(status.state, State::Failed(_))).await;
        match failed.map(|status| status.state.clone()) {
            Ok(State::Failed(why)) => why,
            Ok(_) | Err(_) => std::future::pending().await,
        }
    }

    /// Reports to health until the process stops.
    pub fn report(&self, context: Context) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let mut status = self.status.clone();
        async move {
            let reports = async {
                loop {
                    let (health, detail) = describe(&status.borrow_and_update());
                    context.health.report("postgres", health, detail);
                    let _ = tokio::time::timeout(REPORT_PERIOD, status.changed()).await;
                }
            };
            context.stopping().run_until_cancelled(reports).await;
            Ok(())
        }
    }

    /// Stops the server, and returns when it is gone.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that supervises PostgreSQL failed");
        }
    }
}

fn describe(status: &Report) -> (Status, serde_json::Value) {
    let restarts = status.restarts;
    match &status.state {
        State::Up => (Status::Ok, json!({"up": true, "restarts": restarts})),
        State::Down { since, why } => {
            let seconds = since.elapsed().as_secs();
            let error = format!("PostgreSQL ended and is being restarted: {why}");
            let detail = json!({"up": false, "restarts": restarts, "down_seconds": seconds, "error": error});
            (Status::Failing, detail)
        }
        State::Failed(why) => (
            Status::Failing,
            json!({"up": false, "restarts": restarts, "error": why}),
        ),
    }
}

/// Restarts the server until it is stopped or fails for good.
async fn keep(mut postgres: Postgres, status: watch::Sender<Report>, stop: CancellationToken) {
    let mut failures = Failures::default();
    loop {
        let up_since = Instant::now();
        let why = tokio::select! {
            () = stop.cancelled() => break,
            why = postgres.ended() => why,
        };
        tracing::error!(%why, "PostgreSQL ended unexpectedly; restarting it");
        if up_since.elapsed() >= STABLE {
            failures = Failures::default();
        }
        let restarted = tokio::select! {
            () = stop.cancelled() => break,
            restarted = bring_back(&mut postgres, &mut failures, &status, why) => restarted,
        };
        if let Err(why) = restarted {
            tracing::error!(%why, "PostgreSQL failed repeatedly; not restarting it any more");
            status.send_modify(|status| status.state = State::Failed(why));
            break;
        }
    }
    postgres.stop().await;
}

/// Restarts the server until it responds. The error is the reason why it failed for good.
async fn bring_back(
    postgres: &mut Postgres,
    failures: &mut Failures,
    status: &watch::Sender<Report>,
    mut why: String,
) -> Result<(), String> {
    let since = Instant::now();
    loop {
        let down = State::Down {
            since,
            why: why.clone(),
        };
        status.send_modify(|status| status.state = down);
        let Some(pause) = failures.next_pause() else {
            return Err(failure(&why, failures.count, postgres.log()));
        };
        tokio::time::sleep(pause).await;
        match postgres.restart().await {
            Ok(()) => {
                let seconds = since.elapsed().as_secs_f64();
                tracing::info!(seconds, "PostgreSQL is back");
                status.send_modify(|status| {
                    status.state = State::Up;
                    status.restarts += 1;
                });
                return Ok(());
            }
            Err(error @ Error::Damaged { .. }) => return Err(error.to_string()),
            Err(error) => {
                tracing::warn!(%error, "failed to start PostgreSQL; retrying");
                why = error.to_string();
            }
        }
    }
}

fn failure(why: &str, failures: u32, log: &Path) -> String {
    format!(
        "PostgreSQL failed {failures} times in a row and is not restarted any more: {why}. Its log is {}. Start `attune up` \
         again when the cause is fixed; it continues from here",
        log.display()
    )
}

/// Failures since the server was stable.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
}

impl Failures {
    /// The pause before the next start: none after the first failure, then doubled after each one. None when there were too
    /// many failures.
    fn next_pause(&mut self) -> Option<Duration> {
        self.count += 1;
        let doubled = |times: u32| PAUSE_MIN.saturating_mul(2_u32.saturating_pow(times)).min(PAUSE_MAX);
        (self.count <= FAILURES_MAX).then(|| self.count.checked_sub(2).map_or(Duration::ZERO, doubled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut failures = Failures::default();
        let pauses: Vec<Duration> = std::iter::from_fn(|| failures.next_pause()).collect();
        let millis: Vec<u128> = pauses.iter().take(9).map(Duration::as_millis).collect();
        assert_eq!(millis, [0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000]);
        assert_eq!(pauses.len(), FAILURES_MAX as usize);
        assert!(pauses.iter().sum::<Duration>() < Duration::from_secs(150));
    }
}
