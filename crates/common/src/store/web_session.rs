//! Sessions of browsers, and the links that start one without a password. A session is a row of `refresh_token`, so that
//! everything that ends sign-ins ends it too.

use super::{Error, identity::Session};
use attune_domain::IdentityId;
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// A session ends after this time without a request of the user, and at the latest after the second one.
const IDLE_SECONDS: f64 = 12.0 * 3_600.0;
const SESSION_SECONDS: f64 = 14.0 * 86_400.0;
const LINK_SECONDS: f64 = 600.0;

#[derive(Debug, Clone)]
pub struct WebSession {
    pub session: Session,
    pub family: Uuid,
    /// When it ends unless the user does something.
    pub ends_at: DateTime<Utc>,
    /// The user proved who they are within the last ten minutes.
    pub verified: bool,
}

/// Starts a session, and returns when it ends.
pub async fn insert(
    connection: &mut PgConnection,
    hash: &[u8],
    family: Uuid,
    identity: IdentityId,
) -> Result<DateTime<Utc>, Error> {
    sqlx::query_scalar!(
        r#"insert into refresh_token (hash, family, identity_id, expires_at, idle_until, verified_at)
           values ($1, $2, $3, db_now() + make_interval(secs => $4), db_now() + make_interval(secs => $5), db_now())
           returning idle_until as "ends_at!""#,
        hash,
        family,
        identity.0,
        SESSION_SECONDS,
        IDLE_SECONDS
    )
    .fetch_one(connection)
    .await
}

/// Ends the session of a cookie.
pub async fn end(connection: &mut PgConnection, hash: &[u8]) -> Result<(), Error> {
    sqlx::query!(
        "update refresh_token set revoked_at = db_now() where hash = $1 and idle_until is not null and revoked_at is null",
        hash
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The session of a cookie. `active`: the user has caused the request, which postpones the end, at most once a minute.
pub async fn find(pool: &PgPool, hash: &[u8], active: bool) -> Result<Option<WebSession>, Error> {
    let row = sqlx::query!(
        r#"with used as (
               update refresh_token set idle_until = db_now() + make_interval(secs => $3::float8)
               where hash = $1 and $2 and revoked_at is null and expires_at > db_now() and idle_until > db_now()
                     and idle_until < db_now() + make_interval(secs => $3::float8 - 60)
               returning idle_until
           )
           select i.id as "identity_id: IdentityId", i.login, i.role, i.enabled, r.family,
                  least(r.expires_at, coalesce((select idle_until from used), r.idle_until)) as "ends_at!",
                  coalesce(r.verified_at > db_now() - interval '10 minutes', false) as "verified!",
                  r.revoked_at is null and r.expires_at > db_now() and r.idle_until > db_now() as "live!"
           from refresh_token r join identity i on i.id = r.identity_id where r.hash = $1 and r.idle_until is not null"#,
        hash,
        active,
        IDLE_SECONDS
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| WebSession {
        session: Session {
            identity_id: row.identity_id,
            login: row.login,
            role: row.role,
            enabled: row.enabled,
            valid_from: None,
            live: row.live,
        },
        family: row.family,
        ends_at: row.ends_at,
        verified: row.verified,
    }))
}

/// Stores the hash of the key of a link, which signs in once as this identity. False if it does not exist or is disabled.
pub async fn insert_link(pool: &PgPool, hash: &[u8], login: &str) -> Result<bool, Error> {
    let inserted = sqlx::query!(
        "insert into sign_in_link (hash, identity_id, expires_at)
         select $1, id, db_now() + make_interval(secs => $3) from identity where login = $2 and enabled",
        hash,
        login,
        LINK_SECONDS
    )
    .execute(pool)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The outcome of presenting the key of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It was valid, and is now used.
    Good(IdentityId),
    Used,
    Expired,
    Unknown,
}

/// Uses a link.
pub async fn use_link(connection: &mut PgConnection, hash: &[u8]) -> Result<Link, Error> {
    let row = sqlx::query!(
        r#"select identity_id as "identity_id: IdentityId", used_at is not null as "used!", expires_at <= db_now() as "expired!"
           from sign_in_link where hash = $1 for update"#,
        hash
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else {
        return Ok(Link::Unknown);
    };
    if row.used {
        return Ok(Link::Used);
    }
    if row.expired {
        return Ok(Link::Expired);
    }
    sqlx::query!("update sign_in_link set used_at = db_now() where hash = $1", hash)
        .execute(connection)
        .await?;
    Ok(Link::Good(row.identity_id))
}

/// Removes links that expired a day ago.
pub async fn purge_links(pool: &PgPool) -> Result<u64, Error> {
    sqlx::query!("delete from sign_in_link where expires_at < db_now() - interval '1 day'")
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
}
