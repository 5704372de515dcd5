//! How often somebody tried to sign in within a minute: per account, known or not, and per address. Kept in the
//! database, so that several APIs count together.

use super::Error;
use sqlx::PgPool;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Account,
    Address,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
        }
    }
}

/// How a minute of attempts stands, this one included.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    pub count: i32,
    /// Until the minute is over.
    pub seconds_left: i32,
}

/// Counts an attempt, before it is known how it ends: attempts side by side must not slip through.
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

/// Takes back the attempts of somebody who signed in.
pub async fn forgive(pool: &PgPool, account: &str, address: &str) -> Result<(), Error> {
    sqlx::query!(
        "with account as (delete from sign_in_attempt where scope = 'account' and key = $1)
         update sign_in_attempt set attempts = greatest(attempts - 1, 0) where scope = 'address' and key = $2",
        account,
        address
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Removes minutes that are over.
pub async fn purge(pool: &PgPool) -> Result<u64, Error> {
    sqlx::query!("delete from sign_in_attempt where window_start < db_now() - interval '10 minutes'")
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
}
