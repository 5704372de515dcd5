//! The counter over all definitions.

use super::Error;
use sqlx::PgConnection;

/// Locks the counter. Every change of a definition locks it in the end, so a transaction that changes several rows must
/// lock it first: two such transactions then run one after the other instead of deadlocking.
pub async fn lock(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("select from definitions for update")
        .fetch_one(connection)
        .await
        .map(drop)
}
