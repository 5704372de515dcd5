//! The URLs of webhooks, and the outcome of their events.

use super::Error;
use crate::seal::Sealer;
use attune_domain::{ActionRef, EventId, RuleRef, TriggerId, TriggerRef, id, occurrence::EnforcementStatus};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;
use uuid::Uuid;

/// The trigger of a URL.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    /// Its secrets may be encrypted.
    pub config: Value,
    /// Whether the trigger and its pack are enabled.
    pub enabled: bool,
}

/// Finds a webhook by the hash of the key in its URL.
pub async fn endpoint(pool: &PgPool, key_hash: &[u8; 32]) -> Result<Option<Endpoint>, Error> {
    sqlx::query_as!(
        Endpoint,
        r#"select t.id as trigger_id, t.ref as trigger_ref, t.config, t.enabled and p.enabled as "enabled!"
           from trigger t join pack p on p.id = t.pack_id
           where t.kind = 'webhook' and (t.webhook_key_hash = $1 or t.webhook_key_previous_hash = $1 and t.webhook_key_previous_until > db_now())"#,
        key_hash.as_slice()
    )
    .fetch_optional(pool)
    .await
}

/// The key of a URL as it is stored: hashed for the lookup, encrypted for display. Without an encryption key it is stored in plain
/// text.
#[derive(Debug)]
pub struct Address {
    pub hash: [u8; 32],
    pub sealed: Option<String>,
    pub clear: Option<String>,
}

impl Address {
    pub fn new(sealer: &Sealer, key: &str, trigger_ref: &str) -> Self {
        let encrypted = sealer.seal_webhook_key(key, trigger_ref).ok();
        Self {
            hash: Sha256::digest(key).into(),
            clear: encrypted.is_none().then(|| key.to_owned()),
            sealed: encrypted,
        }
    }
}

/// The hashes of the keys of all webhooks.
pub async fn key_hashes(pool: &PgPool) -> Result<Vec<Vec<u8>>, Error> {
    sqlx::query_scalar!(
        r#"select webhook_key_hash as "hash!" from trigger where kind = 'webhook' and webhook_key_hash is not null
           union all
           select webhook_key_previous_hash from trigger
           where kind = 'webhook' and webhook_key_previous_hash is not null and webhook_key_previous_until > db_now()"#
    )
    .fetch_all(pool)
    .await
}

/// Gives a webhook a new URL; the previous one remains valid for `overlap_seconds`. Returns its end, or None while an earlier
/// predecessor is still valid, because that one would end early. Without an overlap every earlier URL ends at once.
pub async fn rotate_key(
    connection: &mut PgConnection,
    id: TriggerId,
    address: &Address,
    overlap_seconds: i64,
) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar!(
        r#"update trigger set webhook_key = $4, webhook_key_hash = $2, webhook_key_sealed = $5,
                  webhook_key_previous_hash = webhook_key_hash,
                  webhook_key_previous_until = db_now() + make_interval(secs => $3::bigint)
           where id = $1 and ($3::bigint = 0 or webhook_key_previous_until is null or webhook_key_previous_until <= db_now())
           returning webhook_key_previous_until as "until!""#,
        id.0,
        address.hash.as_slice(),
        overlap_seconds,
        address.clear,
        address.sealed
    )
    .fetch_optional(connection)
    .await
}

/// Updates a configuration in which only secrets changed.
pub async fn set_config(connection: &mut PgConnection, id: TriggerId, config: &Value) -> Result<(), Error> {
    sqlx::query!("update trigger set config = $2 where id = $1", id.0, config)
        .execute(connection)
        .await
        .map(drop)
}

/// A stored key that is to be encrypted, or encrypted again.
#[derive(Debug)]
pub struct StoredKey {
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub clear: Option<String>,
    pub sealed: Option<String>,
}

/// Keys that SQL wrote in plain text. Skips rows that another session has locked.
pub async fn lock_clear_keys(connection: &mut PgConnection) -> Result<Vec<StoredKey>, Error> {
    sqlx::query_as!(
        StoredKey,
        r#"select id as trigger_id, ref as "trigger_ref!", webhook_key as clear, webhook_key_sealed as sealed from trigger
           where webhook_key is not null order by id limit 500 for no key update skip locked"#
    )
    .fetch_all(connection)
    .await
}

/// All keys, locked until the transaction ends, for a new encryption key.
pub async fn lock_keys(connection: &mut PgConnection) -> Result<Vec<StoredKey>, Error> {
    sqlx::query_as!(
        StoredKey,
        r#"select id as trigger_id, ref as "trigger_ref!", webhook_key as clear, webhook_key_sealed as sealed from trigger
           where webhook_key_hash is not null order by id for no key update"#
    )
    .fetch_all(connection)
    .await
}

/// Replaces a key by its encrypted form.
pub async fn set_sealed_key(connection: &mut PgConnection, id: TriggerId, sealed: &str) -> Result<(), Error> {
    sqlx::query!(
        "update trigger set webhook_key = null, webhook_key_sealed = $2 where id = $1",
        id.0,
        sealed
    )
    .execute(connection)
    .await
    .map(drop)
}

/// All webhooks, locked until the transaction ends, for a new encryption key.
pub async fn lock_all(connection: &mut PgConnection) -> Result<Vec<Endpoint>, Error> {
    sqlx::query_as!(
        Endpoint,
        r#"select id as trigger_id, ref as "trigger_ref!", config, enabled from trigger where kind = 'webhook' order by id for update"#
    )
    .fetch_all(connection)
    .await
}

/// The outcome of an event so far.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub execution_id: Uuid,
    pub rule_ref: Option<RuleRef>,
    pub action_ref: ActionRef,
    pub status: attune_domain::execution::ExecutionStatus,
    pub result: Option<Value>,
    pub error: Option<String>,
}

/// A rule that matched and started no execution.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RuleFailure {
    #[schema(value_type = String)]
    pub rule_ref: RuleRef,
    pub status: EnforcementStatus,
    /// The reason, such as a failed template or a reached limit.
    pub reason: Option<String>,
}

#[derive(Debug, Default)]
pub struct Outcomes {
    pub executions: Vec<Outcome>,
    pub rules_failed: Vec<RuleFailure>,
}

/// None before the event is decided; then the outcome of its rules.
pub async fn outcome(pool: &PgPool, event: EventId) -> Result<Option<Outcomes>, Error> {
    let decided = sqlx::query_scalar!(
        r#"select exists (select from event_decision where event_id = $1) as "decided!""#,
        event.0
    )
    .fetch_one(pool)
    .await?;
    if !decided {
        return Ok(None);
    }
    let (from, to) = id::same_instant(event.0);
    let rules_failed = sqlx::query_as!(
        RuleFailure,
        r#"select rule_ref, status as "status: EnforcementStatus", reason from enforcement
           where id >= $1 and id < $2 and event_id = $3 and status <> 'created' order by rule_ref"#,
        from,
        to,
        event.0
    )
    .fetch_all(pool)
    .await?;
    let executions = sqlx::query_as!(
        Outcome,
        r#"select id as "execution_id: Uuid", rule_ref, action_ref, status, result, error from execution
           where id >= $1 and id < $2 and event_id = $3 order by id"#,
        from,
        to,
        event.0
    )
    .fetch_all(pool)
    .await?;
    Ok(Some(Outcomes {
        executions,
        rules_failed,
    }))
}
