//! Explains a decision afterwards: the rules as they were then, or as they are now.

use super::Error;
use attune_domain::{ActionRef, EventId, RuleId, RuleRef, TriggerId, TriggerRef};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

/// An event, as it was for the decision.
#[derive(Debug, Clone)]
pub struct EventRow {
    pub id: EventId,
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub payload: Value,
    pub received_at: DateTime<Utc>,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub decided_at: Option<DateTime<Utc>>,
}

pub async fn event(pool: &PgPool, id: EventId) -> Result<Option<EventRow>, Error> {
    sqlx::query_as!(
        EventRow,
        r#"select e.id, e.trigger_id, e.trigger_ref, e.payload, e.received_at, e.scheduled_at, d.decided_at as "decided_at?"
           from event e left join event_decision d on d.event_id = e.id where e.id = $1"#,
        id.0
    )
    .fetch_optional(pool)
    .await
}

/// A rule as it was at an instant.
#[derive(Debug, Clone)]
pub struct RuleThen {
    pub id: RuleId,
    pub r#ref: RuleRef,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub enabled: bool,
    pub condition: Option<Value>,
    pub action_params: Value,
    /// The current action and its schema. None if the action no longer exists.
    pub action_ref: Option<ActionRef>,
    pub parameters_schema: Option<Value>,
    /// The current pack of the rule. Its history is not stored.
    pub pack_enabled: Option<bool>,
}

/// The rules of a trigger at an instant (`None`: now), and those that exist now but did not then. A rule with an enforcement is
/// returned in the version of that enforcement.
pub async fn rules(
    pool: &PgPool,
    trigger: TriggerId,
    at: Option<DateTime<Utc>>,
    enforced: &[(RuleId, i64)],
) -> Result<Vec<RuleThen>, Error> {
    let (ids, versions): (Vec<i64>, Vec<i64>) = enforced.iter().map(|(id, version)| (id.0, *version)).unzip();
    sqlx::query_as!(
        RuleThen,
        r#"with candidate as (
               select distinct rule_id from rule_history where trigger_id = $1
           ),
           state as (
               select distinct on (h.rule_id) h.*
               from candidate c
               join rule_history h using (rule_id)
               left join unnest($3::bigint[], $4::bigint[]) as e (rule_id, version) on e.rule_id = h.rule_id
               where case when e.version is not null then h.version = e.version and not h.deleted
                          -- A rule that is younger than the instant is returned in its first version.
                          else $2::timestamptz is null or h.changed_at <= $2 or (h.version = 1 and not h.deleted) end
               order by h.rule_id, h.version desc, h.deleted desc
           )
           select s.rule_id as "id!", s.ref as "ref!", s.version as "version!", s.created_at as "created_at!", s.enabled as "enabled!",
                  s.condition, s.action_params as "action_params!", a.ref as "action_ref?", a.parameters_schema as "parameters_schema?",
                  p.enabled as "pack_enabled?"
           from state s
           left join action a on a.id = s.action_id
           left join rule r on r.id = s.rule_id
           left join pack p on p.id = r.pack_id
           where s.trigger_id = $1 and not s.deleted
           order by s.ref"#,
        trigger.0,
        at,
        &ids,
        &versions
    )
    .fetch_all(pool)
    .await
}

/// An enforcement with the version of its rule.
#[derive(Debug, Clone)]
pub struct Enforced {
    pub id: attune_domain::EnforcementId,
    pub rule_id: RuleId,
    pub rule_ref: RuleRef,
    pub rule_version: i64,
    pub status: attune_domain::occurrence::EnforcementStatus,
    pub reason: Option<String>,
    pub parameters: Option<Value>,
    pub created_at: DateTime<Utc>,
}

pub async fn enforced(pool: &PgPool, event: EventId) -> Result<Vec<Enforced>, Error> {
    let (from, to) = attune_domain::id::same_instant(event.0);
    sqlx::query_as!(
        Enforced,
        "select id, rule_id, rule_ref, rule_version, status, reason, parameters, created_at from enforcement
         where id >= $1 and id < $2 and event_id = $3 order by rule_ref",
        from,
        to,
        event.0
    )
    .fetch_all(pool)
    .await
}
