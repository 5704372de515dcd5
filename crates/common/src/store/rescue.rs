//! T5: executions whose owner is gone.

use super::{
    Error, bounds,
    event_queue::interval,
    execution_queue::{Held, columns},
};
use attune_domain::{ExecutionId, definition::OnLost, execution::ExecutionStatus};
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;

/// The executions whose worker has not renewed in time, as they were when they were looked at.
#[derive(Debug, Clone)]
pub struct Expired {
    pub id: ExecutionId,
    pub pool: String,
    pub attempt: i32,
    pub on_lost: OnLost,
    pub attempts_max: i32,
    pub cancel_requested: bool,
    /// Long past its deadline: its worker lives and should have ended it.
    pub overdue: bool,
}

/// Which leases are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    All,
    /// Those of a worker that is certainly dead.
    Dead,
}

/// Looks for leases that ended more than `patience` ago, and for executions that are a minute past their deadline.
pub async fn find(
    db: impl PgExecutor<'_>,
    scope: Scope,
    patience: Duration,
    limit: i64,
) -> Result<Vec<Expired>, Error> {
    sqlx::query_as!(
        Expired,
        r#"select execution_id as id, pool, attempt, on_lost, attempts_max, cancel_requested,
                  coalesce(deadline_at < db_now() - interval '60 s' and lease_until >= db_now() - $1::interval, false) as "overdue!"
           from execution_queue
           where not ready and (lease_until < db_now() - $1::interval or deadline_at < db_now() - interval '60 s')
             and ($2 or lease_until = '-infinity')
           order by execution_id limit $3"#,
        interval(patience),
        scope == Scope::All,
        limit
    )
    .fetch_all(db)
    .await
}

/// What becomes of an execution whose worker is gone.
#[derive(Debug, Clone)]
pub struct Rescue {
    pub held: Held,
    /// `Scheduled`: it may start again. `Lost` or `Canceled`: it ends.
    pub to: ExecutionStatus,
    pub reason: String,
}

/// T5: resolves work whose owner is gone. Fenced by the attempt *and* by a lease that is still over, in the statement
/// itself, so a renewal, a result or a cancel that came in between wins. Returns what was really rescued.
pub async fn resolve(
    db: impl PgExecutor<'_>,
    rescues: &[Rescue],
    patience: Duration,
) -> Result<Vec<ExecutionId>, Error> {
    let held: Vec<Held> = rescues.iter().map(|rescue| rescue.held).collect();
    let (ids, attempts) = columns(&held);
    let (low, high) = bounds(&ids);
    let to: Vec<String> = rescues.iter().map(|rescue| rescue.to.as_str().to_owned()).collect();
    let reasons: Vec<String> = rescues.iter().map(|rescue| rescue.reason.clone()).collect();
    sqlx::query_scalar!(
        "with given as materialized (
             select g.* from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) as g (id, attempt, status, reason)
             join execution_queue q on q.execution_id = g.id and q.attempt = g.attempt
             where not q.ready and q.cancel_requested = (g.status = 'canceled')
               and (q.lease_until < db_now() - $5::interval
                    or g.status <> 'scheduled' and q.deadline_at < db_now() - interval '60 s')
             order by g.id for update of q skip locked
         ),
         back as (
             update execution_queue q set ready = true, worker_id = null, lease_until = null, deadline_at = null, run_at = db_now()
             from given g where q.execution_id = g.id and g.status = 'scheduled'
         ),
         gone as (
             delete from execution_queue q using given g where q.execution_id = g.id and g.status <> 'scheduled'
         ),
         told as (
             insert into execution_attempt (execution_id, attempt, worker_id, started_at, outcome, detail)
             select e.id, g.attempt, e.worker_id, e.started_at, 'lost', jsonb_build_object('error', g.reason)
             from given g join execution e on e.id = g.id and e.id = any($1) and e.id between $6 and $7
             on conflict (execution_id, attempt) do update set outcome = excluded.outcome, detail = excluded.detail
         )
         update execution e
         set status = g.status, error = g.reason,
             finished_at = case when g.status = 'scheduled' then null else db_now() end
         from given g where e.id = g.id and e.id = any($1) and e.id between $6 and $7
         returning e.id",
        &ids,
        &attempts,
        &to,
        &reasons,
        interval(patience),
        low,
        high
    )
    .fetch_all(db)
    .await
}

/// Lets the leases of a predecessor that is certainly dead run out at once.
pub async fn expire_leases(pool: &PgPool) -> Result<u64, Error> {
    sqlx::query!("update execution_queue set lease_until = '-infinity' where not ready and worker_id is not null")
        .execute(pool)
        .await
        .map(|done| done.rows_affected())
}
