//! T5: executions whose worker is gone.

use super::{
    Error, bounds,
    event_queue::interval,
    execution_queue::{AttemptKey, columns},
};
use attune_domain::{ExecutionId, definition::OnLost, execution::ExecutionStatus};
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// An execution whose worker has not renewed its lease in time, as it was when it was read.
#[derive(Debug, Clone)]
pub struct Expired {
    pub id: ExecutionId,
    pub pool: String,
    pub attempt: i32,
    pub on_lost: OnLost,
    pub attempts_max: i32,
    pub cancel_requested: bool,
    /// Long past its deadline: its worker is alive and should have stopped it.
    pub overdue: bool,
    /// The seconds until it may be rescued. Not positive: now.
    pub due_seconds: f64,
}

/// Which leases to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    All,
    /// Those of a worker that is known to be dead.
    Dead,
}

/// Finds leases that ended more than `patience` ago, executions that are a minute past their deadline, and those for which this
/// will be true within `horizon`, in the order in which they are due.
pub async fn find(
    db: impl PgExecutor<'_>,
    scope: Scope,
    patience: Duration,
    horizon: Duration,
    limit: i64,
) -> Result<Vec<Expired>, Error> {
    sqlx::query_as!(
        Expired,
        r#"with soon as (
               select *, least(greatest(lease_until, (select x.lease_until from lease_extension x
                                                      where x.execution_id = q.execution_id and x.attempt = q.attempt
                                                        and q.lease_until <> '-infinity')) + $1::interval,
                               deadline_at + interval '60 s') as due_at
               from execution_queue q
               where not ready
                 and (lease_until < db_now() - $1::interval + $4::interval or deadline_at < db_now() - interval '60 s' + $4::interval)
                 and ($2 or lease_until = '-infinity')
           )
           select execution_id as id, pool, attempt, on_lost, attempts_max, cancel_requested,
                  coalesce(deadline_at < db_now() - interval '60 s' and lease_until >= db_now() - $1::interval, false) as "overdue!",
                  extract(epoch from greatest(due_at, db_now() - interval '1 day') - db_now())::float8 as "due_seconds!"
           from soon order by due_at, execution_id limit $3"#,
        interval(patience),
        scope == Scope::All,
        limit,
        interval(horizon)
    )
    .fetch_all(db)
    .await
}

/// How to resolve an execution whose worker is gone.
#[derive(Debug, Clone)]
pub struct Rescue {
    pub held: AttemptKey,
    /// `Scheduled`: it is requeued. `Lost` or `Canceled`: it ends.
    pub to: ExecutionStatus,
    pub reason: String,
}

/// T5: resolves executions whose worker is gone. Fenced by the attempt *and* by a lease that is still expired, in the statement
/// itself, so a renewal, a result or a cancel that came in between wins. Skips rows that another session has locked. Returns the
/// executions that were rescued.
///
/// Slots outlive the rescue if the worker is still connected: it is frozen, perhaps together with its supervisor, and the action
/// may still run. They remain occupied (`slot_hold`), and a requeued attempt waits, until the worker has confirmed the end or
/// its connection has closed ([`super::slot::end_holds`], [`super::slot::end_orphaned_holds`]).
pub async fn resolve(
    db: impl PgExecutor<'_>,
    rescues: &[Rescue],
    patience: Duration,
) -> Result<Vec<ExecutionId>, Error> {
    let held: Vec<AttemptKey> = rescues.iter().map(|rescue| rescue.held).collect();
    let (ids, attempts) = columns(&held);
    let (low, high) = bounds(&ids);
    let to: Vec<String> = rescues.iter().map(|rescue| rescue.to.as_str().to_owned()).collect();
    let reasons: Vec<String> = rescues.iter().map(|rescue| rescue.reason.clone()).collect();
    sqlx::query_scalar!(
        "with expired as materialized (
             select g.*, q.worker_id, q.pool, q.rule_key, q.action_key, q.deadline_at
             from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) as g (id, attempt, status, reason)
             join execution_queue q on q.execution_id = g.id and q.attempt = g.attempt
             join execution e on e.id = g.id and e.id = any($1) and e.id between $6 and $7
             where not q.ready and q.cancel_requested = (g.status = 'canceled') and e.status in ('running', 'canceling')
               and (q.lease_until < db_now() - $5::interval
                    and (q.lease_until = '-infinity'
                         or not exists (select from lease_extension x
                                        where x.execution_id = g.id and x.attempt = g.attempt and x.lease_until >= db_now() - $5::interval))
                    or g.status <> 'scheduled' and q.deadline_at < db_now() - interval '60 s')
             order by g.id for update of q, e skip locked
         ),
         given as materialized (
             select *, (rule_key is not null or action_key is not null) and worker_is_connected(worker_id) as held,
                    greatest(deadline_at, db_now()) + interval '1 day' as until_at
             from expired
         ),
         holds as (
             insert into slot_hold (execution_id, attempt, worker_id, pool, rule_key, action_key, until_at)
             select id, attempt, worker_id, pool, rule_key, action_key, until_at from given where held
             on conflict do nothing
         ),
         back as (
             update execution_queue q
             set ready = true, worker_id = null, lease_until = null, deadline_at = null,
                 run_at = case when g.held then g.until_at else db_now() end
             from given g where q.execution_id = g.id and g.status = 'scheduled'
         ),
         gone as (
             delete from execution_queue q using given g where q.execution_id = g.id and g.status <> 'scheduled'
         ),
         recorded as (
             insert into execution_attempt (execution_id, attempt, worker_id, started_at, outcome, detail, slot_keys)
             select e.id, g.attempt, e.worker_id, e.started_at, 'lost', jsonb_build_object('error', g.reason),
                    nullif(array_remove(array[g.rule_key, g.action_key], null), '{}')
             from given g join execution e on e.id = g.id and e.id = any($1) and e.id between $6 and $7
             on conflict (execution_id, attempt) do update
             set outcome = excluded.outcome, detail = excluded.detail, slot_keys = excluded.slot_keys
         )
         update execution e
         set status = g.status,
             error = g.reason || case when not g.held then '' when g.status = 'scheduled'
                 then ' as soon as that worker, which is still connected but does not answer, has confirmed its end'
                 else '; it keeps its concurrency slot until that worker, which is still connected but does not answer, has confirmed its end' end,
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

/// An attempt of a worker that is known to be dead.
#[derive(Debug, Clone, Copy)]
pub struct Left {
    pub held: AttemptKey,
    /// Its action is run by a process, and not by the worker itself.
    pub is_process: bool,
}

/// The attempts that a dead worker claimed and that nothing has resolved yet.
pub async fn left_by(pool: &PgPool, worker: Uuid) -> Result<Vec<Left>, Error> {
    let rows = sqlx::query!(
        r#"select q.execution_id as "id: ExecutionId", q.attempt, t.kind <> 'native' as "is_process!"
           from execution_queue q
           join execution e on e.id = q.execution_id
           join action a on a.ref = e.action_ref
           join runtime t on t.id = a.runtime_id
           where not q.ready and q.worker_id = $1"#,
        worker
    )
    .fetch_all(pool)
    .await?;
    let left = rows.into_iter().map(|row| Left {
        held: AttemptKey {
            id: row.id,
            attempt: row.attempt,
        },
        is_process: row.is_process,
    });
    Ok(left.collect())
}

/// Expires the leases of a predecessor that is known to be dead, or of all workers. A row that another session has locked keeps its
/// lease.
pub async fn expire_leases(pool: &PgPool, of: Option<Uuid>) -> Result<u64, Error> {
    sqlx::query!(
        "with left_behind as materialized (
             select execution_id from execution_queue where not ready and worker_id is not null and ($1::uuid is null or worker_id = $1)
             order by execution_id for update skip locked
         )
         update execution_queue set lease_until = '-infinity' where execution_id = any(array(select execution_id from left_behind))",
        of
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}
