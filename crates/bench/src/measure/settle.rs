//! What a server does sooner or later after so much was written. Done now, it does not fall into what is measured next.

use attune_common::store::Error;
use sqlx::{Connection as _, PgConnection, PgPool};

/// Only a superuser, or somebody who was allowed to, may ask for a checkpoint.
const NOT_ALLOWED: &str = "42501";

/// Statistics and hint bits, and everything to disk.
pub async fn settle(pool: &PgPool) -> Result<(), Error> {
    let mut connection = PgConnection::connect_with(&pool.connect_options()).await?;
    for statement in ["set statement_timeout = 0", "vacuum analyze", "checkpoint"] {
        match sqlx::query(statement).execute(&mut connection).await {
            Err(Error::Database(told)) if told.code().as_deref() == Some(NOT_ALLOWED) => {}
            done => {
                done?;
            }
        }
    }
    connection.close().await
}
