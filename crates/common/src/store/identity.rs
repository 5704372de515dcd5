//! Identities and their sessions.

use super::Error;
use attune_domain::{
    IdentityId,
    identity::{Identity, Role},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// The data for a sign-in. Must not be shown.
#[derive(Debug)]
pub struct Credentials {
    pub id: IdentityId,
    pub login: String,
    pub password_hash: String,
    pub role: Role,
    pub enabled: bool,
}

pub async fn credentials(pool: &PgPool, login: &str) -> Result<Option<Credentials>, Error> {
    sqlx::query_as!(
        Credentials,
        "select id, login, password_hash, role, enabled from identity where login = $1",
        login
    )
    .fetch_optional(pool)
    .await
}

pub async fn page(pool: &PgPool, after: Option<&str>, rows: i64) -> Result<Vec<Identity>, Error> {
    sqlx::query_as!(
        Identity,
        "select id, login, display_name, role, enabled, created_at, updated_at from identity
         where login > coalesce($1, '') order by login limit $2",
        after,
        rows
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, id: IdentityId) -> Result<Option<Identity>, Error> {
    sqlx::query_as!(
        Identity,
        "select id, login, display_name, role, enabled, created_at, updated_at from identity where id = $1",
        id.0
    )
    .fetch_optional(db)
    .await
}

/// Whether another admin can sign in. Locks all admins until the transaction ends, so that two admins who remove each other's
/// rights do not both succeed.
pub async fn other_admin(connection: &mut PgConnection, id: IdentityId) -> Result<bool, Error> {
    let admins = sqlx::query_scalar!(
        r#"select id as "id: IdentityId" from identity where role = 'admin' and enabled order by id for no key update"#
    )
    .fetch_all(connection)
    .await?;
    Ok(admins.iter().any(|admin| *admin != id))
}

pub async fn any_admin(pool: &PgPool) -> Result<bool, Error> {
    sqlx::query_scalar!(r#"select exists (select from identity where role = 'admin') as "any!""#)
        .fetch_one(pool)
        .await
}

pub async fn insert(
    connection: &mut PgConnection,
    login: &str,
    display_name: &str,
    password_hash: &str,
    role: Role,
) -> Result<IdentityId, Error> {
    sqlx::query_scalar!(
        "insert into identity (login, display_name, password_hash, role) values ($1, $2, $3, $4) returning id",
        login,
        display_name,
        password_hash,
        role as Role
    )
    .fetch_one(connection)
    .await
}

/// Updates an identity. Disabling it ends every session.
pub async fn update(
    connection: &mut PgConnection,
    id: IdentityId,
    display_name: &str,
    role: Role,
    enabled: bool,
) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update identity set display_name = $2, role = $3, enabled = $4, updated_at = db_now(),
                tokens_valid_from = case when $4 then tokens_valid_from else db_now() end
         where id = $1",
        id.0,
        display_name,
        role as Role,
        enabled
    )
    .execute(&mut *connection)
    .await?;
    if !enabled {
        revoke_all(connection, id).await?;
    }
    Ok(changed.rows_affected() == 1)
}

/// Reads an identity and locks it until the transaction ends. Creating, revoking and disabling take this lock, so that a token
/// cannot be created from one that is being revoked.
pub async fn lock(connection: &mut PgConnection, id: IdentityId) -> Result<Option<Identity>, Error> {
    sqlx::query_as!(
        Identity,
        "select id, login, display_name, role, enabled, created_at, updated_at from identity where id = $1 for update",
        id.0
    )
    .fetch_optional(connection)
    .await
}

/// Changes the password, ends every session and removes the remembered addresses.
pub async fn set_password(connection: &mut PgConnection, id: IdentityId, password_hash: &str) -> Result<(), Error> {
    sqlx::query!(
        "update identity set password_hash = $2, tokens_valid_from = db_now(), updated_at = db_now() where id = $1",
        id.0,
        password_hash
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("delete from sign_in_address where identity_id = $1", id.0)
        .execute(&mut *connection)
        .await?;
    revoke_all(connection, id).await
}

async fn revoke_all(connection: &mut PgConnection, id: IdentityId) -> Result<(), Error> {
    sqlx::query!(
        "update refresh_token set revoked_at = db_now() where identity_id = $1 and revoked_at is null",
        id.0
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The state of a session: its identity, and whether it is valid.
#[derive(Debug, Clone)]
pub struct Session {
    pub identity_id: IdentityId,
    pub login: String,
    pub role: Role,
    pub enabled: bool,
    /// Access tokens issued before this instant are invalid.
    pub valid_from: Option<DateTime<Utc>>,
    pub live: bool,
}

pub async fn session(pool: &PgPool, id: IdentityId, family: Uuid) -> Result<Option<Session>, Error> {
    sqlx::query_as!(
        Session,
        r#"select id as identity_id, login, role, enabled, nullif(tokens_valid_from, '-infinity') as valid_from,
                  exists (select from refresh_token where family = $2 and identity_id = $1 and revoked_at is null) as "live!"
           from identity where id = $1"#,
        id.0,
        family
    )
    .fetch_optional(pool)
    .await
}

/// The session of an API token. Regularly records that it was used.
pub async fn token_session(pool: &PgPool, hash: &[u8]) -> Result<Option<(i64, Session)>, Error> {
    let row = sqlx::query!(
        r#"with used as (
               update api_token set last_used_at = db_now()
               where hash = $1 and revoked_at is null and (last_used_at is null or last_used_at < db_now() - interval '1 minute')
           )
           select t.id, i.id as "identity_id: IdentityId", i.login, t.role as "token_role: Role", i.role as "identity_role: Role", i.enabled,
                  t.revoked_at is null and (t.expires_at is null or t.expires_at > db_now()) as "live!"
           from api_token t join identity i on i.id = t.identity_id where t.hash = $1"#,
        hash
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        let session = Session {
            identity_id: row.identity_id,
            login: row.login,
            // A token never has more rights than its owner.
            role: row.token_role.within(row.identity_role),
            enabled: row.enabled,
            valid_from: None,
            live: row.live,
        };
        (row.id, session)
    }))
}
