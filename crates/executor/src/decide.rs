//! T2: events meet the rules of their triggers.
//!
//! Claim (cheap to lose), evaluate outside any transaction, then one statement in which the events leave their queue and
//! all that follows appears. Whoever dies in between leaves the queue rows, and their lease runs out.

use crate::{
    admit,
    rules::{Rule, Rules},
};
use attune_common::{
    bus::{Feed, FeedKind, Wake},
    failpoint,
    service::{Context, poll_interval},
    store::{
        DedicatedConnection, Error, PgConnection,
        decision::{self, Decision, NewEnforcement, NewExecution, Written},
        event_queue::{self, Claimed, EventRow},
        is_retryable, is_timeout, is_unavailable, with_default_timeout, with_timeout,
    },
    telemetry,
};
use attune_domain::{
    EnforcementId, EventId, ExecutionId, event::EventFacts, occurrence::EnforcementStatus, policy::Gates, rule,
};
use serde_json::Value;
use std::{
    collections::{BTreeSet, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// Events in one claim.
const BATCH: i64 = 100;
/// Enforcements in one statement: a thousand rules on one event must not make one huge statement of a hundred events.
const ENFORCEMENTS_MAX: usize = 2_000;
/// How often a decision is made again because definitions changed meanwhile, before the events go back.
const STALE_MAX: usize = 5;
/// A database that does not answer in this time is away.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// One that answers in this time is well: what hung before it hung by itself.
const WELL_WITHIN: Duration = Duration::from_secs(2);

/// Decides events until the process stops.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let mut decider = Decider::new(&context);
    let wakes = context.bus.wakes(Wake::Events);
    let pulse = context.health.pulse("executor", "decide");
    let mut suspects_at = Instant::now();
    while !context.stopping().is_cancelled() {
        pulse.beat();
        // By the clock, not when nothing happens: under load nothing would ever be idle.
        let suspects = Instant::now() >= suspects_at;
        if suspects {
            suspects_at = Instant::now() + poll_interval();
        }
        match decider.round(suspects).await {
            Ok(Taken::Some) => {}
            Ok(taken) => {
                if taken == Taken::Suspect {
                    suspects_at = Instant::now();
                }
                // There may be more than this executor can take.
                context.bus.wake(Wake::Events);
                continue;
            }
            Err(error) => tracing::warn!(%error, "events cannot be decided; trying again"),
        }
        tokio::select! {
            () = context.stopping().cancelled() => break,
            () = wakes.recv() => {}
            () = pulse.idle(tokio::time::sleep(poll_interval())) => {}
        }
    }
    decider.line.close().await;
    Ok(())
}

/// What a claim found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// As much as it may take: there may be more.
    All,
    /// Also one that failed before, and it is decided: the next of them may have its turn.
    Suspect,
    /// Less than that, or nothing.
    Some,
}

/// Decides what is pending, claim by claim.
#[derive(Debug)]
pub struct Decider {
    context: Context,
    line: DedicatedConnection,
    /// As of the definitions' version that they were loaded at; loaded again when there is another.
    rules: Option<Rules>,
}

impl Decider {
    pub fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            line: DedicatedConnection::for_pool(&context.pool),
            rules: None,
        }
    }

    /// One claim and everything that follows from it. With `suspects`, also one event that failed before.
    pub async fn round(&mut self, suspects: bool) -> Result<Taken, Error> {
        let lease = self.context.config.executor.lease();
        let claim = async |connection: &mut PgConnection| event_queue::claim(connection, BATCH, lease).await;
        let claimed = self.line.with_timeout(ANSWERED_WITHIN, claim).await?;
        let full = i64::try_from(claimed.len()).is_ok_and(|taken| taken >= BATCH);
        self.settle(claimed).await?;
        if suspects
            && let Some(suspect) = with_default_timeout(event_queue::claim_suspect(&self.context.pool, lease)).await?
        {
            let decided = self.settle(vec![suspect]).await?;
            return Ok(if decided { Taken::Suspect } else { Taken::All });
        }
        Ok(if full { Taken::All } else { Taken::Some })
    }

    /// Decides what was claimed, or gives it back. Tells which.
    async fn settle(&mut self, mut claimed: Vec<Claimed>) -> Result<bool, Error> {
        if claimed.is_empty() {
            return Ok(true);
        }
        let decided = self.decide(&mut claimed).await;
        if let Err(error) = &decided {
            // A database that is ill is not the events' fault; a statement that it understood and refused is, and one that
            // hangs while others are answered. Should that one be written after all, the event has left its queue.
            let refused = error.as_database_error().is_some() && !is_unavailable(error) && !is_retryable(error);
            let tried = refused || (is_timeout(error) && self.is_well().await);
            tracing::warn!(%error, events = claimed.len(), tried, "a decision could not be written");
            let why = Some("its decision could not be written");
            with_default_timeout(event_queue::give_back(&self.context.pool, &claimed, tried, why)).await?;
            if !tried {
                tokio::time::sleep(poll_interval()).await;
            }
        }
        Ok(decided.unwrap_or(false))
    }

    /// Does the database answer? Asked for the rules: they are needed next, and have nothing to do with the events.
    async fn is_well(&mut self) -> bool {
        self.rules = with_timeout(WELL_WITHIN, Rules::load(&self.context.pool)).await.ok();
        self.rules.is_some()
    }

    async fn decide(&mut self, claimed: &mut [Claimed]) -> Result<bool, Error> {
        let started = Instant::now();
        failpoint::hit("t2.claimed").await;
        with_default_timeout(event_queue::load(&self.context.pool, claimed)).await?;
        for _ in 0..STALE_MAX {
            let rules = match self.rules.take() {
                Some(rules) => rules,
                None => with_default_timeout(Rules::load(&self.context.pool)).await?,
            };
            let decisions = evaluate(&rules, claimed).await;
            if self.write(rules.version, decisions).await? {
                self.rules = Some(rules);
                for event in claimed.iter().filter_map(|claim| claim.event.as_ref()) {
                    telemetry::followed(
                        "decide",
                        event.trace_id,
                        started.elapsed(),
                        &[("event_id", &event.id), ("trigger_ref", &event.trigger_ref)],
                    );
                }
                return Ok(true);
            }
        }
        let why = Some("definitions kept changing");
        with_default_timeout(event_queue::give_back(&self.context.pool, claimed, false, why)).await?;
        Ok(false)
    }

    /// Writes decisions, in statements of bounded size. False: definitions have changed, and the rest has to be made again.
    async fn write(&mut self, version: i64, decisions: Vec<Decision>) -> Result<bool, Error> {
        let mut part = Vec::new();
        let mut size = 0;
        for decision in decisions {
            size += decision.enforcements.len();
            part.push(decision);
            if size >= ENFORCEMENTS_MAX {
                size = 0;
                if !self.write_part(version, std::mem::take(&mut part)).await? {
                    return Ok(false);
                }
            }
        }
        self.write_part(version, part).await
    }

    /// What has nothing to pass is written as it is, in one statement; the rest is admitted first.
    async fn write_part(&mut self, version: i64, decisions: Vec<Decision>) -> Result<bool, Error> {
        let (gated, decisions): (Vec<_>, Vec<_>) = decisions.into_iter().partition(admit::is_gated);
        if !with_default_timeout(admit::write(&self.context, version, gated)).await? {
            return Ok(false);
        }
        if decisions.is_empty() {
            return Ok(true);
        }
        let told = Told::new(&decisions);
        failpoint::hit("t2.before_commit").await;
        let write = async |connection: &mut PgConnection| decision::write(connection, version, decisions).await;
        match self.line.with_timeout(ANSWERED_WITHIN, write).await? {
            Written::Stale => Ok(false),
            Written::Decided(ours) => {
                failpoint::hit("t2.after_commit").await;
                told.of(&ours).tell(&self.context);
                Ok(true)
            }
        }
    }
}

async fn evaluate(rules: &Rules, claimed: &[Claimed]) -> Vec<Decision> {
    let started = Instant::now();
    let mut decisions = Vec::with_capacity(claimed.len());
    for claim in claimed {
        // An event that retention has removed leaves its queue without a decision about any rule.
        let event = claim.event.as_ref();
        let rules = event.map_or(&[] as &[Rule], |event| rules.of(event.trigger_id));
        decisions.push(Decision {
            event_id: claim.event_id,
            tries: claim.tries,
            rules: i32::try_from(rules.len()).unwrap_or(i32::MAX),
            enforcements: event.map_or_else(Vec::new, |event| enforcements(rules, event)),
        });
        // Many rules take long; let others run in between.
        tokio::task::yield_now().await;
    }
    metrics::histogram!("attune_rule_evaluation_seconds").record(started.elapsed().as_secs_f64());
    decisions
}

fn enforcements(rules: &[Rule], event: &EventRow) -> Vec<NewEnforcement> {
    if rules.is_empty() {
        return Vec::new();
    }
    let facts = EventFacts::new(
        event.id,
        event.trigger_id,
        &event.trigger_ref,
        event.payload.clone(),
        event.received_at,
        event.scheduled_at,
    );
    rules
        .iter()
        .filter_map(|rule| enforcement(rule, &facts, event))
        .collect()
}

/// What one rule does with one event: nothing, or a row.
fn enforcement(rule: &Rule, facts: &EventFacts, event: &EventRow) -> Option<NewEnforcement> {
    // A bug in the evaluation must not take the executor down with it: it is a failed enforcement like any other.
    let decision = catch_unwind(AssertUnwindSafe(|| rule::decide(&rule.compiled, facts))).unwrap_or_else(|_| {
        rule::Decision::Fail {
            reason: "the rule could not be evaluated: internal error".to_owned(),
        }
    });
    let (parameters, failure) = match decision {
        rule::Decision::Skip { .. } => return None,
        rule::Decision::Fail { reason } => (None, Some(reason)),
        rule::Decision::Enforce { parameters } if rule.action_enabled => (Some(parameters), None),
        rule::Decision::Enforce { parameters } => (
            Some(parameters),
            Some(format!(
                "the action {} is disabled, or its runtime or pack is",
                rule.compiled.action_ref
            )),
        ),
    };
    let (gates, failure) = match (&parameters, failure) {
        (Some(parameters), None) => match gates(rule, facts, parameters) {
            Ok(gates) => (gates, None),
            Err(reason) => (Gates::default(), Some(reason)),
        },
        (_, failure) => (Gates::default(), failure),
    };
    let id = EnforcementId::of(event.id, rule.compiled.id);
    let execution = failure.is_none().then(|| NewExecution {
        id: ExecutionId::of(id),
        action_ref: rule.compiled.action_ref.clone(),
        pool: rule.pool.clone(),
        timeout_seconds: rule.timeout_seconds,
        on_lost: rule.on_lost,
        attempts_max: rule.attempts_max,
        retry: rule.retry.clone(),
        trace_id: event.trace_id,
        waits_for: None,
    });
    Some(NewEnforcement {
        id,
        rule_id: rule.compiled.id,
        rule_ref: rule.compiled.r#ref.clone(),
        rule_version: rule.compiled.version,
        status: if failure.is_some() {
            EnforcementStatus::Failed
        } else {
            EnforcementStatus::Created
        },
        reason: failure,
        parameters,
        execution,
        gates,
    })
}

fn gates(rule: &Rule, facts: &EventFacts, parameters: &Value) -> Result<Gates, String> {
    catch_unwind(AssertUnwindSafe(|| rule.gates(facts, parameters)))
        .unwrap_or_else(|_| Err("the policies could not be evaluated: internal error".to_owned()))
}

/// What others hear once the decisions are committed.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pools: BTreeSet<String>,
    feeds: Vec<Feed>,
    statuses: Vec<(EventId, &'static str)>,
}

impl Told {
    pub(crate) fn new(decisions: &[Decision]) -> Self {
        let mut told = Self::default();
        for decision in decisions {
            for enforcement in &decision.enforcements {
                let feed = Feed {
                    event_id: Some(decision.event_id),
                    enforcement_id: Some(enforcement.id),
                    rule_ref: enforcement.rule_ref.parse().ok(),
                    ..Feed::new(FeedKind::enforcement(enforcement.status.as_str()))
                };
                told.statuses.push((decision.event_id, enforcement.status.as_str()));
                if let Some(execution) = &enforcement.execution {
                    if execution.waits_for.is_none() {
                        told.pools.insert(execution.pool.clone());
                    }
                    told.feeds.push(Feed {
                        kind: FeedKind::execution(execution.status()),
                        execution_id: Some(execution.id),
                        action_ref: execution.action_ref.parse().ok(),
                        ..feed.clone()
                    });
                }
                told.feeds.push(feed);
            }
        }
        told
    }

    /// Only what was written: an event that another executor took over is told by that one.
    pub(crate) fn of(mut self, ours: &[EventId]) -> Self {
        let ours: HashSet<_> = ours.iter().copied().collect();
        self.statuses.retain(|(event, _)| ours.contains(event));
        self.feeds
            .retain(|feed| feed.event_id.is_some_and(|event| ours.contains(&event)));
        self
    }

    pub(crate) fn tell(self, context: &Context) {
        for (_, status) in self.statuses {
            metrics::counter!("attune_enforcements_total", "status" => status).increment(1);
        }
        for pool in self.pools {
            context.bus.wake(Wake::executions(pool));
        }
        for feed in self.feeds {
            context.bus.feed(feed);
        }
    }
}
