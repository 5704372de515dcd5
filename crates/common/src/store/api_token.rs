//! API tokens. A token that another token created ends with it: revoking one revokes all its descendants.

use super::Error;
use attune_domain::{
    IdentityId,
    identity::{ApiToken, Role},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// A token to create. The caller holds the lock of its owner's row (`identity::lock`).
#[derive(Debug)]
pub struct NewToken<'a> {
    pub owner: IdentityId,
    /// The token that creates it.
    pub parent: Option<i64>,
    pub label: &'a str,
    pub prefix: &'a str,
    pub hash: &'a [u8],
    pub role: Role,
    pub expires_at: Option<DateTime<Utc>>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            ApiToken,
            "select t.id, i.login, t.label, t.prefix, t.role, t.parent_id, t.expires_at, t.last_used_at, t.revoked_at, t.created_at
             from api_token t join identity i on i.id = t.identity_id " + $tail,
            $($argument),*
        )
    };
}

pub async fn insert(connection: &mut PgConnection, token: &NewToken<'_>) -> Result<i64, Error> {
    sqlx::query_scalar!(
        "insert into api_token (identity_id, parent_id, label, prefix, hash, role, expires_at) values ($1, $2, $3, $4, $5, $6, $7)
         returning id",
        token.owner.0,
        token.parent,
        token.label,
        token.prefix,
        token.hash,
        token.role as Role,
        token.expires_at
    )
    .fetch_one(connection)
    .await
}

/// A token that is neither revoked nor expired.
pub async fn live(connection: &mut PgConnection, id: i64) -> Result<Option<ApiToken>, Error> {
    select!(
        "where t.id = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > db_now())",
        id
    )
    .fetch_optional(connection)
    .await
}

/// One token, whatever its state; `owner` restricts the search to one identity's tokens.
pub async fn get(
    connection: &mut PgConnection,
    id: i64,
    owner: Option<IdentityId>,
) -> Result<Option<(IdentityId, ApiToken)>, Error> {
    let found = select!(
        "where t.id = $1 and ($2::bigint is null or t.identity_id = $2)",
        id,
        owner.map(|id| id.0)
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(token) = found else { return Ok(None) };
    let owner = sqlx::query_scalar!(
        r#"select identity_id as "id: IdentityId" from api_token where id = $1"#,
        id
    )
    .fetch_one(connection)
    .await?;
    Ok(Some((owner, token)))
}

/// Tokens of one owner, or of everyone, newest first.
pub async fn page(
    pool: &PgPool,
    owner: Option<IdentityId>,
    before: Option<i64>,
    rows: i64,
) -> Result<Vec<ApiToken>, Error> {
    select!(
        "where ($1::bigint is null or t.identity_id = $1) and ($2::bigint is null or t.id < $2) order by t.id desc limit $3",
        owner.map(|id| id.0),
        before,
        rows
    )
    .fetch_all(pool)
    .await
}

/// The valid tokens of one owner, newest first.
pub async fn live_of(connection: &mut PgConnection, owner: IdentityId) -> Result<Vec<ApiToken>, Error> {
    select!(
        "where t.identity_id = $1 and t.revoked_at is null and (t.expires_at is null or t.expires_at > db_now()) order by t.id desc",
        owner.0
    )
    .fetch_all(connection)
    .await
}

/// Revokes a token and all its descendants. Returns the tokens that were revoked now. The caller holds the lock of the owner's
/// row: without it, a child whose creation commits meanwhile would be missed.
pub async fn revoke(connection: &mut PgConnection, id: i64) -> Result<Vec<i64>, Error> {
    sqlx::query_scalar!(
        "with recursive family as (
             select id from api_token where id = $1
             union select child.id from api_token child join family on child.parent_id = family.id
         )
         update api_token set revoked_at = db_now() where id in (select id from family) and revoked_at is null returning id",
        id
    )
    .fetch_all(connection)
    .await
}

/// Revokes every token of an owner. Returns the tokens that were revoked now.
pub async fn revoke_all(connection: &mut PgConnection, owner: IdentityId) -> Result<Vec<i64>, Error> {
    sqlx::query_scalar!(
        "update api_token set revoked_at = db_now()
         where identity_id = $1 and revoked_at is null and (expires_at is null or expires_at > db_now()) returning id",
        owner.0
    )
    .fetch_all(connection)
    .await
}
