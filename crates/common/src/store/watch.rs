//! For live streams: the changes since an instant, and the rule and action of an execution.

use super::Error;
use attune_domain::{ActionRef, EnforcementId, EventId, ExecutionId, RuleRef, TriggerRef, id};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use uuid::Uuid;

/// Ids start with the time of their cause, and what follows may be later by this much. Changes of older occurrences are
/// not found: there is no index by the time of a change.
const DELAY_MAX: TimeDelta = TimeDelta::minutes(10);

/// A change, as the feed would have sent it. Of an execution only the last one is stored.
#[derive(Debug, Clone)]
pub struct Change {
    /// `event.created`, `enforcement.<status>` or `execution.<status>`.
    pub kind: String,
    pub event_id: Option<Uuid>,
    pub enforcement_id: Option<Uuid>,
    pub execution_id: Option<Uuid>,
    pub trigger_ref: Option<TriggerRef>,
    pub rule_ref: Option<RuleRef>,
    pub action_ref: Option<ActionRef>,
    pub trace_id: Uuid,
    pub at: DateTime<Utc>,
}

/// The changes since an instant, oldest first.
pub async fn since(pool: &PgPool, at: DateTime<Utc>, limit: i64) -> Result<Vec<Change>, Error> {
    sqlx::query_as!(
        Change,
        r#"with changed as (
               select 'event.created' as kind, id as event_id, null::uuid as enforcement_id, null::uuid as execution_id,
                      trigger_ref, null::text as rule_ref, null::text as action_ref, trace_id, received_at as at
               from event where id >= $1 and received_at > $2
               union all
               select 'enforcement.' || status, event_id, id, null, null, rule_ref, null, event_id, created_at
               from enforcement where id >= $1 and created_at > $2
               union all
               select 'execution.' || status, event_id, enforcement_id, id, null, rule_ref, action_ref, trace_id,
                      greatest(created_at, started_at, finished_at)
               from execution where id >= $1 and greatest(created_at, started_at, finished_at) > $2
           )
           select c.kind as "kind!", c.event_id as "event_id: Uuid", c.enforcement_id as "enforcement_id: Uuid", c.execution_id as "execution_id: Uuid",
                  coalesce(c.trigger_ref, e.trigger_ref) as "trigger_ref: TriggerRef", c.rule_ref as "rule_ref: RuleRef",
                  c.action_ref as "action_ref: ActionRef", c.trace_id as "trace_id!: Uuid", c.at as "at!"
           from changed c left join event e on e.id = c.event_id and e.id >= $1
           order by c.at limit $3"#,
        id::floor(at - DELAY_MAX),
        at,
        limit
    )
    .fetch_all(pool)
    .await
}

/// The references of an execution.
#[derive(Debug, Clone, Default)]
pub struct Belonging {
    pub event_id: Option<EventId>,
    pub enforcement_id: Option<EnforcementId>,
    pub trigger_ref: Option<TriggerRef>,
    pub rule_ref: Option<RuleRef>,
    pub action_ref: Option<ActionRef>,
    pub trace_id: Option<Uuid>,
}

pub async fn belonging(pool: &PgPool, execution: ExecutionId) -> Result<Option<Belonging>, Error> {
    sqlx::query_as!(
        Belonging,
        r#"select x.event_id, x.enforcement_id, e.trigger_ref as "trigger_ref?", x.rule_ref, x.action_ref as "action_ref?",
                  x.trace_id as "trace_id?"
           from execution x left join event e on e.id = x.event_id where x.id = $1"#,
        execution.0
    )
    .fetch_optional(pool)
    .await
}

pub async fn trigger_of(pool: &PgPool, event: EventId) -> Result<Option<TriggerRef>, Error> {
    sqlx::query_scalar!("select trigger_ref from event where id = $1", event.0)
        .fetch_optional(pool)
        .await
}
