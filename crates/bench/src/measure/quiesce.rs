//! Does now what the server would do later after many writes, so that it does not disturb the next measurement.

use attune_common::store::Error;
use sqlx::{Connection as _, PgConnection, PgPool};

/// A checkpoint requires a superuser or a granted role.
const NOT_ALLOWED: &str = "42501";

/// Statistics and hint bits, and everything to disk.
pub async fn quiesce(pool: &PgPool) -> Result<(), Error> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    for statement in ["set statement_timeout = 0", "vacuum analyze", "checkpoint"] {
        match sqlx::query(statement).execute(&mut connection).await {
            Err(Error::Database(error)) if error.code().as_deref() == Some(NOT_ALLOWED) => {}
            done => {
                done?;
            }
        }
    }
    connection.close().await
}
