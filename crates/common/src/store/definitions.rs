//! The counter over all definitions.

use super::Error;
use sqlx::PgConnection;

/// Takes the counter before anything else. Every change of a definition ends up holding it, so whoever changes several
/// rows takes it first: two changes then wait for each other instead of deadlocking.
pub async fn lock(connection: &mut PgConnection) -> Result<(), Error> {
    sqlx::query!("select from definitions for update")
        .fetch_one(connection)
        .await
        .map(drop)
}
