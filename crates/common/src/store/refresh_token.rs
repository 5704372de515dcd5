//! Refresh tokens: one family per sign-in, each token used once. Using one again revokes its family, because the token must have
//! been stolen.

use super::Error;
use attune_domain::IdentityId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// The outcome of presenting a refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presented {
    /// It was valid, and is now used.
    Good { identity_id: IdentityId, family: Uuid },
    /// It was used before: its family has been revoked.
    Reused { identity_id: IdentityId },
    /// Unknown, expired or revoked.
    Refused,
}

pub async fn insert(
    connection: &mut PgConnection,
    hash: &[u8],
    family: Uuid,
    identity: IdentityId,
    valid_seconds: f64,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into refresh_token (hash, family, identity_id, expires_at) values ($1, $2, $3, db_now() + make_interval(secs => $4))",
        hash,
        family,
        identity.0,
        valid_seconds
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Uses a token. The caller must commit in every case, so that the revocation of a family persists.
pub async fn present(connection: &mut PgConnection, hash: &[u8]) -> Result<Presented, Error> {
    let row = sqlx::query!(
        r#"select family, identity_id, used_at is not null as "used!", revoked_at is not null or expires_at <= db_now() as "over!"
           from refresh_token where hash = $1 and idle_until is null for update"#,
        hash
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        return Ok(Presented::Refused);
    };
    if row.over {
        return Ok(Presented::Refused);
    }
    if row.used {
        revoke_family(connection, row.family).await?;
        return Ok(Presented::Reused {
            identity_id: row.identity_id,
        });
    }
    sqlx::query!("update refresh_token set used_at = db_now() where hash = $1", hash)
        .execute(connection)
        .await?;
    Ok(Presented::Good {
        identity_id: row.identity_id,
        family: row.family,
    })
}

/// Revokes all tokens of a sign-in.
pub async fn revoke_family(connection: &mut PgConnection, family: Uuid) -> Result<(), Error> {
    sqlx::query!(
        "update refresh_token set revoked_at = db_now() where family = $1 and revoked_at is null",
        family
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Removes expired tokens.
pub async fn purge(pool: &PgPool) -> Result<u64, Error> {
    sqlx::query!("delete from refresh_token where expires_at < db_now() - interval '1 day'")
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
}
