//! The executions that this worker holds a lease on, and the renewal of their leases.
//!
//! One statement renews all leases, three times per lease term, over a dedicated connection. An execution that the statement
//! does not return no longer belongs to this worker: its processes are killed. A row that another session has locked is
//! skipped, retried soon, and then its lease is extended in a separate table. A worker that failed to renew does not claim
//! until a renewal succeeds, because an execution that it claimed would only lose an attempt. For this reason it renews even
//! if it holds nothing.
//!
//! While the database is unavailable, most actions keep running: with `on_lost: fail` nothing starts them again. Two kinds are
//! killed before their lease ends: `on_lost: requeue`, because another worker then starts them, and holders of a concurrency
//! slot, because another execution of the key then starts. The deadline is measured by a clock that keeps running while this
//! process or this machine is suspended. The supervisor has the deadline too, and kills them if this process is frozen. If the
//! supervisor is frozen as well, the slot outlives the rescue (`slot_hold`): the connection that renews shows that this
//! process still exists, and each renewal lists the attempts that still run.

pub use crate::leased::{LeasedExecution, StopReason};
use attune_common::{
    bus::{Control, Wake},
    clock,
    service::Context,
    store::{
        DedicatedConnection, Error, PgConnection,
        execution_queue::{AttemptKey, Claimed},
        lease::{self, Renewed},
        slot,
    },
    sync,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// How long before the end of its lease an action that must end with it is killed. Of a short lease, the same share.
const MARGIN: Duration = Duration::from_secs(8);
const MARGIN_SHARE: f64 = 8.0 / 30.0;
/// How often the clock is checked: a sleep does not count suspension.
const CLOCK_CHECK: Duration = Duration::from_millis(500);
/// A database that does not answer within this time is considered unavailable. With a short lease, within a quarter of it.
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);
/// The lease of a locked row is extended in a separate table once it is older than this share of its term: at the first renewal
/// that skips the row, unless it was claimed a moment ago. A slow database must not use up the time until the action is killed.
const EXTEND_FROM: f64 = 0.2;

#[derive(Debug, Clone)]
pub struct Leases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    term: Duration,
    held: Mutex<HashMap<AttemptKey, LeasedExecution>>,
    renewed: Mutex<Duration>,
    /// Whether the last renewal succeeded.
    renewable: watch::Sender<bool>,
    /// Notified when a lost attempt that held a slot has ended: its slot may be waiting for that.
    slot_released: Notify,
    end: CancellationToken,
}

/// The outcome of one renewal.
enum Round {
    Renewed,
    /// Rows that other sessions have locked were skipped.
    SkippedLocked,
    Failed,
}

impl Leases {
    pub fn new(context: &Context) -> Self {
        Self(Arc::new(Inner {
            term: context.config.worker.lease(),
            context: context.clone(),
            held: Mutex::default(),
            renewed: Mutex::new(clock::since_boot()),
            renewable: watch::Sender::new(true),
            slot_released: Notify::new(),
            end: CancellationToken::new(),
        }))
    }

    pub fn term(&self) -> Duration {
        self.0.term
    }

    /// How long a claim or a renewal waits for its answer.
    pub fn query_timeout(&self) -> Duration {
        QUERY_TIMEOUT.min(self.0.term / 4)
    }

    pub fn are_renewable(&self) -> bool {
        *self.0.renewable.borrow()
    }

    /// Whether renewals succeed, as it changes.
    pub fn renewable(&self) -> watch::Receiver<bool> {
        self.0.renewable.subscribe()
    }

    /// Resolves while renewals succeed.
    pub async fn wait_until_renewable(&self) {
        // Cannot fail: this struct owns the sender.
        let _ = self.0.renewable.subscribe().wait_for(|renewable| *renewable).await;
    }

    /// Adds an execution that was just claimed. `requested_at` is the instant before the claim.
    pub fn add(&self, claimed: &Claimed, requested_at: Duration) -> LeasedExecution {
        let held = LeasedExecution::new(claimed, requested_at, limit(self.0.term));
        let mut all = self.lock();
        // An earlier attempt that still runs here was rescued.
        all.values()
            .filter(|earlier| earlier.key().id == claimed.id)
            .for_each(|earlier| earlier.stop(StopReason::LeaseLost));
        all.insert(held.key(), held.clone());
        held
    }

    /// Removes an execution whose result the database has answered.
    pub fn release(&self, released: AttemptKey) {
        let removed = self.lock().remove(&released);
        if removed.is_some_and(|held| held.holds_slot() && held.stop_reason() == Some(StopReason::LeaseLost)) {
            self.0.slot_released.notify_one();
        }
    }

    /// Stops renewing an execution whose result the database refuses, so that it is rescued. It is not removed, because it would
    /// be mistaken for a claim whose answer was lost.
    pub fn abandon(&self, held: AttemptKey) {
        if let Some(held) = self.lock().get(&held) {
            held.abandon();
        }
    }

    pub fn all(&self) -> Vec<AttemptKey> {
        self.lock().keys().copied().collect()
    }

    /// Stops all running actions, because this worker shuts down.
    pub fn stop_all(&self) {
        self.lock()
            .values()
            .for_each(|held| held.stop(StopReason::WorkerStopped));
    }

    /// Kills what still runs.
    pub fn kill_all(&self) {
        self.lock().values().for_each(LeasedExecution::kill);
    }

    /// Ends the renewals.
    pub fn end(&self) {
        self.0.end.cancel();
    }

    /// The time since the last renewal.
    pub fn since_renewal(&self) -> Duration {
        let renewed = *sync::lock(&self.0.renewed);
        clock::since_boot().saturating_sub(renewed)
    }

    /// Renews until [`Self::end`], and kills in time what must not outlive its lease.
    pub async fn run(self) -> anyhow::Result<()> {
        tokio::select! {
            () = self.0.end.cancelled() => {}
            () = self.renew_loop() => {}
            () = self.watch() => {}
        }
        Ok(())
    }

    /// Kills the actions that must end with their lease and whose time is up. Returns the time until the next one.
    pub fn enforce(&self) -> Option<Duration> {
        let now = clock::since_boot();
        let mut next: Option<Duration> = None;
        for held in self.lock().values() {
            match held.must_stop_at() {
                Some(at) if at <= now => held.stop(StopReason::LeaseLost),
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        next.map(|at| at.saturating_sub(now))
    }

    async fn watch(&self) {
        loop {
            let pause = self.enforce().map_or(CLOCK_CHECK, |due| due.min(CLOCK_CHECK));
            tokio::time::sleep(pause.max(Duration::from_millis(5))).await;
        }
    }

    /// Renews at intervals, and at once when the bus delivers a cancel.
    async fn renew_loop(&self) {
        let mut connection = DedicatedConnection::of_worker(&self.0.context.pool, self.0.context.instance);
        let mut controls = self.0.context.bus.controls();
        let pulse = self.0.context.health.pulse("worker", "renew");
        let mut next = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = pulse.idle(tokio::time::sleep_until(next)) => {}
                () = self.0.slot_released.notified() => {}
                control = controls.recv() => match control {
                    Control::Cancel { execution_id } if self.lock().keys().any(|held| held.id == execution_id) => {}
                    _ => continue,
                },
            }
            let round = self.renew(&mut connection).await;
            self.0.renewable.send_replace(!matches!(round, Round::Failed));
            let pause = match round {
                Round::Renewed => self.0.term / 3,
                Round::SkippedLocked => self.0.term / 6,
                Round::Failed => CLOCK_CHECK.min(self.0.term / 15),
            };
            next = tokio::time::Instant::now() + pause;
        }
    }

    /// Renews everything once.
    async fn renew(&self, dedicated: &mut DedicatedConnection) -> Round {
        // The lease is counted from the request: the database cannot have counted from an earlier instant.
        let requested_at = clock::since_boot();
        let all: Vec<LeasedExecution> = self.lock().values().cloned().collect();
        let mut running: Vec<AttemptKey> = all
            .iter()
            .filter(|held| !held.has_exited())
            .map(LeasedExecution::key)
            .collect();
        running.sort_unstable_by_key(|held| held.id);
        let held: Vec<LeasedExecution> = all.into_iter().filter(|held| !held.is_abandoned()).collect();
        let mut ids: Vec<AttemptKey> = held.iter().map(LeasedExecution::key).collect();
        ids.sort_unstable_by_key(|held| held.id);
        let (me, term) = (self.0.context.instance, self.0.term);
        let renew = async |connection: &mut PgConnection| {
            let renewed = lease::renew(&mut *connection, me, &ids, term).await?;
            let late = self.stale_locked(&held, &renewed, requested_at);
            let extended = if late.is_empty() {
                Vec::new()
            } else {
                lease::extend(&mut *connection, me, &late, term).await?
            };
            let freed = slot::end_holds(connection, me, &running).await?;
            Ok::<_, Error>((renewed, extended, freed))
        };
        match dedicated.with_timeout(self.query_timeout(), renew).await {
            Ok((renewed, extended, freed)) => {
                *sync::lock(&self.0.renewed) = requested_at;
                apply(&held, &renewed, &extended, requested_at);
                for pool in freed {
                    tracing::info!(pool, "released a slot that had outlived a rescue");
                    self.0.context.bus.wake(Wake::executions(pool));
                }
                if renewed.iter().any(|one| one.locked) {
                    Round::SkippedLocked
                } else {
                    Round::Renewed
                }
            }
            Err(error) => {
                tracing::warn!(%error, seconds_ago = self.since_renewal().as_secs(), "failed to renew leases");
                Round::Failed
            }
        }
    }

    /// The executions whose row is locked while their lease grows old.
    fn stale_locked(&self, held: &[LeasedExecution], renewed: &[Renewed], requested_at: Duration) -> Vec<AttemptKey> {
        let renewed_at: HashMap<AttemptKey, Duration> =
            held.iter().map(|held| (held.key(), held.renewed_at())).collect();
        let is_old = |held: &AttemptKey| {
            let at = renewed_at.get(held).copied().unwrap_or_default();
            requested_at.saturating_sub(at) >= self.0.term.mul_f64(EXTEND_FROM)
        };
        let locked = renewed.iter().filter(|one| one.locked).map(|one| one.held());
        let late: Vec<AttemptKey> = locked.filter(is_old).collect();
        if !late.is_empty() {
            tracing::info!(
                executions = late.len(),
                "another session locks rows of execution_queue; extending their leases separately"
            );
        }
        late
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptKey, LeasedExecution>> {
        sync::lock(&self.0.held)
    }
}

/// Marks the executions that were renewed, and stops those that were canceled or lost.
fn apply(held: &[LeasedExecution], renewed: &[Renewed], extended: &[AttemptKey], requested_at: Duration) {
    let renewed: HashMap<AttemptKey, Renewed> = renewed.iter().map(|one| (one.held(), *one)).collect();
    for held in held {
        match renewed.get(&held.key()) {
            Some(one) => {
                if !one.locked || extended.contains(&held.key()) {
                    held.mark_renewed(requested_at);
                }
                if one.cancel_requested {
                    held.stop(StopReason::Canceled);
                }
            }
            // This worker may just have finished it; then the stop has no effect.
            None => held.stop(StopReason::LeaseLost),
        }
    }
}

/// How long after its last renewal an action that must end with its lease may run.
fn limit(term: Duration) -> Duration {
    term.saturating_sub(MARGIN.min(term.mul_f64(MARGIN_SHARE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_eight_seconds_or_the_same_share_of_a_short_lease() {
        let check = |term: f64, expected: f64| {
            let found = limit(Duration::from_secs_f64(term)).as_secs_f64();
            assert!((found - expected).abs() < 1e-6, "{term}: {found}");
        };
        check(30.0, 22.0);
        check(60.0, 52.0);
        check(3.0, 2.2);
        check(1.0, 22.0 / 30.0);
    }
}
