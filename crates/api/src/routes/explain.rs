//! Why did a rule run, or not? Each rule of the event's trigger as it stood when the event was decided, asked the same
//! pure question that the executor asked. Of an event that waits, the rules as they stand now.
//!
//! The tricky thing: what was decided is known only where it left an enforcement, which also tells the rule's version.
//! The rest is worked out from `rule_history`, by the time of the decision. A pack's switch, an action and its schema
//! have no history: where that could make the difference, the answer says that it does not know.

use super::dry_run::DecisionFields;
use crate::{
    answer::One,
    api::Api,
    known,
    problem::Problem,
    request::{Id, OneOf, Query, form},
};
use attune_common::store::{
    event,
    explain::{self, Enforced, RuleThen},
    known::Noun,
};
use attune_domain::{
    EnforcementId, EventId, ExecutionId, RuleId, TriggerId,
    event::EventFacts,
    occurrence::{EnforcementStatus, EventStatus},
    parameters::Schema,
    rule::{CompiledRule, Decision, RuleFacts, Why, decide},
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
        /// Only these rules: one, or several with commas.
        #[schema(inline)]
        rule_ref: Option<OneOf<String>>,
        /// So many rules, those that matched first.
        limit: u16 = 200,
    }
}

/// What each rule of the event's trigger said to it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Explanation {
    event_id: EventId,
    trigger_ref: String,
    status: EventStatus,
    /// The rules are told as they stood then. Null: it waits, and they are told as they stand now.
    decided_at: Option<DateTime<Utc>>,
    rules: Vec<Explained>,
    /// Rules that are not told: ask for one by its reference.
    omitted: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Explained {
    rule_id: RuleId,
    rule_ref: String,
    rule_version: i64,
    #[serde(flatten)]
    #[schema(value_type = DecisionFields)]
    decision: Decision,
    /// What it left, once the event is decided.
    enforcement_id: Option<EnforcementId>,
    enforcement_status: Option<EnforcementStatus>,
    /// Why there is no execution, although it matched. A decision that failed has a reason of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    execution_id: Option<ExecutionId>,
    /// What cannot be known any more.
    note: Option<&'static str>,
}

pub async fn event(
    State(api): State<Api>,
    Id(id): Id<EventId>,
    Query(asked): Query<ExplainFilter>,
) -> Result<One<Explanation>, Problem> {
    if !(1..=RULES_MAX).contains(&asked.limit) {
        return Err(Problem::field(
            "limit",
            format!("is {}: must be 1 to {RULES_MAX}", asked.limit),
        ));
    }
    known::check(&api.pool, &[("rule_ref", Noun::Rule, asked.rule_ref.as_ref())]).await?;
    let row = explain::event(&api.pool, id).await?;
    let row = row.ok_or_else(|| Problem::not_found("event", id))?;
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
    let wanted = |rule: &RuleThen| asked.rule_ref.as_ref().is_none_or(|any| any.0.contains(&rule.r#ref));
    let mut explained: Vec<_> = rules
        .into_iter()
        .filter(wanted)
        .map(|rule| match enforced.remove(&rule.id) {
            Some(left) => of_enforcement(left),
            None => of_history(rule, &facts, row.decided_at.is_some()),
        })
        .collect();
    explained.sort_by_key(|rule| rule.enforcement_id.is_none());
    let limit = usize::from(asked.limit);
    let omitted = explained.len().saturating_sub(limit);
    explained.truncate(limit);
    Ok(One::new(Explanation {
        event_id: id,
        trigger_ref: row.trigger_ref,
        status,
        decided_at: row.decided_at,
        rules: explained,
        omitted,
    }))
}

/// What was decided stands in the enforcement.
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

/// What a rule must have said, or would say.
fn of_history(rule: RuleThen, facts: &EventFacts, decided: bool) -> Explained {
    let (rule_id, rule_ref, rule_version) = (rule.id, rule.r#ref.clone(), rule.version);
    let pack_off = rule.pack_enabled == Some(false);
    let mut decision = decide(&compiled(rule, facts.trigger_id, decided), facts);
    let mut note = None;
    if decided && !matches!(decision, Decision::Skip { .. }) {
        note = Some(if pack_off {
            "its pack is switched off now, and probably was when the event was decided"
        } else {
            "by its history it should have matched: it, its pack or its action was changed while the event was decided, or its enforcement has been removed since"
        });
        if pack_off {
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
        r#ref: rule.r#ref,
        version: rule.version,
        created_at: rule.created_at,
        // The pack as it is now says something of now only.
        enabled: rule.enabled && (decided || rule.pack_enabled != Some(false)),
        trigger_id,
        action_ref: rule.action_ref.unwrap_or_default(),
        condition: rule.condition,
        action_params: rule.action_params,
        schema: Arc::new(Schema::compile(&rule.parameters_schema.unwrap_or(Value::Null))),
    })
}
