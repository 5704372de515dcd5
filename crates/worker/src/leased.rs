//! One execution that this worker holds a lease on: how old its lease is, and how to stop it.

use crate::runner::{RunControl, Stop};
use attune_common::{
    store::execution_queue::{AttemptKey, Claimed},
    sync,
};
use attune_domain::definition::OnLost;
use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Why an execution is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// A user canceled it.
    Canceled,
    /// The lease has ended, or is about to.
    LeaseLost,
    /// This worker is shutting down.
    WorkerStopped,
}

/// Clones refer to the same execution.
#[derive(Debug, Clone)]
pub struct LeasedExecution(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: AttemptKey,
    /// The action must exit before its lease ends, because then another attempt, or another execution of its concurrency key,
    /// may start.
    ends_with_lease: bool,
    holds_slot: bool,
    /// When the claim or the last successful renewal was *requested*, by the clock that counts suspension.
    renewed: Mutex<Duration>,
    /// When the action must exit, for the supervisor: `limit` after the renewal.
    lease: watch::Sender<Duration>,
    limit: Duration,
    stop: Stop,
    reason: OnceLock<StopReason>,
    /// The action has exited; only its result is still to be written.
    exited: AtomicBool,
    /// The database refuses its result: the lease is left to expire.
    abandoned: AtomicBool,
}

impl LeasedExecution {
    /// `limit`: how long after its last renewal an action that must end with its lease may run.
    pub fn new(claimed: &Claimed, requested_at: Duration, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            key: AttemptKey {
                id: claimed.id,
                attempt: claimed.attempt,
            },
            ends_with_lease: claimed.on_lost == OnLost::Requeue || !claimed.slot_keys.is_empty(),
            holds_slot: !claimed.slot_keys.is_empty(),
            renewed: Mutex::new(requested_at),
            lease: watch::Sender::new(requested_at + limit),
            limit,
            stop: Stop::default(),
            reason: OnceLock::new(),
            exited: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        }))
    }

    pub fn key(&self) -> AttemptKey {
        self.0.key
    }

    pub fn stop_handle(&self) -> &Stop {
        &self.0.stop
    }

    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.reason.get().copied()
    }

    pub fn holds_slot(&self) -> bool {
        self.0.holds_slot
    }

    /// When its last successful renewal was requested.
    pub fn renewed_at(&self) -> Duration {
        *sync::lock(&self.0.renewed)
    }

    pub fn mark_renewed(&self, requested_at: Duration) {
        let mut renewed = sync::lock(&self.0.renewed);
        *renewed = requested_at.max(*renewed);
        self.0.lease.send_replace(*renewed + self.0.limit);
    }

    /// How its process is controlled: the way to stop it, and the end of its lease if it must exit before that.
    pub fn run_control(&self) -> RunControl {
        RunControl {
            stop: self.0.stop.clone(),
            lease: self.0.ends_with_lease.then(|| self.0.lease.subscribe()),
            holds_slot: self.0.holds_slot,
            sink: None,
        }
    }

    /// When it must be killed because its lease is about to end. None if it may outlive its lease.
    pub fn must_stop_at(&self) -> Option<Duration> {
        let must_stop = self.0.ends_with_lease && !self.has_exited() && !self.is_stopped_for_loss();
        must_stop.then(|| self.renewed_at() + self.0.limit)
    }

    pub fn mark_exited(&self) {
        self.0.exited.store(true, Ordering::Relaxed);
    }

    pub fn has_exited(&self) -> bool {
        self.0.exited.load(Ordering::Relaxed)
    }

    pub fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }

    pub fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::Relaxed)
    }

    fn is_stopped_for_loss(&self) -> bool {
        self.stop_reason() == Some(StopReason::LeaseLost)
    }

    /// Stops the action: with a grace period, or at once if the lease is lost, because a grace period would overlap with the
    /// next attempt.
    pub fn stop(&self, reason: StopReason) {
        if self.has_exited() {
            return;
        }
        if self.0.reason.set(reason).is_ok() {
            tracing::info!(execution_id = %self.0.key.id, attempt = self.0.key.attempt, ?reason, "stopping an execution");
        }
        match reason {
            StopReason::Canceled | StopReason::WorkerStopped => self.0.stop.terminate(),
            StopReason::LeaseLost => self.0.stop.kill(),
        }
    }

    /// Kills an action that did not exit within its grace period.
    pub fn kill(&self) {
        self.0.stop.kill();
    }
}
