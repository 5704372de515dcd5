//! The free slots that a worker offers to joint commits, and the way back: what is claimed is handed over to be started.

use crate::{
    clock,
    store::{
        decision::{Decision, NewEnforcement},
        execution_queue::Claimed,
        joint::Claimant,
    },
};
use attune_domain::{EventId, ExecutionId};
use std::{
    collections::HashSet,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{OwnedRwLockReadGuard, OwnedSemaphorePermit, RwLock, Semaphore, mpsc, watch};
use uuid::Uuid;

/// What a worker receives after a joint commit.
#[derive(Debug)]
pub enum Handover {
    /// Committed claims, to be started at once.
    Claimed {
        executions: Vec<(Claimed, OwnedSemaphorePermit)>,
        definitions_version: i64,
        /// The instant before the commit, by the clock that counts suspension.
        requested_at: Duration,
        /// To be dropped when the worker has taken note of all of them.
        in_flight: OwnedRwLockReadGuard<()>,
    },
    /// The answer of a commit was lost: it may have claimed executions for this worker.
    Lost,
}

/// The slots of one worker.
#[derive(Debug, Clone)]
pub struct Slots {
    pub worker: Uuid,
    /// The pool whose executions it runs.
    pub pool: String,
    pub lease: Duration,
    pub free: Arc<Semaphore>,
    /// Whether the worker can renew its leases; it claims nothing otherwise.
    pub renewable: watch::Receiver<bool>,
    /// Whether its last claim found fewer executions than it had free slots. What waits in the queue comes first.
    pub drained: Arc<AtomicBool>,
    /// Read-locked while a claim is in flight, so that the worker does not search for lost claims at the same time.
    pub in_flight: Arc<RwLock<()>>,
    pub handover: mpsc::UnboundedSender<Handover>,
}

impl Slots {
    /// Reserves a free slot for each execution that this worker may run, and marks these executions as claimed.
    pub(super) fn reserve(&self, decisions: &mut [Decision], definitions_version: i64) -> Option<Reservation> {
        if !self.drained.load(Ordering::Relaxed) || !*self.renewable.borrow() {
            return None;
        }
        let in_flight = Arc::clone(&self.in_flight).try_read_owned().ok()?;
        let mut executions = Vec::new();
        for decision in decisions {
            let event_id = decision.event_id;
            for enforcement in &mut decision.enforcements {
                if let Some(claimed) = claimed(enforcement, event_id, &self.pool)
                    && let Ok(permit) = Arc::clone(&self.free).try_acquire_owned()
                    && let Some(execution) = &mut enforcement.execution
                {
                    execution.claimed = true;
                    executions.push((claimed, permit));
                }
            }
        }
        (!executions.is_empty()).then(|| Reservation {
            slots: self.clone(),
            requested_at: clock::since_boot(),
            definitions_version,
            executions,
            in_flight: Some(in_flight),
        })
    }
}

/// The first attempt of an execution of this pool.
fn claimed(enforcement: &NewEnforcement, event_id: EventId, pool: &str) -> Option<Claimed> {
    let execution = enforcement
        .execution
        .as_ref()
        .filter(|execution| execution.pool == pool)?;
    Some(Claimed {
        id: execution.id,
        attempt: 1,
        action_ref: execution.action_ref.clone(),
        rule_ref: Some(enforcement.rule_ref.clone()),
        event_id: Some(event_id),
        parameters: enforcement.parameters.clone().unwrap_or_default(),
        trace_id: execution.trace_id,
        timeout_seconds: execution.timeout_seconds,
        attempts_max: execution.attempts_max,
        retry: execution.retry.clone(),
        on_lost: execution.on_lost,
        slot_keys: Vec::new(),
        pack_hash: execution.pack_hash.clone(),
        waited_seconds: 0.0,
    })
}

/// Slots that are taken for a commit. Dropped without [`Reservation::start`], the commit's answer was lost.
#[derive(Debug)]
pub(super) struct Reservation {
    slots: Slots,
    requested_at: Duration,
    definitions_version: i64,
    executions: Vec<(Claimed, OwnedSemaphorePermit)>,
    in_flight: Option<OwnedRwLockReadGuard<()>>,
}

impl Reservation {
    pub fn claimant(&self) -> Claimant {
        Claimant {
            worker: self.slots.worker,
            lease: self.slots.lease,
        }
    }

    /// Hands over what was committed. The other slots become free.
    pub fn start(mut self, committed: &[ExecutionId]) {
        let Some(in_flight) = self.in_flight.take() else { return };
        let committed: HashSet<ExecutionId> = committed.iter().copied().collect();
        let mut executions = mem::take(&mut self.executions);
        executions.retain(|(claimed, _)| committed.contains(&claimed.id));
        if !executions.is_empty() {
            // The worker receives until the last reservation is gone.
            let _ = self.slots.handover.send(Handover::Claimed {
                executions,
                definitions_version: self.definitions_version,
                requested_at: self.requested_at,
                in_flight,
            });
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.in_flight.is_some() {
            let _ = self.slots.handover.send(Handover::Lost);
        }
    }
}
