//! The renewal of leases of running executions.
//!
//! The tricky thing is a queue row that another session has locked. It must neither block the renewal of other rows nor cost its
//! own execution, so its lease is extended in a separate table (`lease_extension`), which a rescue also reads.

use super::{
    Error,
    event_queue::interval,
    execution_queue::{AttemptKey, columns},
};
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// An attempt that still belongs to the calling worker.
#[derive(Debug, Clone, Copy)]
pub struct Renewed {
    pub id: attune_domain::ExecutionId,
    pub attempt: i32,
    pub cancel_requested: bool,
    /// Another session has the row locked, so its lease was not renewed.
    pub locked: bool,
}

impl Renewed {
    pub fn held(self) -> AttemptKey {
        AttemptKey {
            id: self.id,
            attempt: self.attempt,
        }
    }
}

/// Renews the leases of a worker, except for rows that another session has locked. An attempt that is missing in the answer no
/// longer belongs to the worker. A lease that has expired but was not rescued is renewed like any other.
///
/// A row that is being finished may be reported as locked: the next call no longer finds it.
pub async fn renew(
    db: impl PgExecutor<'_>,
    worker: Uuid,
    held: &[AttemptKey],
    lease: Duration,
) -> Result<Vec<Renewed>, Error> {
    let (ids, attempts) = columns(held);
    sqlx::query_as!(
        Renewed,
        r#"with mine as materialized (
             select q.execution_id
             from unnest($1::uuid[], $2::integer[]) as h (id, attempt)
             join execution_queue q on q.execution_id = h.id and q.attempt = h.attempt
             where q.execution_id = any($1) and q.worker_id = $3 and not q.ready
             order by q.execution_id for update of q skip locked
         ),
         renewed as (
             update execution_queue q set lease_until = db_now() + $4::interval
             where q.execution_id = any(array(select execution_id from mine))
             returning q.execution_id, q.cancel_requested
         )
         select q.execution_id as "id!", q.attempt as "attempt!",
                coalesce(r.cancel_requested, q.cancel_requested) as "cancel_requested!", r.execution_id is null as "locked!"
         from unnest($1::uuid[], $2::integer[]) as h (id, attempt)
         join execution_queue q on q.execution_id = h.id and q.attempt = h.attempt
         left join renewed r on r.execution_id = q.execution_id
         where q.execution_id = any($1) and q.worker_id = $3 and not q.ready"#,
        &ids,
        &attempts,
        worker,
        interval(lease)
    )
    .fetch_all(db)
    .await
}

/// Extends leases of rows that another session has locked, in a separate table. Returns the attempts that still belong to the
/// worker.
pub async fn extend(
    db: impl PgExecutor<'_>,
    worker: Uuid,
    locked: &[AttemptKey],
    lease: Duration,
) -> Result<Vec<AttemptKey>, Error> {
    let (ids, attempts) = columns(locked);
    sqlx::query_as!(
        AttemptKey,
        r#"insert into lease_extension (execution_id, attempt, lease_until)
           select q.execution_id, q.attempt, db_now() + $4::interval
           from unnest($1::uuid[], $2::integer[]) as h (id, attempt)
           join execution_queue q on q.execution_id = h.id and q.attempt = h.attempt
           where q.execution_id = any($1) and q.worker_id = $3 and not q.ready
           order by q.execution_id
           on conflict (execution_id, attempt) do update set lease_until = excluded.lease_until
           returning execution_id as "id: attune_domain::ExecutionId", attempt"#,
        &ids,
        &attempts,
        worker,
        interval(lease)
    )
    .fetch_all(db)
    .await
}

/// Removes extensions that ended an hour ago.
pub async fn forget_extensions(pool: &PgPool) -> Result<u64, Error> {
    sqlx::query!("delete from lease_extension where lease_until < db_now() - interval '1 hour'")
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
}
