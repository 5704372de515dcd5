//! T3: claims as many executions as there are free slots, and starts each.
//!
//! When a claim returns, the status `running` is committed. Nothing is started before that.

use crate::{
    conclude::conclude,
    due::NextDue,
    finish::ResultSender,
    lease::{LeasedExecution, Leases},
    log::Logs,
    pace::{COLLECT, Pace},
    prepare::{Equipment, prepare},
    recovery::Recovery,
    runner::Runner,
    secrets,
};
use attune_common::{
    announce,
    bus::Wake,
    clock, failpoint,
    joint::{Handover, Slots},
    saturating,
    service::{Context, poll_interval},
    store::{DedicatedConnection, Error, PgConnection, adoption, execution_queue, is_locked, with_timeout},
    telemetry,
};
use attune_domain::execution::ExecutionStatus;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// The most executions in one claim.
const BATCH: usize = 50;
/// While executions wait, a claim waits a moment for this share of the slots, at most as many as this.
const ENOUGH_SHARE: usize = 4;
const ENOUGH_MAX: usize = 8;
/// How long after a claim whose answer was lost the worker checks whether it was committed.
const RECOVERY_WINDOW: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Worker {
    context: Context,
    runner: Runner,
    leases: Leases,
    results: ResultSender,
    logs: Logs,
    slots: Arc<Semaphore>,
    slots_max: usize,
    tasks: TaskTracker,
    equipment: Equipment,
    /// Whether the last claim found fewer executions than there were free slots.
    drained: Arc<AtomicBool>,
    recovery: Arc<Recovery>,
}

/// What a claim started.
#[derive(Debug, Clone, Copy, Default)]
struct Round {
    started: usize,
    /// Those without a concurrency key, whose next claim may wait a moment.
    unlimited: usize,
}

impl Worker {
    pub fn new(
        context: &Context,
        runner: Runner,
        equipment: Equipment,
        leases: Leases,
        results: ResultSender,
        logs: Logs,
    ) -> Self {
        let slots_max = context.config.worker.slots();
        Self {
            context: context.clone(),
            runner,
            leases,
            results,
            logs,
            slots: Arc::new(Semaphore::new(slots_max)),
            slots_max,
            tasks: TaskTracker::new(),
            equipment,
            drained: Arc::default(),
            recovery: Arc::default(),
        }
    }

    pub fn slots_max(&self) -> usize {
        self.slots_max
    }

    pub fn has_sweeper(&self) -> bool {
        self.runner.has_sweeper()
    }

    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    pub fn leases_are_renewable(&self) -> bool {
        self.leases.are_renewable()
    }

    pub fn since_renewal(&self) -> Duration {
        self.leases.since_renewal()
    }

    /// Resolves when no execution is running.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Claims and starts executions until the process stops.
    pub async fn run(self) -> anyhow::Result<()> {
        let pool = self.context.config.worker.pool.clone();
        let mut connection = DedicatedConnection::for_pool(&self.context.pool);
        let wakes = self.context.bus.wakes(Wake::executions(pool.as_str()));
        let stopping = self.context.stopping().clone();
        let pulse = self.context.health.pulse("worker", "claim");
        let mut failures = 0;
        let mut past_locks = false;
        let mut due = NextDue::default();
        let mut pace = Pace::default();
        loop {
            let permits = tokio::select! {
                () = stopping.cancelled() => break,
                permits = pulse.idle(self.wait_for_slots()) => permits,
            };
            let requested = permits.len();
            let claimed_at = Instant::now();
            match self.round(&mut connection, &pool, permits, past_locks).await {
                Ok(round) if round.started == requested && requested > 0 => {
                    (failures, past_locks) = (0, false);
                    self.drained.store(false, Ordering::Relaxed);
                    pace.count(round.unlimited);
                    // More executions may be ready than this worker has slots for.
                    self.context.bus.wake(Wake::executions(pool.as_str()));
                    continue;
                }
                Ok(round) => {
                    (failures, past_locks) = (0, false);
                    self.drained.store(requested > 0, Ordering::Relaxed);
                    pace.count(round.unlimited);
                    due.refresh(&mut connection, &pool, self.leases.query_timeout()).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to claim executions; retrying");
                    past_locks = is_locked(&error);
                    failures += 1;
                }
            }
            tokio::select! {
                () = stopping.cancelled() => break,
                () = wakes.recv() => {}
                () = due.reached() => {}
                () = pulse.idle(tokio::time::sleep(pause_after(failures))) => {}
            }
            if pace.is_busy() {
                tokio::time::sleep_until((claimed_at + COLLECT).into()).await;
            }
        }
        connection.close().await;
        Ok(())
    }

    /// Waits for free slots and for renewable leases. Returns an empty vec if only a claim whose answer was lost is to be
    /// recovered.
    async fn wait_for_slots(&self) -> Vec<OwnedSemaphorePermit> {
        let permits = if self.recovery.until().is_some() {
            // A recovered execution does not need a free slot.
            let acquired = tokio::time::timeout(poll_interval(), self.acquire_slots());
            acquired.await.unwrap_or_default()
        } else {
            tokio::select! {
                permits = self.acquire_slots() => permits,
                () = self.recovery.requested.notified() => Vec::new(),
            }
        };
        self.leases.wait_until_renewable().await;
        permits
    }

    /// Waits for a free slot, and takes all others that are free.
    async fn acquire_slots(&self) -> Vec<OwnedSemaphorePermit> {
        let mut permits = Vec::new();
        if let Ok(first) = Arc::clone(&self.slots).acquire_owned().await {
            permits.push(first);
        }
        let enough = u32::try_from((self.slots_max / ENOUGH_SHARE).min(ENOUGH_MAX)).unwrap_or_default();
        if enough > 1 && !self.drained.load(Ordering::Relaxed) {
            // Dropped, it gives the slots back.
            let more = self.slots.acquire_many(enough - 1);
            let _ = tokio::time::timeout(COLLECT, more).await;
        }
        while permits.len() < BATCH
            && let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned()
        {
            permits.push(permit);
        }
        permits
    }

    /// Claims once.
    async fn round(
        &self,
        connection: &mut DedicatedConnection,
        pool: &str,
        mut permits: Vec<OwnedSemaphorePermit>,
        past_locks: bool,
    ) -> Result<Round, Error> {
        self.recover_claims(&mut permits).await?;
        if permits.is_empty() {
            return Ok(Round::default());
        }
        let limit = saturating::i64(permits.len());
        failpoint::hit("t3.before_claim").await;
        let requested_at = clock::since_boot();
        let (me, term) = (self.context.instance, self.leases.term());
        let claim = async |connection: &mut PgConnection| {
            if past_locks {
                execution_queue::claim_past_locks(connection, pool, me, limit, term).await
            } else {
                execution_queue::claim(connection, pool, me, limit, term).await
            }
        };
        let claim = connection
            .with_timeout(self.leases.query_timeout(), claim)
            .await
            .inspect_err(|_| self.request_recovery())?;
        failpoint::hit("t3.after_commit").await;
        let started = claim.executions.len();
        let is_limited = |execution: &&execution_queue::Claimed| !execution.slot_keys.is_empty();
        let unlimited = started - claim.executions.iter().filter(is_limited).count();
        // An empty claim does not carry the version.
        if started > 0 {
            self.equipment.actions.advance_to(claim.definitions_version);
        }
        for execution in claim.executions {
            self.start(execution, requested_at, permits.pop());
        }
        Ok(Round { started, unlimited })
    }

    /// After a claim whose answer was lost: starts what the database has assigned to this worker nevertheless.
    async fn recover_claims(&self, permits: &mut Vec<OwnedSemaphorePermit>) -> Result<(), Error> {
        let requested_at = clock::since_boot();
        let Some(until) = self.recovery.until() else {
            return Ok(());
        };
        // A joint commit in flight ends soon: its answer is awaited for a bounded time.
        let _none_in_flight = self.recovery.joint.write().await;
        let tracked = self.leases.all();
        let (pool, worker) = (&self.context.pool, self.context.instance);
        let adopted = with_timeout(
            self.leases.query_timeout(),
            adoption::adopt(pool, worker, &tracked, self.leases.term()),
        )
        .await?;
        if requested_at > until {
            self.recovery.set_until(None);
        }
        for execution in adopted {
            tracing::warn!(execution_id = %execution.id, "recovering a claim whose answer was lost");
            self.start(execution, requested_at, permits.pop());
        }
        Ok(())
    }

    /// A claim may have been committed although no answer came.
    fn request_recovery(&self) {
        self.recovery.set_until(Some(clock::since_boot() + RECOVERY_WINDOW));
        self.recovery.requested.notify_one();
    }

    /// Offers the free slots to the joint commits of this process.
    pub fn offer_slots(&self) -> mpsc::UnboundedReceiver<Handover> {
        let (handover, handovers) = mpsc::unbounded_channel();
        self.context.joint.open(Slots {
            worker: self.context.instance,
            pool: self.context.config.worker.pool.clone(),
            lease: self.leases.term(),
            free: Arc::clone(&self.slots),
            renewable: self.leases.renewable(),
            drained: Arc::clone(&self.drained),
            in_flight: Arc::clone(&self.recovery.joint),
            handover,
        });
        handovers
    }

    /// Starts what joint commits have claimed, until the offer has ended and nothing more can come.
    pub async fn start_joint_claims(self, mut handovers: mpsc::UnboundedReceiver<Handover>) {
        while let Some(handover) = handovers.recv().await {
            match handover {
                Handover::Claimed {
                    executions,
                    definitions_version,
                    requested_at,
                    in_flight: _in_flight,
                } => {
                    self.equipment.actions.advance_to(definitions_version);
                    for (execution, permit) in executions {
                        self.start(execution, requested_at, Some(permit));
                    }
                }
                Handover::Lost => self.request_recovery(),
            }
        }
    }

    fn start(&self, execution: execution_queue::Claimed, requested_at: Duration, permit: Option<OwnedSemaphorePermit>) {
        let held = self.leases.add(&execution, requested_at);
        let trace_id = execution.trace_id.simple();
        let span =
            tracing::info_span!("execution", execution_id = %execution.id, attempt = execution.attempt, %trace_id);
        self.tasks
            .spawn(self.clone().execute(execution, held, permit).instrument(span));
    }

    /// Runs one execution to its end and sends its result to the writer.
    async fn execute(
        self,
        execution: execution_queue::Claimed,
        held: LeasedExecution,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        metrics::histogram!("attune_dispatch_seconds").record(execution.waited_seconds);
        announce::execution(
            &*self.context.bus,
            execution.id,
            Some(&execution.action_ref),
            ExecutionStatus::Running,
        );
        let log = self.logs.open(held.key());
        let started = Instant::now();
        let prepared = prepare(&self.context, &self.equipment, &execution, held.stop_handle()).await;
        let (ended, used) = match prepared {
            Ok(prepared) => {
                if prepared.is_process() {
                    self.results.mark_started(held.key());
                }
                failpoint::hit("run.before_fork").await;
                let control = held.run_control();
                prepared.run(&self.runner, &self.equipment, control, &log).await
            }
            Err(denied) => (denied.result, denied.used),
        };
        failpoint::hit("run.after_exit").await;
        held.mark_exited();
        metrics::histogram!("attune_execution_seconds").record(started.elapsed().as_secs_f64());
        // The slot is free for the next execution while the result is being written.
        drop(permit);
        let mut result = conclude(&execution, ended, held.stop_reason());
        result.trace = Some((execution.trace_id, Instant::now()));
        tracing::debug!(status = result.finished.status.as_str(), "an action ended");
        telemetry::followed(
            "execution",
            execution.trace_id,
            started.elapsed(),
            &[
                ("execution_id", &execution.id),
                ("attempt", &execution.attempt),
                ("action_ref", &execution.action_ref),
                ("status", &result.finished.status.as_str()),
            ],
        );
        if result.retry.is_some() {
            log.store_output(result.finished.result.as_ref()).await;
        }
        self.results.send(result).await;
        secrets::record(&self.context, used).await;
    }
}

/// Short at first: a database that restarts is available again in a moment.
fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => poll_interval(),
        _ => poll_interval().min(Duration::from_millis(10) * 2_u32.saturating_pow(failures.min(10))),
    }
}
