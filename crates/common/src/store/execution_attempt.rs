//! The attempts of an execution: stored rows of the earlier ones, and the last one, which is in the execution itself.

use super::{
    Error, bounds,
    execution_queue::{AttemptKey, Lifetime, columns, seconds_ago},
};
use attune_domain::{ExecutionId, occurrence::Attempt};
use sqlx::{PgExecutor, PgPool};
use uuid::Uuid;

/// All attempts, the first one first.
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

/// The attempts of several executions, in the order of the executions and the attempts.
pub async fn of_all(pool: &PgPool, executions: &[ExecutionId]) -> Result<Vec<(ExecutionId, Attempt)>, Error> {
    let ids: Vec<Uuid> = executions.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"with e as (select * from execution where id = any($1)),
               a as (select * from execution_attempt where execution_id = any($1)),
               n as (select execution_id, attempt from a union select id, attempt from e where attempt > 0)
           select n.execution_id as "id!: ExecutionId", n.attempt as "attempt!", coalesce(a.worker_id, e.worker_id) as worker,
                  coalesce(a.started_at, e.started_at) as started_at,
                  case when a.outcome is not null then a.ended_at else e.finished_at end as ended_at,
                  coalesce(a.outcome, e.status) as outcome,
                  coalesce(a.detail ->> 'error', case when e.finished_at is not null then e.error end) as reason, a.late_outcome,
                  exists (select from execution_log l where l.execution_id = n.execution_id and l.attempt = n.attempt) as "logged!"
           from n left join a using (execution_id, attempt) left join e on e.id = n.execution_id and e.attempt = n.attempt
           order by n.execution_id, n.attempt"#,
        &ids
    )
    .fetch_all(pool)
    .await?;
    let attempts = rows.into_iter().map(|row| {
        let attempt = Attempt {
            attempt: row.attempt,
            worker: row.worker,
            started_at: row.started_at,
            ended_at: row.ended_at,
            outcome: row.outcome,
            reason: row.reason,
            late_outcome: row.late_outcome,
            logged: row.logged,
        };
        (row.id, attempt)
    });
    Ok(attempts.collect())
}

/// The lifetime of an attempt that held slots, as recorded by its supervisor.
#[derive(Debug)]
pub struct AttemptLifetime<'a> {
    pub held: AttemptKey,
    pub keys: &'a [String],
    pub life: Lifetime,
}

/// Records lifetimes of attempts whose results have just been accepted. A separate statement, so that results of executions
/// without a concurrency key cost nothing, and without a flush: only `attune check` reads it. The lifetime is clamped to the time between claim and end, which compensates for the
/// latency of the statement.
pub async fn record_lifetimes(db: impl PgExecutor<'_>, lifetimes: &[AttemptLifetime<'_>]) -> Result<(), Error> {
    let held: Vec<AttemptKey> = lifetimes.iter().map(|one| one.held).collect();
    let (ids, attempts) = columns(&held);
    let (low, high) = bounds(&ids);
    let (began, ended) = seconds_ago(lifetimes.iter().map(|one| Some(&one.life)));
    let keys: Vec<String> = lifetimes
        .iter()
        .map(|one| serde_json::json!(one.keys).to_string())
        .collect();
    sqlx::query!(
        "insert into execution_attempt (execution_id, attempt, slot_keys, began_at, over_at)
         select e.id, e.attempt, array(select jsonb_array_elements_text(l.keys::jsonb)),
                greatest(db_now() - make_interval(secs => l.began), e.started_at),
                least(db_now() - make_interval(secs => l.over), e.finished_at)
         from unnest($1::uuid[], $2::integer[], $3::text[], $4::float8[], $5::float8[]) as l (id, attempt, keys, began, over)
         join execution e on e.id = l.id and e.attempt = l.attempt and e.id = any($1) and e.id between $6 and $7
         where (select set_config('synchronous_commit', 'off', true)) = 'off'
         on conflict (execution_id, attempt) do update
         set slot_keys = excluded.slot_keys, began_at = excluded.began_at, over_at = excluded.over_at",
        &ids,
        &attempts,
        &keys,
        &began as &[Option<f64>],
        &ended as &[Option<f64>],
        low,
        high
    )
    .execute(db)
    .await
    .map(drop)
}
