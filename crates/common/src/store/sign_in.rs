//! Counts sign-in attempts within a minute, per account (whether it exists or not) and per address. In the database, so that
//! several APIs share the counts.
//!
//! An account remembers the addresses that it signed in from. Attempts from those are counted separately, so that wrong passwords
//! from elsewhere do not lock the account out there.

use super::Error;
use attune_domain::IdentityId;
use sqlx::{PgConnection, PgPool};

/// The most addresses that an account remembers.
const ADDRESSES_MAX: i64 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Account,
    Address,
    /// An account and an address that it remembers.
    Known,
    /// A password change.
    Password,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::Known => "known",
            Self::Password => "password",
        }
    }
}

/// The attempts of the current minute, including this one.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    pub count: i32,
    /// The seconds until the minute ends.
    pub seconds_left: i32,
}

/// Counts an attempt before its outcome is known, so that concurrent attempts are limited too.
pub async fn count(pool: &PgPool, scope: Scope, key: &str) -> Result<Attempts, Error> {
    sqlx::query_as!(
        Attempts,
        r#"insert into sign_in_attempt as a (scope, key, window_start, attempts) values ($1, $2, db_now(), 1)
           on conflict (scope, key) do update set
               attempts = case when a.window_start <= db_now() - interval '1 minute' then 1 else least(a.attempts + 1, 1000000) end,
               window_start = case when a.window_start <= db_now() - interval '1 minute' then db_now() else a.window_start end
           returning attempts as count, ceil(extract(epoch from window_start + interval '1 minute' - db_now()))::integer as "seconds_left!""#,
        scope.as_str(),
        key
    )
    .fetch_one(pool)
    .await
}

/// Uncounts an attempt after a success.
pub async fn forgive(pool: &PgPool, scope: Scope, key: &str) -> Result<(), Error> {
    sqlx::query!(
        "update sign_in_attempt set attempts = greatest(attempts - 1, 0) where scope = $1 and key = $2",
        scope.as_str(),
        key
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Uncounts all attempts after a success.
pub async fn forgive_all(pool: &PgPool, scope: Scope, key: &str) -> Result<(), Error> {
    sqlx::query!(
        "delete from sign_in_attempt where scope = $1 and key = $2",
        scope.as_str(),
        key
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Whether the account signed in from this address within the last 30 days.
pub async fn remembers(pool: &PgPool, account: &str, address: &str) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"select exists (select from sign_in_address a join identity i on i.id = a.identity_id
                          where i.login = $1 and a.address = $2 and a.signed_in_at > db_now() - interval '30 days') as "remembers!""#,
        account,
        address
    )
    .fetch_one(pool)
    .await
}

/// Remembers the address of a sign-in, and removes the oldest ones.
pub async fn remember(connection: &mut PgConnection, id: IdentityId, address: &str) -> Result<(), Error> {
    sqlx::query!(
        "insert into sign_in_address (identity_id, address) values ($1, $2)
         on conflict (identity_id, address) do update set signed_in_at = db_now()",
        id.0,
        address
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from sign_in_address where identity_id = $1 and address in
             (select address from sign_in_address where identity_id = $1 order by signed_in_at desc, address offset $2
              for update skip locked)",
        id.0,
        ADDRESSES_MAX
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Removes past minutes and expired addresses.
pub async fn purge(pool: &PgPool) -> Result<u64, Error> {
    let attempts = sqlx::query!("delete from sign_in_attempt where window_start < db_now() - interval '10 minutes'")
        .execute(pool)
        .await?;
    let addresses = sqlx::query!("delete from sign_in_address where signed_in_at < db_now() - interval '30 days'")
        .execute(pool)
        .await?;
    Ok(attempts.rows_affected() + addresses.rows_affected())
}
