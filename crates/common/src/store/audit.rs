//! Who did what: appended in the transaction that did it, never changed.

use super::Error;
use sqlx::PgConnection;

#[derive(Debug, Default)]
pub struct Entry<'a> {
    pub actor: &'a str,
    pub address: Option<&'a str>,
    pub verb: &'a str,
    pub object: &'a str,
    pub before_hash: Option<String>,
    pub after_hash: Option<String>,
    pub request_id: Option<&'a str>,
}

pub async fn append(connection: &mut PgConnection, entry: &Entry<'_>) -> Result<(), Error> {
    sqlx::query!(
        "insert into audit (actor, address, verb, object, before_hash, after_hash, request_id) values ($1, $2, $3, $4, $5, $6, $7)",
        entry.actor,
        entry.address,
        entry.verb,
        entry.object,
        entry.before_hash,
        entry.after_hash,
        entry.request_id
    )
    .execute(connection)
    .await
    .map(drop)
}
