//! All rules with the required parts of their actions: the rules that an executor evaluates events with.

use super::Error;
use attune_domain::{
    ActionId, ActionRef, RuleId, RuleRef, TriggerId,
    condition::Condition,
    definition::{OnLost, OutputFormat, RuntimeKind},
    policy::{Concurrency, RateLimit},
    raw::Raw,
    resources::Resources,
    retry::RetryPolicy,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

#[derive(Debug, Clone)]
pub struct RuleRow {
    pub id: RuleId,
    pub r#ref: RuleRef,
    pub version: i64,
    pub trigger_id: TriggerId,
    pub created_at: DateTime<Utc>,
    /// The rule and its pack.
    pub enabled: bool,
    pub condition: Option<Raw<Condition>>,
    pub action_params: Value,
    pub action_ref: ActionRef,
    /// The action, its runtime and their packs.
    pub action_enabled: bool,
    pub parameters_schema: Value,
    pub pool: String,
    pub timeout_seconds: i32,
    pub on_lost: OnLost,
    /// The rule's, or else the action's.
    pub retry: Option<Raw<RetryPolicy>>,
    pub retry_is_rules: bool,
    pub action_id: ActionId,
    pub action_concurrency: Option<Raw<Concurrency<ActionId>>>,
    pub concurrency: Option<Raw<Concurrency<RuleId>>>,
    pub rate_limit: Option<Raw<RateLimit>>,
}

/// The counter of definitions.
pub async fn version(pool: &PgPool) -> Result<i64, Error> {
    sqlx::query_scalar!("select version from definitions")
        .fetch_one(pool)
        .await
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            RuleRow,
            r#"select r.id, r.ref, r.version, r.trigger_id, r.created_at, r.enabled and p.enabled as "enabled!",
                  r.condition, r.action_params, a.ref as action_ref,
                  a.enabled and ap.enabled and t.enabled as "action_enabled!",
                  a.parameters_schema, a.pool, a.timeout_seconds, a.on_lost, coalesce(r.retry, a.retry) as "retry: Raw<RetryPolicy>",
                  r.retry is not null as "retry_is_rules!",
                  a.id as action_id, a.concurrency as action_concurrency, r.concurrency, r.rate_limit
           from rule r
           join pack p on p.id = r.pack_id
           join action a on a.id = r.action_id
           join pack ap on ap.id = a.pack_id
           join runtime t on t.id = a.runtime_id "# + $tail,
            $($argument),*
        )
    };
}

pub async fn load(pool: &PgPool) -> Result<Vec<RuleRow>, Error> {
    select!("order by r.trigger_id, r.id",).fetch_all(pool).await
}

/// The rules of one trigger.
pub async fn of_trigger(pool: &PgPool, trigger: TriggerId) -> Result<Vec<RuleRow>, Error> {
    select!("where r.trigger_id = $1 order by r.id", trigger.0)
        .fetch_all(pool)
        .await
}

/// The parts of an action that a worker needs to run it.
#[derive(Debug, Clone)]
pub struct ActionRow {
    pub r#ref: ActionRef,
    pub entry_point: String,
    pub output_format: OutputFormat,
    pub runtime_kind: RuntimeKind,
    pub command: Vec<String>,
    pub parameters_schema: Value,
    pub resources: Option<Raw<Resources>>,
}

pub async fn action(pool: &PgPool, reference: &str) -> Result<Option<ActionRow>, Error> {
    sqlx::query_as!(
        ActionRow,
        "select a.ref, a.entry_point, a.output_format, t.kind as runtime_kind, t.command, a.parameters_schema,
                a.resources
         from action a join runtime t on t.id = a.runtime_id where a.ref = $1",
        reference
    )
    .fetch_optional(pool)
    .await
}
