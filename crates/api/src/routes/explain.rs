//! Explains why a rule ran or did not. It evaluates each rule of the trigger as it was when the event was decided, with
//! the same pure function as the executor. For a pending event, it evaluates the current rules.
//!
//! The tricky thing: a decision is only recorded if it created an enforcement, which also has the version of the rule. The
//! others are computed from `rule_history` by the time of the decision. Whether a pack was enabled, and the schema of an
//! action, have no history: where they could matter, the answer has a note.

use crate::{
    answer::One,
    api::Api,
    known,
    problem::Problem,
    request::{Id, Query, Texts, form},
};
use attune_common::store::{
    event,
    explain::{self, Enforced, RuleThen},
    known::Noun,
};
use attune_domain::{
    EnforcementId, EventId, ExecutionId, RuleId, RuleRef, TriggerId, TriggerRef,
    event::EventFacts,
    occurrence::{EnforcementStatus, EventStatus},
    parameters::Schema,
    raw::Raw,
    rule::{CompiledRule, Decision, RuleFacts, Why, decide},
    secret,
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use std::{collections::HashMap, sync::Arc};
use utoipa::ToSchema;

const RULES_MAX: u16 = 1_000;

form! {
    pub struct ExplainFilter {
        /// Only these rules; separate several with commas.
        #[schema(inline)]
        rule_ref: Option<Texts>,
        /// The maximum number of rules; those that matched come first.
        #[schema(minimum = 1, maximum = 1000)]
        limit: u16 where (1..=RULES_MAX) = 200,
    }
}

/// How each rule of the trigger evaluated an event.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    event_id: EventId,
    #[schema(value_type = String)]
    trigger_ref: TriggerRef,
    status: EventStatus,
    /// When the event was decided: the rules are as of then. Null: the event is pending, and the rules are the current ones.
    decided_at: Option<DateTime<Utc>>,
    rules: Vec<Explained>,
    /// How many rules are not included; select some with `rule_ref`.
    omitted: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Explained {
    rule_id: RuleId,
    #[schema(value_type = String)]
    rule_ref: RuleRef,
    rule_version: i64,
    #[serde(flatten)]
    decision: Decision,
    /// The enforcement of the rule, if the event is decided.
    enforcement_id: Option<EnforcementId>,
    enforcement_status: Option<EnforcementStatus>,
    /// Why there is no execution although the rule matched, or why the decision failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    execution_id: Option<ExecutionId>,
    /// What is no longer known.
    note: Option<&'static str>,
}

pub async fn event(
    State(api): State<Api>,
    Id(id): Id<EventId>,
    Query(params): Query<ExplainFilter>,
) -> Result<One<Explanation>, Problem> {
    known::check(&api.pool, &[("rule_ref", Noun::Rule, params.rule_ref.as_ref())]).await?;
    let explained = explanation(&api, id, params.rule_ref.as_ref(), usize::from(params.limit)).await?;
    explained.map(One::new).ok_or_else(|| Problem::not_found("event", id))
}

/// How the rules evaluated an event; `None` if it does not exist.
pub(super) async fn explanation(
    api: &Api,
    id: EventId,
    refs: Option<&Texts>,
    limit: usize,
) -> Result<Option<Explanation>, Problem> {
    let Some(row) = explain::event(&api.pool, id).await? else {
        return Ok(None);
    };
    let status = event::get(&api.pool, id)
        .await?
        .map_or(EventStatus::Decided, |event| event.status);
    let enforced = explain::enforced(&api.pool, id).await?;
    let versions: Vec<_> = enforced.iter().map(|row| (row.rule_id, row.rule_version)).collect();
    let rules = explain::rules(&api.pool, row.trigger_id, row.decided_at, &versions).await?;
    let facts = EventFacts::new(
        row.id,
        row.trigger_id,
        &row.trigger_ref,
        row.payload,
        row.received_at,
        row.scheduled_at,
    );
    let mut enforced: HashMap<_, _> = enforced.into_iter().map(|row| (row.rule_id, row)).collect();
    let selected = |rule: &RuleThen| refs.is_none_or(|any| any.0.iter().any(|named| rule.r#ref == *named.as_str()));
    let mut explained: Vec<_> = rules
        .into_iter()
        .filter(selected)
        .map(|rule| match enforced.remove(&rule.id) {
            Some(left) => of_enforcement(left),
            None => of_history(rule, &facts, row.decided_at.is_some()),
        })
        .collect();
    explained.sort_by_key(|rule| rule.enforcement_id.is_none());
    let omitted = explained.len().saturating_sub(limit);
    explained.truncate(limit);
    Ok(Some(Explanation {
        event_id: id,
        trigger_ref: row.trigger_ref,
        status,
        decided_at: row.decided_at,
        rules: explained,
        omitted,
    }))
}

/// The decision as its enforcement recorded it.
fn of_enforcement(row: Enforced) -> Explained {
    let (decision, reason) = match (row.status, row.parameters) {
        (EnforcementStatus::Failed, _) | (_, None) => {
            let reason = row.reason.unwrap_or_default();
            (Decision::Fail { reason }, None)
        }
        (_, Some(parameters)) => (Decision::Enforce { parameters }, row.reason),
    };
    Explained {
        rule_id: row.rule_id,
        rule_ref: row.rule_ref,
        rule_version: row.rule_version,
        decision,
        enforcement_id: Some(row.id),
        enforcement_status: Some(row.status),
        reason,
        execution_id: (row.status == EnforcementStatus::Created).then(|| ExecutionId::of(row.id)),
        note: None,
    }
}

/// The decision that a rule must have made, or would make.
fn of_history(rule: RuleThen, facts: &EventFacts, decided: bool) -> Explained {
    let (rule_id, rule_ref, rule_version) = (rule.id, rule.r#ref.clone(), rule.version);
    let pack_disabled = rule.pack_enabled == Some(false);
    let mut decision = decide(&compiled(rule, facts.trigger_id, decided), facts, &mut secret::mask);
    let mut note = None;
    if decided && !matches!(decision, Decision::Skip { .. }) {
        note = Some(if pack_disabled {
            "its pack is disabled now, and probably was when the event was decided"
        } else {
            "according to its history it should have matched: the rule, its pack or its action changed while the event was decided, or its enforcement has been removed since"
        });
        if pack_disabled {
            decision = Decision::Skip { why: Why::Disabled };
        }
    }
    Explained {
        rule_id,
        rule_ref,
        rule_version,
        decision,
        enforcement_id: None,
        enforcement_status: None,
        reason: None,
        execution_id: None,
        note,
    }
}

fn compiled(rule: RuleThen, trigger_id: TriggerId, decided: bool) -> CompiledRule {
    CompiledRule::compile(RuleFacts {
        id: rule.id,
        r#ref: rule.r#ref.into(),
        version: rule.version,
        created_at: rule.created_at,
        // The current state of the pack only matters for a pending event.
        enabled: rule.enabled && (decided || rule.pack_enabled != Some(false)),
        trigger_id,
        action_ref: rule.action_ref.map(String::from).unwrap_or_default(),
        condition: rule.condition.map(Raw::from),
        action_params: rule.action_params,
        schema: Arc::new(Schema::compile(&rule.parameters_schema.unwrap_or(Value::Null))),
    })
}
