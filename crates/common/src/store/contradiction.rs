//! Rows of `execution_queue` that contradict their executions. Both can be written with psql.

use super::Error;
use attune_domain::ExecutionId;
use sqlx::PgExecutor;

#[derive(Debug)]
pub struct Contradiction {
    pub id: ExecutionId,
    pub ready: bool,
    /// None if the execution does not exist.
    pub status: Option<String>,
}

/// Rows that a claim has set aside, and leases that ended more than a minute ago and cannot be resolved, because the status of
/// the execution does not allow it.
pub async fn list(db: impl PgExecutor<'_>, limit: i64) -> Result<Vec<Contradiction>, Error> {
    sqlx::query_as!(
        Contradiction,
        r#"select q.execution_id as "id: ExecutionId", q.ready, e.status as "status?: String"
           from execution_queue q left join execution e on e.id = q.execution_id
           where q.execution_id in (
                   select execution_id from execution_queue
                   where run_at = 'infinity'
                      or not ready and waits_for is null and coalesce(lease_until < db_now() - interval '1 minute', true))
             and case when q.ready then q.run_at = 'infinity' or e.status is distinct from 'scheduled'
                      else e.status is null or e.status not in ('running', 'canceling') end
           order by q.execution_id limit $1"#,
        limit
    )
    .fetch_all(db)
    .await
}
