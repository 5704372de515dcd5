//! Executions, as people look at them, start them by hand, and stop them.
//!
//! The tricky thing is the order of locks: the queue's row first, then the execution's, as everyone who moves an
//! execution along does.

use super::{Error, Span, page::planned};
use attune_domain::{
    ActionId, EventId, ExecutionId,
    execution::{Cause, ExecutionStatus, IllegalTransition, after},
    occurrence::Execution,
};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Which executions a list shows. Those of one event lie in one millisecond: say so in the span.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub rule_ref: Option<&'a str>,
    pub action_ref: Option<&'a str>,
    pub event_id: Option<EventId>,
    pub status: Option<ExecutionStatus>,
}

/// An execution that a person asks for.
#[derive(Debug)]
pub struct ByHand<'a> {
    pub id: ExecutionId,
    pub action_id: ActionId,
    pub parameters: &'a Value,
    pub attempts_max: i32,
    pub rerun_of: Option<ExecutionId>,
    pub trace_id: Uuid,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Execution,
            "select id, action_ref, rule_ref, event_id, enforcement_id, status, attempt, parameters, result, error, exit_code, created_at,
                    scheduled_at, started_at, finished_at, worker_id as worker, rerun_of, trace_id
             from execution " + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, filter: &Filter<'_>, span: &Span) -> Result<Vec<Execution>, Error> {
    select!(
        "where id >= $1 and id < $2 and ($3::text is null or rule_ref = $3) and ($4::text is null or action_ref = $4)
           and ($5::uuid is null or event_id = $5) and ($6::text is null or status = $6)
         order by id desc limit $7",
        span.from,
        span.to,
        filter.rule_ref,
        filter.action_ref,
        filter.event_id.map(|id| id.0),
        filter.status as Option<ExecutionStatus>,
        span.rows()
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

pub async fn get(pool: &PgPool, id: ExecutionId) -> Result<Option<Execution>, Error> {
    select!("where id = $1", id.0).fetch_optional(pool).await
}

/// Writes the execution and its place in the queue, with the action's policies as they are now. Returns the pool to wake.
pub async fn start_by_hand(connection: &mut PgConnection, start: &ByHand<'_>) -> Result<String, Error> {
    sqlx::query_scalar!(
        r#"with made as (
             insert into execution (id, action_ref, pool, parameters, status, scheduled_at, rerun_of, trace_id)
             select $1, ref, pool, $3, 'scheduled', db_now(), $4, $5 from action where id = $2
             returning id, pool, scheduled_at
         )
         insert into execution_queue (execution_id, pool, run_at, on_lost, attempts_max, timeout_seconds, retry)
         select made.id, made.pool, made.scheduled_at, a.on_lost, $6, a.timeout_seconds, a.retry
         from made join action a on a.id = $2
         returning pool"#,
        start.id.0,
        start.action_id.0,
        start.parameters,
        start.rerun_of.map(|id| id.0),
        start.trace_id,
        start.attempts_max
    )
    .fetch_one(connection)
    .await
}

/// Not started: it never starts, and its place in the queue is gone. Running: its worker is to stop it.
/// Nothing when there is no such execution.
pub async fn cancel(
    connection: &mut PgConnection,
    id: ExecutionId,
) -> Result<Option<Result<ExecutionStatus, IllegalTransition>>, Error> {
    sqlx::query!("select from execution_queue where execution_id = $1 for update", id.0)
        .fetch_optional(&mut *connection)
        .await?;
    let status = sqlx::query_scalar!("select status from execution where id = $1 for update", id.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(status) = status else {
        return Ok(None);
    };
    if status == ExecutionStatus::Canceling {
        return Ok(Some(Ok(status)));
    }
    let next = match after(status, Cause::Cancel) {
        Ok(next) => next,
        Err(illegal) => return Ok(Some(Err(illegal))),
    };
    if next == ExecutionStatus::Canceled {
        sqlx::query!("delete from execution_queue where execution_id = $1", id.0)
            .execute(&mut *connection)
            .await?;
    } else {
        sqlx::query!(
            "update execution_queue set cancel_requested = true where execution_id = $1",
            id.0
        )
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query!(
        "update execution set status = $2, finished_at = case when $3 then db_now() else finished_at end where id = $1",
        id.0,
        next as ExecutionStatus,
        next.is_terminal()
    )
    .execute(connection)
    .await?;
    Ok(Some(Ok(next)))
}
