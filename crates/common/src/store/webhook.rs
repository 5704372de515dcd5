//! Where a webhook's requests arrive, and what became of its events.

use super::Error;
use attune_domain::{EventId, TriggerId, id};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

/// The trigger behind an address.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub trigger_id: TriggerId,
    pub trigger_ref: String,
    /// Its secrets may be sealed.
    pub config: Value,
    /// The trigger and its pack.
    pub enabled: bool,
}

/// Looks an address up by the hash of its key.
pub async fn endpoint(pool: &PgPool, key_hash: &[u8; 32]) -> Result<Option<Endpoint>, Error> {
    sqlx::query_as!(
        Endpoint,
        r#"select t.id as trigger_id, t.ref as trigger_ref, t.config, t.enabled and p.enabled as "enabled!"
           from trigger t join pack p on p.id = t.pack_id
           where sha256(t.webhook_key::bytea) = $1 and t.webhook_key is not null and t.kind = 'webhook'"#,
        key_hash.as_slice()
    )
    .fetch_optional(pool)
    .await
}

/// What came of an event so far.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub execution_id: Uuid,
    pub rule_ref: Option<String>,
    pub action_ref: String,
    pub status: attune_domain::execution::ExecutionStatus,
    pub result: Option<Value>,
    pub error: Option<String>,
}

/// Nothing before the event is decided; then its executions.
pub async fn outcome(pool: &PgPool, event: EventId) -> Result<Option<Vec<Outcome>>, Error> {
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
    let rows = sqlx::query_as!(
        Outcome,
        r#"select id as "execution_id: Uuid", rule_ref, action_ref, status, result, error from execution
           where id >= $1 and id < $2 and event_id = $3 order by id"#,
        from,
        to,
        event.0
    )
    .fetch_all(pool)
    .await?;
    Ok(Some(rows))
}
