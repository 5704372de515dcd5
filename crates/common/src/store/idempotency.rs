//! `Idempotency-Key`: the response to the first request with a key, stored by the transaction that did the work.

use super::Error;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

/// A key belongs to a caller and a route: the same key of another caller or for another route is another key.
#[derive(Debug, Clone)]
pub struct Key {
    pub caller: String,
    pub route: String,
    pub key: String,
    pub body_hash: [u8; 32],
}

#[derive(Debug)]
pub enum Claim {
    /// Do the work, then [`remember`] the response in the same transaction.
    First,
    /// The work was done: this was the response.
    Repeat(Value),
    /// The key was used for another body.
    OtherBody,
    /// The first request with this key is still in progress.
    InFlight,
}

/// Must be the first call in the transaction that does the work.
pub async fn claim(connection: &mut PgConnection, key: &Key) -> Result<Claim, Error> {
    let lock = format!("idempotency\n{}\n{}\n{}", key.caller, key.route, key.key);
    let free = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as "free!""#,
        lock
    )
    .fetch_one(&mut *connection)
    .await?;
    if !free {
        return Ok(Claim::InFlight);
    }
    let known = sqlx::query!(
        "select body_hash, response from idempotency where caller = $1 and route = $2 and key = $3 and expires_at > db_now()",
        key.caller,
        key.route,
        key.key
    )
    .fetch_optional(connection)
    .await?;
    Ok(match known {
        None => Claim::First,
        Some(known) if known.body_hash == key.body_hash => Claim::Repeat(known.response),
        Some(_) => Claim::OtherBody,
    })
}

/// Stored for 24 hours.
pub async fn remember(connection: &mut PgConnection, key: &Key, response: &Value) -> Result<(), Error> {
    sqlx::query!(
        "insert into idempotency as i (caller, route, key, body_hash, response, expires_at)
         values ($1, $2, $3, $4, $5, db_now() + interval '24 hours')
         on conflict (caller, route, key) do update
             set body_hash = excluded.body_hash, response = excluded.response, created_at = db_now(), expires_at = excluded.expires_at",
        key.caller,
        key.route,
        key.key,
        key.body_hash.as_slice(),
        response
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Removes expired keys.
pub async fn purge(pool: &PgPool) -> Result<u64, Error> {
    sqlx::query!("delete from idempotency where expires_at <= db_now()")
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
}
