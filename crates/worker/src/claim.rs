//! T3: takes as many executions as there are free slots, and starts each.
//!
//! When a claim returns, the running mark is committed; only then anything is started.

use crate::{
    due::Due,
    finish::Finisher,
    lease::{LeasedExecution, Leases},
    log::Logs,
    prepare::{Actions, conclude, prepare},
    runner::Runner,
};
use attune_common::{
    bus::{Feed, FeedKind, Wake},
    clock, failpoint,
    service::{Context, poll_interval},
    store::{DedicatedConnection, Error, PgConnection, adoption, execution_queue, is_locked, with_timeout},
    telemetry,
};
use attune_domain::execution::ExecutionStatus;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// Executions in one claim.
const BATCH: usize = 50;
/// How long after a claim without an answer it may still turn out to be committed.
const DOUBT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Worker {
    context: Context,
    runner: Runner,
    leases: Leases,
    finisher: Finisher,
    logs: Logs,
    slots: Arc<Semaphore>,
    slots_max: usize,
    tasks: TaskTracker,
    actions: Arc<Actions>,
    /// Until when claims whose answer got lost are looked for, by the clock that counts suspension.
    doubt_until: Arc<Mutex<Option<Duration>>>,
}

impl Worker {
    pub fn new(context: &Context, runner: Runner, leases: Leases, finisher: Finisher, logs: Logs) -> Self {
        let slots_max = context.config.worker.slots();
        Self {
            context: context.clone(),
            runner,
            leases,
            finisher,
            logs,
            slots: Arc::new(Semaphore::new(slots_max)),
            slots_max,
            tasks: TaskTracker::new(),
            actions: Arc::default(),
            doubt_until: Arc::default(),
        }
    }

    pub fn slots_max(&self) -> usize {
        self.slots_max
    }

    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    pub fn leases_are_renewable(&self) -> bool {
        self.leases.are_renewable()
    }

    pub fn renewed_ago(&self) -> Duration {
        self.leases.renewed_ago()
    }

    /// Resolves when nothing runs.
    pub async fn idle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Claims and starts executions until the process stops.
    pub async fn run(self) -> anyhow::Result<()> {
        let pool = self.context.config.worker.pool.clone();
        let mut line = DedicatedConnection::for_pool(&self.context.pool);
        let wakes = self.context.bus.wakes(Wake::executions(pool.as_str()));
        let stopping = self.context.stopping().clone();
        let pulse = self.context.health.pulse("worker", "claim");
        let mut failures = 0;
        let mut past_locks = false;
        let mut due = Due::default();
        loop {
            let permits = tokio::select! {
                () = stopping.cancelled() => break,
                permits = pulse.idle(self.ready()) => permits,
            };
            let wanted = permits.len();
            match self.round(&mut line, &pool, permits, past_locks).await {
                Ok(started) if started == wanted && wanted > 0 => {
                    (failures, past_locks) = (0, false);
                    // There may be more than this worker can take.
                    self.context.bus.wake(Wake::executions(pool.as_str()));
                    continue;
                }
                Ok(_) => {
                    (failures, past_locks) = (0, false);
                    due.look(&mut line, &pool, self.leases.patience()).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "executions cannot be claimed; trying again");
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
        }
        line.close().await;
        Ok(())
    }

    /// Waits until a claim would not be in vain. Returns the slots for it; none, when there is only to look for an earlier one.
    async fn ready(&self) -> Vec<OwnedSemaphorePermit> {
        let permits = if self.doubt_until().is_some() {
            // What is to be taken up does not wait for the slots that it has not got.
            let patience = tokio::time::timeout(poll_interval(), self.free_slots());
            patience.await.unwrap_or_default()
        } else {
            self.free_slots().await
        };
        self.leases.renewable().await;
        permits
    }

    /// Waits for a free slot, and takes the others that are free along.
    async fn free_slots(&self) -> Vec<OwnedSemaphorePermit> {
        let mut permits = Vec::new();
        if let Ok(first) = Arc::clone(&self.slots).acquire_owned().await {
            permits.push(first);
        }
        while permits.len() < BATCH
            && let Ok(permit) = Arc::clone(&self.slots).try_acquire_owned()
        {
            permits.push(permit);
        }
        permits
    }

    /// One claim. Returns how many executions were started.
    async fn round(
        &self,
        line: &mut DedicatedConnection,
        pool: &str,
        mut permits: Vec<OwnedSemaphorePermit>,
        past_locks: bool,
    ) -> Result<usize, Error> {
        self.adopt(&mut permits).await?;
        if permits.is_empty() {
            return Ok(0);
        }
        let limit = i64::try_from(permits.len()).unwrap_or(i64::MAX);
        failpoint::hit("t3.before_claim").await;
        let asked = clock::since_boot();
        let (me, term) = (self.context.instance, self.leases.term());
        let claim = async |connection: &mut PgConnection| {
            if past_locks {
                execution_queue::claim_past_locks(connection, pool, me, limit, term).await
            } else {
                execution_queue::claim(connection, pool, me, limit, term).await
            }
        };
        let claim = line
            .with_timeout(self.leases.patience(), claim)
            .await
            .inspect_err(|_| self.set_doubt(Some(clock::since_boot() + DOUBT)))?;
        failpoint::hit("t3.after_commit").await;
        let started = claim.executions.len();
        // An empty claim does not tell the version.
        if started > 0 {
            self.actions.as_of(claim.definitions_version);
        }
        for execution in claim.executions {
            self.start(execution, asked, permits.pop());
        }
        Ok(started)
    }

    /// After a claim without an answer: takes up what the database may have given to this worker nevertheless.
    async fn adopt(&self, permits: &mut Vec<OwnedSemaphorePermit>) -> Result<(), Error> {
        let asked = clock::since_boot();
        let Some(until) = self.doubt_until() else {
            return Ok(());
        };
        let known = self.leases.all();
        let (pool, worker) = (&self.context.pool, self.context.instance);
        let adopted = with_timeout(
            self.leases.patience(),
            adoption::adopt(pool, worker, &known, self.leases.term()),
        )
        .await?;
        if asked > until {
            self.set_doubt(None);
        }
        for execution in adopted {
            tracing::warn!(execution_id = %execution.id, "taking up a claim whose answer got lost");
            self.start(execution, asked, permits.pop());
        }
        Ok(())
    }

    fn doubt_until(&self) -> Option<Duration> {
        *self.doubt_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_doubt(&self, until: Option<Duration>) {
        *self.doubt_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn start(&self, execution: execution_queue::Claimed, asked: Duration, permit: Option<OwnedSemaphorePermit>) {
        let held = self.leases.hold(&execution, asked);
        let trace_id = execution.trace_id.simple();
        let span =
            tracing::info_span!("execution", execution_id = %execution.id, attempt = execution.attempt, %trace_id);
        self.tasks
            .spawn(self.clone().execute(execution, held, permit).instrument(span));
    }

    /// Runs one execution to its end and hands its result on.
    async fn execute(
        self,
        execution: execution_queue::Claimed,
        held: LeasedExecution,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        metrics::histogram!("attune_dispatch_seconds").record(execution.waited_seconds);
        self.context.bus.feed(Feed {
            execution_id: Some(execution.id),
            action_ref: execution.action_ref.parse().ok(),
            ..Feed::new(FeedKind::execution(ExecutionStatus::Running))
        });
        let log = self.logs.open(held.id());
        let started = Instant::now();
        let ended = match prepare(&self.context, &self.actions, &execution, held.stopping()).await {
            Ok(prepared) => {
                failpoint::hit("run.before_fork").await;
                prepared.run(&self.runner, held.ties(), &log).await
            }
            Err(ended) => ended,
        };
        failpoint::hit("run.after_exit").await;
        held.over();
        metrics::histogram!("attune_execution_seconds").record(started.elapsed().as_secs_f64());
        // The slot is free for the next execution while the result is on its way.
        drop(permit);
        let mut report = conclude(&execution, ended, held.stop_reason());
        report.trace = Some((execution.trace_id, Instant::now()));
        tracing::debug!(status = report.end.status.as_str(), "an action ended");
        telemetry::followed(
            "execution",
            execution.trace_id,
            started.elapsed(),
            &[
                ("execution_id", &execution.id),
                ("attempt", &execution.attempt),
                ("action_ref", &execution.action_ref),
                ("status", &report.end.status.as_str()),
            ],
        );
        if report.again.is_some() {
            log.keep(report.end.result.as_ref()).await;
        }
        self.finisher.report(report).await;
    }
}

/// A database that was restarted is there again in a moment.
fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => poll_interval(),
        _ => poll_interval().min(Duration::from_millis(10) * 2_u32.saturating_pow(failures.min(10))),
    }
}
