//! All rules with the required parts of their actions: the rules that an executor evaluates events with.

use super::Error;
use attune_domain::{
    ActionId, ActionRef, RuleId, RuleRef, TriggerId,
    condition::Condition,
    definition::{EntryKind, OnLost, OutputFormat, RuntimeKind, SecretDelivery},
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
    /// The current code of the action's pack.
    pub pack_hash: Option<String>,
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
                  a.parameters_schema, a.pool, case when ap.has_code then ap.hash end as pack_hash, a.timeout_seconds, a.on_lost,
                  coalesce(r.retry, a.retry) as "retry: Raw<RetryPolicy>",
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
    pub entry_kind: EntryKind,
    pub output_format: OutputFormat,
    pub runtime_kind: RuntimeKind,
    pub command: Vec<String>,
    pub file_command: Vec<String>,
    pub parameters_schema: Value,
    pub resources: Option<Raw<Resources>>,
    pub secrets: Value,
    pub secret_delivery: SecretDelivery,
}

/// The action as it is, or, with the hash of an earlier content of its pack, how that content runs it. What a person edited is
/// always as it is.
pub async fn action(pool: &PgPool, reference: &str, hash: Option<&str>) -> Result<Option<ActionRow>, Error> {
    sqlx::query_as!(
        ActionRow,
        r#"select a.ref, coalesce(o.entry_point, a.entry_point) as "entry_point!",
                  coalesce(o.entry_kind, a.entry_kind) as "entry_kind!: EntryKind",
                  coalesce(o.output_format, a.output_format) as "output_format!: OutputFormat",
                  t.kind as runtime_kind, t.command, t.file_command, a.parameters_schema, a.resources,
                  a.secrets, a.secret_delivery
           from action a join pack p on p.id = a.pack_id
           left join pack_archive h on h.hash = $2 and h.hash is distinct from p.hash and a.managed
           left join lateral jsonb_to_record(h.actions -> a.ref::text)
               as o (entry_point text, entry_kind text, runtime_ref text, output_format text) on true
           join runtime t on case when o.runtime_ref is null then t.id = a.runtime_id else t.ref = o.runtime_ref end
           where a.ref = $1"#,
        reference,
        hash
    )
    .fetch_optional(pool)
    .await
}
