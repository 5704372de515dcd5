//! The attempts of an execution: what is kept of the earlier ones, and the last one, which stands in the execution itself.

use super::Error;
use attune_domain::{ExecutionId, occurrence::Attempt};
use sqlx::PgPool;

/// Every attempt that is known, the first one first.
pub async fn list(pool: &PgPool, execution: ExecutionId) -> Result<Vec<Attempt>, Error> {
    sqlx::query_as!(
        Attempt,
        r#"with e as (select * from execution where id = $1),
               a as (select * from execution_attempt where execution_id = $1),
               n as (select attempt from a union select attempt from e where attempt > 0)
           select n.attempt as "attempt!", coalesce(a.worker_id, e.worker_id) as worker, coalesce(a.started_at, e.started_at) as started_at,
                  case when a.outcome is not null then a.ended_at else e.finished_at end as ended_at,
                  coalesce(a.outcome, e.status) as outcome,
                  coalesce(a.detail ->> 'error', case when e.finished_at is not null then e.error end) as reason,
                  a.late_outcome,
                  exists (select from execution_log l where l.execution_id = $1 and l.attempt = n.attempt) as "logged!"
           from n left join a on a.attempt = n.attempt left join e on e.attempt = n.attempt
           order by n.attempt"#,
        execution.0
    )
    .fetch_all(pool)
    .await
}
