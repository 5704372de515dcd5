//! One execution that this worker holds: when its lease was good for sure, and how it is stopped.

use crate::runner::{Stop, Ties};
use attune_common::store::execution_queue::{self, Claimed};
use attune_domain::definition::OnLost;
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

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

/// Clones are the same execution.
#[derive(Debug, Clone)]
pub struct LeasedExecution(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: execution_queue::AttemptKey,
    /// It must be over before its lease ends: another attempt of it, or another execution of its concurrency key, may start then.
    ends_with_lease: bool,
    holds_slot: bool,
    /// When the claim or the last renewal that went well was *asked for*, by the clock that counts suspension.
    renewed: Mutex<Duration>,
    /// When it must be over, for the supervisor; it was `limit` after the renewal.
    lease: watch::Sender<Duration>,
    limit: Duration,
    stop: Stop,
    reason: OnceLock<StopReason>,
    /// Its process is over; only its result has to be delivered.
    over: AtomicBool,
    /// The database takes nothing from us for it: its lease is left to run out.
    abandoned: AtomicBool,
}

impl LeasedExecution {
    /// `limit`: how long after its last renewal an action that has to end with its lease may run.
    pub fn new(claimed: &Claimed, asked: Duration, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            id: execution_queue::AttemptKey {
                id: claimed.id,
                attempt: claimed.attempt,
            },
            ends_with_lease: claimed.on_lost == OnLost::Requeue || !claimed.slot_keys.is_empty(),
            holds_slot: !claimed.slot_keys.is_empty(),
            renewed: Mutex::new(asked),
            lease: watch::Sender::new(asked + limit),
            limit,
            stop: Stop::default(),
            reason: OnceLock::new(),
            over: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
        }))
    }

    pub fn id(&self) -> execution_queue::AttemptKey {
        self.0.id
    }

    pub fn stopping(&self) -> &Stop {
        &self.0.stop
    }

    pub fn stop_reason(&self) -> Option<StopReason> {
        self.0.reason.get().copied()
    }

    pub fn holds_slot(&self) -> bool {
        self.0.holds_slot
    }

    /// When its last renewal that succeeded was asked for.
    pub fn renewed_at(&self) -> Duration {
        *self.0.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn renewed(&self, asked: Duration) {
        let mut renewed = self.0.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        *renewed = asked.max(*renewed);
        self.0.lease.send_replace(*renewed + self.0.limit);
    }

    /// What binds its process: the way to stop it, and the end of its lease, if it has to end with it.
    pub fn ties(&self) -> Ties {
        Ties {
            stop: self.0.stop.clone(),
            lease: self.0.ends_with_lease.then(|| self.0.lease.subscribe()),
            tap: None,
        }
    }

    /// When it must be killed because its lease ends soon; never, if it may outlive its lease.
    pub fn ends_at(&self) -> Option<Duration> {
        let ends = self.0.ends_with_lease && !self.is_over() && !self.is_stopped_for_loss();
        ends.then(|| self.renewed_at() + self.0.limit)
    }

    pub fn over(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }

    pub fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::Relaxed);
    }

    pub fn is_abandoned(&self) -> bool {
        self.0.abandoned.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    fn is_stopped_for_loss(&self) -> bool {
        self.stop_reason() == Some(StopReason::LeaseLost)
    }

    /// Only somebody who asked to cancel waits for the action to tidy up; else a grace would be taken from another.
    pub fn stop(&self, reason: StopReason) {
        if self.is_over() {
            return;
        }
        if self.0.reason.set(reason).is_ok() {
            tracing::info!(execution_id = %self.0.id.id, attempt = self.0.id.attempt, ?reason, "stopping an execution");
        }
        match reason {
            StopReason::Canceled | StopReason::WorkerStopped => self.0.stop.softly(),
            StopReason::LeaseLost => self.0.stop.at_once(),
        }
    }

    /// What was asked to stop and did not is killed.
    pub fn kill(&self) {
        self.0.stop.at_once();
    }
}
