//! Evaluates claimed events against the rules in memory, outside any transaction.
//!
//! It is pure apart from a metric. A panic in an expression fails its enforcement and never the executor.

use crate::rules::{Rule, Rules};
use attune_common::store::{
    decision::{Decision, NewEnforcement, NewExecution},
    event_queue::{Claimed, EventRow},
};
use attune_domain::{
    EnforcementId, ExecutionId, chain::loop_reason, event::EventFacts, occurrence::EnforcementStatus, policy::Gates,
    rule, secret::Path,
};
use serde_json::Value;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

/// One decision for each claimed event.
pub(super) async fn decisions(rules: &Rules, claimed: &[Claimed], depth_max: usize) -> Vec<Decision> {
    let started = Instant::now();
    let mut decisions = Vec::with_capacity(claimed.len());
    for claim in claimed {
        decisions.push(decision(rules, claim, depth_max));
        // Many rules take long; other tasks run in between.
        tokio::task::yield_now().await;
    }
    metrics::histogram!("attune_rule_evaluation_seconds").record(started.elapsed().as_secs_f64());
    decisions
}

/// `depth_max`: rules do not run for an event with a longer chain.
pub(super) fn decision(rules: &Rules, claim: &Claimed, depth_max: usize) -> Decision {
    // An event that retention has removed leaves its queue without an enforcement.
    let event = claim.event.as_ref();
    let matching = event.map_or(&[] as &[Rule], |event| rules.of(event.trigger_id));
    Decision {
        event_id: claim.event_id,
        tries: claim.tries,
        rules: i32::try_from(matching.len()).unwrap_or(i32::MAX),
        enforcements: event.map_or_else(Vec::new, |event| enforcements(rules, matching, event, depth_max)),
    }
}

fn enforcements(rules: &Rules, matching: &[Rule], event: &EventRow, depth_max: usize) -> Vec<NewEnforcement> {
    if matching.is_empty() {
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
    matching
        .iter()
        .filter_map(|rule| enforcement(rules, rule, &facts, event))
        .map(|enforcement| guarded(enforcement, event, depth_max))
        .collect()
}

/// The enforcement of one rule for one event. None: the rule does not match.
fn enforcement(rules: &Rules, rule: &Rule, facts: &EventFacts, event: &EventRow) -> Option<NewEnforcement> {
    // A bug in the evaluation must not crash the executor: it becomes a failed enforcement like any other.
    let sealer = rules.sealer(rule);
    let mut seal = |path: &Path, value: &Value| sealer.seal(path, value);
    let decision =
        catch_unwind(AssertUnwindSafe(|| rule::decide(&rule.compiled, facts, &mut seal))).unwrap_or_else(|_| {
            rule::Decision::Fail {
                reason: "failed to evaluate the rule: internal error".to_owned(),
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
                rule.action_ref
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
        action_ref: rule.action_ref.clone(),
        pool: rule.pool.clone(),
        timeout_seconds: rule.timeout_seconds,
        on_lost: rule.on_lost,
        attempts_max: rule.attempts_max,
        retry: rule.retry.clone(),
        trace_id: event.trace_id,
        chain: event.chain.clone(),
        pack_hash: rule.pack_hash.clone(),
        waits_for: None,
        claimed: false,
    });
    Some(NewEnforcement {
        id,
        rule_id: rule.compiled.id,
        rule_ref: rule.rule_ref.clone(),
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

/// Skips an enforcement in a loop. Also one that failed: an event about the failure would follow, and the rule may fail on it.
fn guarded(mut enforcement: NewEnforcement, event: &EventRow, depth_max: usize) -> NewEnforcement {
    let chain = event.chain.as_deref().unwrap_or_default();
    if let Some(reason) = loop_reason(chain, enforcement.rule_id, depth_max) {
        enforcement.status = EnforcementStatus::Skipped;
        enforcement.reason = Some(reason);
        enforcement.execution = None;
        enforcement.gates = Gates::default();
    }
    enforcement
}

fn gates(rule: &Rule, facts: &EventFacts, parameters: &Value) -> Result<Gates, String> {
    catch_unwind(AssertUnwindSafe(|| rule.gates(facts, parameters)))
        .unwrap_or_else(|_| Err("failed to evaluate the policies: internal error".to_owned()))
}
