//! `Idempotency-Key`: the response to the first request with a key, stored by the transaction that did the work.

use super::Error;
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

/// A key belongs to a caller and a route: the same key of another caller or for another route is another key.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Must be the first call in the transaction that does the work. The keys must be different; the claims are in their order.
pub async fn claim(connection: &mut PgConnection, keys: &[&Key]) -> Result<Vec<Claim>, Error> {
    let columns = Columns::of(keys);
    let locks: Vec<String> = keys
        .iter()
        .map(|key| format!("idempotency\n{}\n{}\n{}", key.caller, key.route, key.key))
        .collect();
    let free = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended(lock, 0)) as "free!"
           from unnest($1::text[]) with ordinality as given (lock, place) order by place"#,
        &locks
    )
    .fetch_all(&mut *connection)
    .await?;
    // A statement of its own, which sees what the last holder of a lock has committed.
    let known = sqlx::query!(
        r#"select i.body_hash as "body_hash?", i.response as "response?"
           from unnest($1::text[], $2::text[], $3::text[]) with ordinality as given (caller, route, key, place)
           left join lateral (
               select * from idempotency
               where caller = given.caller and route = given.route and key = given.key and expires_at > db_now() offset 0
           ) i on true
           order by place"#,
        &columns.callers,
        &columns.routes,
        &columns.keys
    )
    .fetch_all(connection)
    .await?;
    let claims = keys.iter().zip(free).zip(known).map(|((key, free), known)| {
        if !free {
            return Claim::InFlight;
        }
        match (known.body_hash, known.response) {
            (Some(body_hash), Some(response)) if body_hash == key.body_hash => Claim::Repeat(response),
            (Some(_), _) => Claim::OtherBody,
            (None, _) => Claim::First,
        }
    });
    Ok(claims.collect())
}

#[derive(Debug, Default)]
struct Columns {
    callers: Vec<String>,
    routes: Vec<String>,
    keys: Vec<String>,
    body_hashes: Vec<Vec<u8>>,
}

impl Columns {
    fn of(keys: &[&Key]) -> Self {
        let mut columns = Self::default();
        for key in keys {
            columns.callers.push(key.caller.clone());
            columns.routes.push(key.route.clone());
            columns.keys.push(key.key.clone());
            columns.body_hashes.push(key.body_hash.to_vec());
        }
        columns
    }
}

/// Stored for 24 hours.
pub async fn remember(connection: &mut PgConnection, keys: &[&Key], responses: &[Value]) -> Result<(), Error> {
    let columns = Columns::of(keys);
    sqlx::query!(
        "insert into idempotency as i (caller, route, key, body_hash, response, expires_at)
         select caller, route, key, body_hash, response, db_now() + interval '24 hours'
         from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::jsonb[]) as given (caller, route, key, body_hash, response)
         on conflict (caller, route, key) do update
             set body_hash = excluded.body_hash, response = excluded.response, created_at = db_now(), expires_at = excluded.expires_at",
        &columns.callers,
        &columns.routes,
        &columns.keys,
        &columns.body_hashes,
        responses
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
