//! The public keys of pools. The first worker of a pool registers the key; a worker with another key must hold the registered
//! one as its previous key, or it is refused.

use super::{Error, definitions};
use sqlx::{PgConnection, PgExecutor};

#[derive(Debug)]
pub struct PoolKey {
    pub pool: String,
    pub public_key: String,
}

pub async fn all<'e>(db: impl PgExecutor<'e>) -> Result<Vec<PoolKey>, Error> {
    sqlx::query_as!(PoolKey, "select pool, public_key from pool_key order by pool")
        .fetch_all(db)
        .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, pool: &str) -> Result<Option<String>, Error> {
    sqlx::query_scalar!("select public_key from pool_key where pool = $1", pool)
        .fetch_optional(db)
        .await
}

/// Returns the registered key, which is another one if `previous` is not the registered key. Executors keep the keys with the
/// definitions, so a new key counts as a change of these.
pub async fn register(
    connection: &mut PgConnection,
    pool: &str,
    present: &str,
    previous: Option<&str>,
) -> Result<String, Error> {
    definitions::lock(connection).await?;
    let changed = sqlx::query!(
        "insert into pool_key as k (pool, public_key) values ($1, $2)
         on conflict (pool) do update set public_key = $2, registered_at = db_now()
         where k.public_key <> $2 and k.public_key = $3",
        pool,
        present,
        previous
    )
    .execute(&mut *connection)
    .await?;
    if changed.rows_affected() > 0 {
        sqlx::query!("update definitions set version = version + 1")
            .execute(&mut *connection)
            .await?;
    }
    sqlx::query_scalar!("select public_key from pool_key where pool = $1", pool)
        .fetch_one(connection)
        .await
}
