//! How a worker shows the database that its process exists: an advisory lock of its renewing session.

use sqlx::{Error, PgExecutor};
use uuid::Uuid;

/// Marks the session, until it ends, with the worker. A frozen process keeps its sessions, and a killed one has none.
pub(super) async fn show(db: impl PgExecutor<'_>, worker: Uuid) -> Result<(), Error> {
    sqlx::query!("select pg_advisory_lock_shared(worker_lock($1))", worker)
        .execute(db)
        .await
        .map(drop)
}
