//! T2: decides events. Each event meets the rules of its trigger, and enforcements and executions follow.
//!
//! A round claims events (losing that commit is harmless), evaluates them outside any transaction (`evaluate`), and
//! writes everything that follows in one statement that also removes the events from their queue ([`write`]). When the
//! process dies in between, the queue rows remain, and their lease expires.

mod admit;
mod evaluate;
mod joint;
mod publish;
mod write;

use crate::{rules::CachedRules, status::Status};
use attune_common::{
    announce,
    bus::Wake,
    clock, failpoint,
    service::{Context, poll_interval},
    store::{
        DedicatedConnection, Error, PgConnection,
        decision::Decision,
        event_queue::{self, Claimed},
        is_retryable, is_timeout, is_unavailable, with_default_timeout, with_timeout,
    },
    telemetry,
};
use attune_domain::{RuleRef, chain::is_loop};
use std::time::{Duration, Instant};

/// Events in one claim.
const BATCH: i64 = 100;
/// How often a round repeats its evaluation because definitions changed meanwhile, before it releases the events.
const STALE_MAX: usize = 5;
/// A database that responds within this time is fine: a statement that hung before did so for its own reasons.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Decides events until the process stops.
pub async fn run(context: Context, status: Status) -> anyhow::Result<()> {
    let mut decider = Decider::new(&context);
    decider.status = status;
    context.spawn("joint decisions", joint::run(context.clone(), decider.rules.clone()));
    // Otherwise the first event loads the rules.
    let _ = with_default_timeout(decider.rules.load(&context.pool)).await;
    let wakes = context.bus.wakes(Wake::Events);
    let pulse = context.health.pulse("executor", "decide");
    let mut suspects_at = Instant::now();
    while !context.stopping().is_cancelled() {
        pulse.beat();
        // By the clock, because a loaded executor is never idle.
        let suspects = Instant::now() >= suspects_at;
        if suspects {
            suspects_at = Instant::now() + poll_interval();
        }
        match decider.round(suspects).await {
            Ok(Round::Drained) => {}
            Ok(round) => {
                if round == Round::DecidedSuspect {
                    suspects_at = Instant::now();
                }
                // There may be more than this executor can take.
                context.bus.wake(Wake::Events);
                continue;
            }
            Err(error) => tracing::warn!(%error, "failed to decide events; retrying"),
        }
        tokio::select! {
            () = context.stopping().cancelled() => break,
            () = wakes.recv() => {}
            () = pulse.idle(tokio::time::sleep(poll_interval())) => {}
        }
    }
    decider.connection.close().await;
    Ok(())
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// It claimed as many events as it may. There may be more.
    Full,
    /// It also decided a suspect, so the next suspect may follow at once.
    DecidedSuspect,
    /// The queue is empty, or nearly.
    Drained,
}

/// Decides pending events, claim by claim.
#[derive(Debug)]
pub struct Decider {
    context: Context,
    connection: DedicatedConnection,
    /// As of the version of the definitions that they were loaded at. Loaded again when the version has changed.
    rules: CachedRules,
    status: Status,
}

impl Decider {
    pub fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            connection: DedicatedConnection::for_pool(&context.pool),
            rules: CachedRules::default(),
            status: Status::default(),
        }
    }

    /// Claims a batch and decides it. With `suspects`, also one suspect: an event that failed before.
    pub async fn round(&mut self, suspects: bool) -> Result<Round, Error> {
        let lease = self.context.config.executor.lease();
        let claim = async |connection: &mut PgConnection| event_queue::claim(connection, BATCH, lease).await;
        let claimed = self.connection.with_timeout(write::TIMEOUT, claim).await?;
        announce::system_events(&*self.context.bus, &claimed);
        let full = i64::try_from(claimed.len()).is_ok_and(|count| count >= BATCH);
        self.decide_or_release(claimed).await?;
        if suspects
            && let Some(suspect) = with_default_timeout(event_queue::claim_suspect(&self.context.pool, lease)).await?
        {
            let decided = self.decide_or_release(vec![suspect]).await?;
            return Ok(if decided { Round::DecidedSuspect } else { Round::Full });
        }
        Ok(if full { Round::Full } else { Round::Drained })
    }

    /// Decides the claimed events, or releases them back into the queue. Returns whether they are decided.
    async fn decide_or_release(&mut self, mut claimed: Vec<Claimed>) -> Result<bool, Error> {
        if claimed.is_empty() {
            return Ok(true);
        }
        let decided = self.decide(&mut claimed).await;
        if let Err(error) = &decided {
            // An outage does not count as a try. A statement that the database refused does, and so does one that hangs while
            // the database answers others. Should the hanging one be committed after all, the event has left its queue.
            let refused = error.as_database_error().is_some() && !is_unavailable(error) && !is_retryable(error);
            let tried = refused || (is_timeout(error) && self.database_responds().await);
            tracing::warn!(%error, events = claimed.len(), tried, "failed to write a decision");
            let reason = Some("its decision could not be written");
            with_default_timeout(event_queue::give_back(&self.context.pool, &claimed, tried, reason)).await?;
            if !tried {
                tokio::time::sleep(poll_interval()).await;
            }
        }
        Ok(decided.unwrap_or(false))
    }

    /// Queries the rules as a probe: they are needed next, and they have nothing to do with the events.
    async fn database_responds(&mut self) -> bool {
        with_timeout(RESPONSE_TIMEOUT, self.rules.load(&self.context.pool))
            .await
            .is_ok()
    }

    async fn decide(&mut self, claimed: &mut [Claimed]) -> Result<bool, Error> {
        let started = Instant::now();
        failpoint::hit("t2.claimed").await;
        with_default_timeout(event_queue::load(&self.context.pool, claimed)).await?;
        for _ in 0..STALE_MAX {
            let rules = with_default_timeout(self.rules.get_or_load(&self.context.pool)).await?;
            let depth_max = self.context.config.limits.chain_depth;
            let decisions = evaluate::decisions(&rules, claimed, depth_max).await;
            let loops = loops(&decisions);
            if write::decisions(&self.context, &mut self.connection, rules.version, decisions).await? {
                trace(claimed, started.elapsed());
                self.status.skipped_loops(&loops, clock::now());
                return Ok(true);
            }
            self.rules.clear();
        }
        let reason = Some("definitions kept changing");
        with_default_timeout(event_queue::give_back(&self.context.pool, claimed, false, reason)).await?;
        Ok(false)
    }
}

/// The rules that the loop guard skipped.
fn loops(decisions: &[Decision]) -> Vec<RuleRef> {
    let enforcements = decisions.iter().flat_map(|decision| &decision.enforcements);
    enforcements
        .filter(|enforcement| enforcement.reason.as_deref().is_some_and(is_loop))
        .map(|enforcement| enforcement.rule_ref.clone())
        .collect()
}

fn trace(claimed: &[Claimed], took: Duration) {
    for event in claimed.iter().filter_map(|claim| claim.event.as_ref()) {
        telemetry::followed(
            "decide",
            event.trace_id,
            took,
            &[("event_id", &event.id), ("trigger_ref", &event.trigger_ref)],
        );
    }
}
