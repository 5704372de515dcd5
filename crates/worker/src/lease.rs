//! What this worker holds, and how long it still may.
//!
//! One statement renews everything at once, three times a lease, over a connection of its own. What does not come back no
//! longer belongs to this worker: its processes are killed. A row that a foreign session has locked is passed over, tried
//! again soon, and then prolonged beside the row. A worker that could not renew does not claim until it can, because what it
//! took would only lose an attempt; so the database is asked even when nothing is held.
//!
//! While the database cannot be asked, most actions run on: with `on_lost: fail` nothing starts them again. Two kinds are
//! killed before their lease ends: `on_lost: requeue`, because another worker starts them then, and whatever holds a slot of a
//! concurrency key, because another execution of the key starts then. That is decided by a clock that goes on while this
//! process or this machine is suspended. The supervisor knows the end of the lease, too, and kills them when this process is
//! frozen. When the supervisor is frozen as well, the slot outlives the rescue (`slot_hold`): the connection of the
//! renewals shows that this process still exists, and each renewal says which attempts are over.

pub use crate::held::{LeasedExecution, StopReason};
use attune_common::{
    bus::{Control, Wake},
    clock,
    service::Context,
    store::{
        DedicatedConnection, Error, PgConnection,
        execution_queue::{self, Claimed},
        lease::{self, Renewed},
        slot,
    },
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// An action that has to end with its lease is killed so long before; of a short lease, the same share.
const MARGIN: Duration = Duration::from_secs(8);
const MARGIN_SHARE: f64 = 8.0 / 30.0;
/// How often the clock is looked at. Sleeping does not count suspension.
const LOOK: Duration = Duration::from_millis(500);
/// A database that does not answer in this time is away; with a short lease, in a quarter of it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// A lease of a locked row that is older than this share of its term is prolonged beside the row: at the first renewal that
/// passes it over, unless it was claimed a moment ago. A slow database must not take what is left until it has to be killed.
const PROLONGED_FROM: f64 = 0.2;

#[derive(Debug, Clone)]
pub struct Leases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    context: Context,
    term: Duration,
    held: Mutex<HashMap<execution_queue::AttemptKey, LeasedExecution>>,
    renewed: Mutex<Duration>,
    /// Did the last renewal go well?
    renewable: watch::Sender<bool>,
    /// An attempt that was lost while it held a slot is over: its slot may be waiting for that.
    slot_over: Notify,
    end: CancellationToken,
}

/// What became of one renewal.
enum Round {
    Renewed,
    /// Rows of other sessions were passed over.
    PassedOver,
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
            slot_over: Notify::new(),
            end: CancellationToken::new(),
        }))
    }

    pub fn term(&self) -> Duration {
        self.0.term
    }

    /// How long a claim or a renewal waits for its answer: whoever cannot renew in this time must not claim in more.
    pub fn patience(&self) -> Duration {
        ANSWERED_WITHIN.min(self.0.term / 4)
    }

    pub fn are_renewable(&self) -> bool {
        *self.0.renewable.borrow()
    }

    /// Resolves while renewals go well.
    pub async fn renewable(&self) {
        // Its sender is here.
        let _ = self.0.renewable.subscribe().wait_for(|renewable| *renewable).await;
    }

    /// An execution that was just claimed; `asked` is the instant before the claim.
    pub fn hold(&self, claimed: &Claimed, asked: Duration) -> LeasedExecution {
        let held = LeasedExecution::new(claimed, asked, limit(self.0.term));
        let mut all = self.lock();
        // Claimed once more: whatever still runs of an earlier attempt was given up.
        all.values()
            .filter(|earlier| earlier.id().id == claimed.id)
            .for_each(|earlier| earlier.stop(StopReason::LeaseLost));
        all.insert(held.id(), held.clone());
        held
    }

    /// An execution whose result was accepted or refused.
    pub fn release(&self, released: execution_queue::AttemptKey) {
        let removed = self.lock().remove(&released);
        if removed.is_some_and(|held| held.holds_slot() && held.stop_reason() == Some(StopReason::LeaseLost)) {
            self.0.slot_over.notify_one();
        }
    }

    /// An execution whose result the database will never take. It is remembered, so that it is not taken for a claim whose
    /// answer got lost, and not renewed, so that it is rescued.
    pub fn abandon(&self, held: execution_queue::AttemptKey) {
        if let Some(held) = self.lock().get(&held) {
            held.abandon();
        }
    }

    pub fn all(&self) -> Vec<execution_queue::AttemptKey> {
        self.lock().keys().copied().collect()
    }

    /// Asks everything that runs to stop, because this worker stops.
    pub fn stop_all(&self) {
        self.lock()
            .values()
            .for_each(|held| held.stop(StopReason::WorkerStopped));
    }

    /// Kills what still runs.
    pub fn kill_all(&self) {
        self.lock().values().for_each(LeasedExecution::kill);
    }

    /// Ends the renewals: nothing is held any more.
    pub fn end(&self) {
        self.0.end.cancel();
    }

    /// How long ago the leases were renewed.
    pub fn renewed_ago(&self) -> Duration {
        let renewed = *self.0.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        clock::since_boot().saturating_sub(renewed)
    }

    /// Renews until [`Self::end`], and watches the clock meanwhile.
    pub async fn run(self) -> anyhow::Result<()> {
        tokio::select! {
            () = self.0.end.cancelled() => {}
            () = self.renew_again_and_again() => {}
            () = self.watch() => {}
        }
        Ok(())
    }

    /// Kills what has to end with its lease shortly before. Returns when the next one is due, from now.
    pub fn enforce(&self) -> Option<Duration> {
        let now = clock::since_boot();
        let mut next: Option<Duration> = None;
        for held in self.lock().values() {
            match held.ends_at() {
                Some(at) if at <= now => held.stop(StopReason::LeaseLost),
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        next.map(|at| at.saturating_sub(now))
    }

    async fn watch(&self) {
        loop {
            let pause = self.enforce().map_or(LOOK, |due| due.min(LOOK));
            tokio::time::sleep(pause.max(Duration::from_millis(5))).await;
        }
    }

    /// A cancel that comes over the bus is looked at once.
    async fn renew_again_and_again(&self) {
        let mut line = DedicatedConnection::of_worker(&self.0.context.pool, self.0.context.instance);
        let mut controls = self.0.context.bus.controls();
        let pulse = self.0.context.health.pulse("worker", "renew");
        let mut next = tokio::time::Instant::now();
        loop {
            tokio::select! {
                () = pulse.idle(tokio::time::sleep_until(next)) => {}
                () = self.0.slot_over.notified() => {}
                control = controls.recv() => match control {
                    Control::Cancel { execution_id } if self.lock().keys().any(|held| held.id == execution_id) => {}
                    _ => continue,
                },
            }
            let round = self.renew(&mut line).await;
            self.0.renewable.send_replace(!matches!(round, Round::Failed));
            let pause = match round {
                Round::Renewed => self.0.term / 3,
                Round::PassedOver => self.0.term / 6,
                Round::Failed => LOOK.min(self.0.term / 15),
            };
            next = tokio::time::Instant::now() + pause;
        }
    }

    /// One renewal of everything.
    async fn renew(&self, line: &mut DedicatedConnection) -> Round {
        // The lease is counted from the question: the database cannot have counted from an earlier instant.
        let asked = clock::since_boot();
        let all: Vec<LeasedExecution> = self.lock().values().cloned().collect();
        let mut running: Vec<execution_queue::AttemptKey> = all
            .iter()
            .filter(|held| !held.is_over())
            .map(LeasedExecution::id)
            .collect();
        running.sort_unstable_by_key(|held| held.id);
        let held: Vec<LeasedExecution> = all.into_iter().filter(|held| !held.is_abandoned()).collect();
        let mut ids: Vec<execution_queue::AttemptKey> = held.iter().map(LeasedExecution::id).collect();
        ids.sort_unstable_by_key(|held| held.id);
        let (me, term) = (self.0.context.instance, self.0.term);
        let renew = async |connection: &mut PgConnection| {
            let renewed = lease::renew(&mut *connection, me, &ids, term).await?;
            let late = self.late(&held, &renewed, asked);
            let prolonged = if late.is_empty() {
                Vec::new()
            } else {
                lease::extend(&mut *connection, me, &late, term).await?
            };
            let freed = slot::end_holds(connection, me, &running).await?;
            Ok::<_, Error>((renewed, prolonged, freed))
        };
        match line.with_timeout(self.patience(), renew).await {
            Ok((renewed, prolonged, freed)) => {
                *self.0.renewed.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                compare(&held, &renewed, &prolonged, asked);
                for pool in freed {
                    tracing::info!(pool, "a slot that outlived a rescue is free");
                    self.0.context.bus.wake(Wake::executions(pool));
                }
                if renewed.iter().any(|one| one.locked) {
                    Round::PassedOver
                } else {
                    Round::Renewed
                }
            }
            Err(error) => {
                tracing::warn!(%error, seconds_ago = self.renewed_ago().as_secs(), "leases could not be renewed");
                Round::Failed
            }
        }
    }

    /// Whose row is locked while its lease gets old.
    fn late(&self, held: &[LeasedExecution], renewed: &[Renewed], asked: Duration) -> Vec<execution_queue::AttemptKey> {
        let renewed_at: HashMap<execution_queue::AttemptKey, Duration> =
            held.iter().map(|held| (held.id(), held.renewed_at())).collect();
        let is_old = |held: &execution_queue::AttemptKey| {
            let at = renewed_at.get(held).copied().unwrap_or_default();
            asked.saturating_sub(at) >= self.0.term.mul_f64(PROLONGED_FROM)
        };
        let locked = renewed.iter().filter(|one| one.locked).map(|one| one.held());
        let late: Vec<execution_queue::AttemptKey> = locked.filter(is_old).collect();
        if !late.is_empty() {
            tracing::info!(
                executions = late.len(),
                "another session keeps rows of execution_queue locked; prolonging their leases beside them"
            );
        }
        late
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<execution_queue::AttemptKey, LeasedExecution>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compare(held: &[LeasedExecution], renewed: &[Renewed], prolonged: &[execution_queue::AttemptKey], asked: Duration) {
    let renewed: HashMap<execution_queue::AttemptKey, Renewed> = renewed.iter().map(|one| (one.held(), *one)).collect();
    for held in held {
        match renewed.get(&held.id()) {
            Some(one) => {
                if !one.locked || prolonged.contains(&held.id()) {
                    held.renewed(asked);
                }
                if one.cancel_requested {
                    held.stop(StopReason::Canceled);
                }
            }
            // What is missing may just have been finished by ourselves; then nothing of it runs.
            None => held.stop(StopReason::LeaseLost),
        }
    }
}

/// How long after its last renewal an action that has to end with its lease may run.
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
