//! What this worker holds, and how long it still may.
//!
//! One statement renews everything at once, three times a lease. What does not come back is no longer ours: its process
//! is killed. While the database cannot be asked, actions that must not start twice run on (nobody may start them again),
//! and those that may are stopped before their lease ends, because somebody else will start them then.

use attune_common::{
    bus::Control,
    service::Context,
    store::execution_queue::{self, Claimed},
};
use attune_domain::{ExecutionId, definition::OnLost};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Why an execution is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Canceled,
    /// It is no longer ours, or will not be in a moment.
    LeaseLost,
    /// This worker stops.
    WorkerStopped,
}

/// One execution that is held.
#[derive(Debug, Clone)]
pub struct Held {
    pub id: execution_queue::Held,
    on_lost: OnLost,
    cancel: CancellationToken,
    reason: Arc<OnceLock<StopReason>>,
}

impl Held {
    /// Canceled when the execution must be stopped.
    pub fn canceled(&self) -> CancellationToken {
        self.cancel.clone()
    }

    pub fn stop_reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    fn stop(&self, reason: StopReason) {
        if self.reason.set(reason).is_ok() {
            tracing::info!(execution_id = %self.id.id, attempt = self.id.attempt, ?reason, "stopping an execution");
        }
        self.cancel.cancel();
    }
}

#[derive(Debug, Clone)]
pub struct Leases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    term: Duration,
    held: Mutex<HashMap<ExecutionId, Held>>,
    renewed: Mutex<Instant>,
    end: CancellationToken,
}

impl Leases {
    pub fn new(context: &Context) -> Self {
        Self(Arc::new(Inner {
            term: context.config.worker.lease(),
            context: context.clone(),
            held: Mutex::default(),
            renewed: Mutex::new(Instant::now()),
            end: CancellationToken::new(),
        }))
    }

    pub fn term(&self) -> Duration {
        self.0.term
    }

    /// An execution that was just claimed.
    pub fn hold(&self, claimed: &Claimed) -> Held {
        let held = Held {
            id: execution_queue::Held {
                id: claimed.id,
                attempt: claimed.attempt,
            },
            on_lost: claimed.on_lost,
            cancel: CancellationToken::new(),
            reason: Arc::default(),
        };
        self.lock().insert(claimed.id, held.clone());
        held
    }

    /// An execution whose result was accepted or refused.
    pub fn release(&self, released: execution_queue::Held) {
        let mut held = self.lock();
        // A later attempt of the same execution may already be here again.
        if held.get(&released.id).is_some_and(|held| held.id == released) {
            held.remove(&released.id);
        }
    }

    /// Stops everything that runs, because this worker stops.
    pub fn stop_all(&self) {
        for held in self.lock().values() {
            held.stop(StopReason::WorkerStopped);
        }
    }

    /// Ends the renewals: nothing is held any more.
    pub fn end(&self) {
        self.0.end.cancel();
    }

    /// How long ago the leases were renewed.
    pub fn renewed_ago(&self) -> Duration {
        self.0.renewed.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Renews until [`Self::end`]. A cancel that comes over the bus is looked at once.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut controls = self.0.context.bus.controls();
        let every = self.0.term / 3;
        let mut next = tokio::time::Instant::now() + every;
        loop {
            tokio::select! {
                () = self.0.end.cancelled() => return Ok(()),
                () = tokio::time::sleep_until(next) => next += every,
                control = controls.recv() => match control {
                    Control::Cancel { execution_id } if self.lock().contains_key(&execution_id) => {}
                    _ => continue,
                },
            }
            self.renew().await;
            // After a pause, one renewal makes up for all that were left out.
            next = next.max(tokio::time::Instant::now());
        }
    }

    async fn renew(&self) {
        let held: Vec<Held> = self.lock().values().cloned().collect();
        if held.is_empty() {
            self.renewed_now();
            return;
        }
        let ids: Vec<execution_queue::Held> = held.iter().map(|held| held.id).collect();
        let asked = execution_queue::renew(&self.0.context.pool, self.0.context.instance, &ids, self.0.term);
        match tokio::time::timeout(self.0.term / 3, asked).await {
            Ok(Ok(renewed)) => {
                self.renewed_now();
                self.compare(&held, &renewed);
            }
            Ok(Err(error)) => self.not_renewed(&held, &error.to_string()),
            Err(_) => self.not_renewed(&held, "the database did not answer in time"),
        }
    }

    fn compare(&self, held: &[Held], renewed: &[execution_queue::Renewed]) {
        for held in held {
            let answer = renewed
                .iter()
                .find(|renewed| renewed.id == held.id.id && renewed.attempt == held.id.attempt);
            // What is missing may just have been finished by ourselves.
            let still_here = || self.lock().get(&held.id.id).is_some_and(|now| now.id == held.id);
            match answer {
                Some(renewed) if renewed.cancel_requested => held.stop(StopReason::Canceled),
                None if still_here() => held.stop(StopReason::LeaseLost),
                _ => {}
            }
        }
    }

    /// Stops what somebody else will start again soon. The margin covers the stopping itself.
    fn not_renewed(&self, held: &[Held], error: &str) {
        let ago = self.renewed_ago();
        tracing::warn!(error, seconds_ago = ago.as_secs(), "leases could not be renewed");
        if ago >= self.0.term.mul_f64(0.6) {
            held.iter()
                .filter(|held| held.on_lost == OnLost::Requeue)
                .for_each(|held| held.stop(StopReason::LeaseLost));
        }
    }

    fn renewed_now(&self) {
        *self.0.renewed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ExecutionId, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
