//! Executions: reading them and stopping them. `execution_start` starts them manually.
//!
//! The tricky thing is the order of locks: the queue's row first, then the execution's, as in every other statement
//! that changes an execution.

use super::{Error, Span, page::planned};
use attune_domain::{
    EventId, ExecutionId,
    execution::{Cause, ExecutionStatus, IllegalTransition, after},
    id,
    occurrence::{Execution, ExecutionSummary},
};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// The most bytes of parameters in a summary.
const PREVIEW_BYTES: usize = 512;
/// The most bytes of parameters and results in a page of full executions, which has at least one execution.
pub const PAGE_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// Selects executions. Those of one event share a millisecond: restrict the span accordingly.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub rule_ref: Option<&'a [String]>,
    pub action_ref: Option<&'a [String]>,
    pub event_id: Option<EventId>,
    pub status: Option<&'a [String]>,
    /// With results and whole parameters.
    pub full: bool,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Execution,
            "select id, action_ref, rule_ref, event_id, enforcement_id, status, attempt, parameters, result, error, exit_code, created_at,
                    scheduled_at, started_at, finished_at, worker_id as worker, rerun_of, trace_id, pack_hash
             from execution " + $tail,
            $($argument),*
        )
    };
}

/// The columns of an [`ExecutionSummary`], of executions called `e`. Results are read only if `$1` is true, and otherwise not
/// even detoasted.
macro_rules! summarize {
    ($from:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            ExecutionSummary,
            r#"select e.id, e.action_ref, e.rule_ref, e.event_id, e.enforcement_id, e.status, e.attempt,
                      case when $1 or octet_length(p.text) <= 512 then e.parameters end as parameters,
                      case when not $1 and octet_length(p.text) > 512 then left(p.text, 512) end as parameters_preview,
                      case when $1 then e.result end as result, e.output_tail, e.error, e.exit_code, e.created_at, e.scheduled_at,
                      e.started_at, e.finished_at, (extract(epoch from e.finished_at - e.started_at) * 1000)::bigint as duration_ms,
                      e.worker_id as worker, e.rerun_of, e.trace_id
               from "# + $from + r#" cross join lateral (select e.parameters::text as text offset 0) p
               order by e.id desc"#,
            $($argument),*
        )
    };
}

/// A page may be shorter than its limit because of [`PAGE_BYTES_MAX`]: see [`is_last`].
pub async fn page(pool: &PgPool, filter: &Filter<'_>, span: &Span) -> Result<Vec<ExecutionSummary>, Error> {
    let found = summarize!(
        "(select * from (
              select *, sum(case when $1::boolean then octet_length(parameters::text) + coalesce(octet_length(result::text), 0) else 0 end)
                            over (order by id desc) as bytes, row_number() over (order by id desc) as place
              from (select * from execution
                    where id >= $2 and id < $3 and ($4::text[] is null or rule_ref = any($4)) and ($5::text[] is null or action_ref = any($5))
                      and ($6::uuid is null or event_id = $6) and ($7::text[] is null or status = any($7))
                    order by id desc limit $8) page) counted
          where bytes <= $9 or place = 1) e",
        filter.full,
        span.from,
        span.to,
        filter.rule_ref,
        filter.action_ref,
        filter.event_id.map(|id| id.0),
        filter.status,
        span.rows(),
        PAGE_BYTES_MAX
    )
    .fetch_all(&mut *planned(pool).await?)
    .await?;
    Ok(found.into_iter().map(cut_to_bytes).collect())
}

/// Whether a page that is shorter than its limit is the last one.
pub async fn is_last(
    pool: &PgPool,
    filter: &Filter<'_>,
    span: &Span,
    page: &[ExecutionSummary],
) -> Result<bool, Error> {
    let Some(last) = page
        .last()
        .filter(|_| filter.full && page.len() <= usize::from(span.limit))
    else {
        return Ok(true);
    };
    let rest = Span {
        limit: 0,
        ..span.after(Some(last.id.0))
    };
    let filter = Filter { full: false, ..*filter };
    Ok(self::page(pool, &filter, &rest).await?.is_empty())
}

/// The executions of a trace, newest first: those that its event started, or the execution that began it, and reruns. Also
/// whether there are more than `limit` and [`PAGE_BYTES_MAX`] allow.
pub async fn of_trace(
    pool: &PgPool,
    trace: Uuid,
    full: bool,
    limit: u16,
) -> Result<(Vec<ExecutionSummary>, bool), Error> {
    let mut found = trace_rows(pool, trace, full, limit).await?;
    let cut = full && trace_rows(pool, trace, false, limit).await?.len() > found.len();
    let more = cut || found.len() > usize::from(limit);
    found.truncate(usize::from(limit));
    Ok((found, more))
}

/// At most one row more than `limit`.
async fn trace_rows(pool: &PgPool, trace: Uuid, full: bool, limit: u16) -> Result<Vec<ExecutionSummary>, Error> {
    let (from, to) = id::same_instant(trace);
    let found = summarize!(
        "(select * from (
              select *, sum(case when $1::boolean then octet_length(parameters::text) + coalesce(octet_length(result::text), 0) else 0 end)
                            over (order by id desc) as bytes, row_number() over (order by id desc) as place
              from (select * from execution
                    where trace_id = $2 and (rerun_of is not null or id >= $3 and id < $4)
                    order by id desc limit $5) page) counted
          where bytes <= $6 or place = 1) e",
        full,
        trace,
        from,
        to,
        i64::from(limit) + 1,
        PAGE_BYTES_MAX
    )
    .fetch_all(&mut *planned(pool).await?)
    .await?;
    Ok(found.into_iter().map(cut_to_bytes).collect())
}

/// The details of a failure in a result.
#[derive(Debug, Default)]
pub struct Details {
    /// The end of standard error.
    pub stderr: Option<String>,
    /// Why there is no `output`.
    pub output_error: Option<String>,
}

pub async fn details(pool: &PgPool, of: &[ExecutionId]) -> Result<Vec<(ExecutionId, Details)>, Error> {
    let ids: Vec<Uuid> = of.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select id as "id!: ExecutionId", right(result ->> 'stderr', 2048) as stderr, result ->> 'output_error' as output_error
           from execution where id = any($1) and result is not null"#,
        &ids
    )
    .fetch_all(pool)
    .await?;
    let details = rows.into_iter().map(|row| {
        let details = Details {
            stderr: row.stderr,
            output_error: row.output_error,
        };
        (row.id, details)
    });
    Ok(details.collect())
}

/// PostgreSQL cuts by characters and not by bytes.
fn cut_to_bytes(mut summary: ExecutionSummary) -> ExecutionSummary {
    if let Some(preview) = &mut summary.parameters_preview {
        preview.truncate(preview.floor_char_boundary(PREVIEW_BYTES));
    }
    summary
}

pub async fn get<'e>(db: impl PgExecutor<'e>, id: ExecutionId) -> Result<Option<Execution>, Error> {
    select!("where id = $1", id.0).fetch_optional(db).await
}

/// The error of an execution that was canceled for a newer one.
const SUPERSEDED: &str = "a newer execution of the same concurrency key took its place";

/// Cancels an execution. If it has not started, it never starts, and its queue row is deleted. If it is running, its
/// worker must stop it. None if it does not exist.
pub async fn cancel(
    connection: &mut PgConnection,
    id: ExecutionId,
) -> Result<Option<Result<ExecutionStatus, IllegalTransition>>, Error> {
    stop(connection, id, None).await
}

/// Stops an execution in favor of a newer one of its key; a waiting one is `skipped`. Also None if another session has
/// locked its rows, because others must not wait for that.
pub async fn supersede(
    connection: &mut PgConnection,
    id: ExecutionId,
) -> Result<Option<Result<ExecutionStatus, IllegalTransition>>, Error> {
    let free = sqlx::query_scalar!(
        r#"select execution_queue_try_lock($1) and execution_try_lock($1) as "free!""#,
        id.0
    );
    if !free.fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    stop(connection, id, Some(SUPERSEDED)).await
}

async fn stop(
    connection: &mut PgConnection,
    id: ExecutionId,
    superseded: Option<&str>,
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
    let cause = match (status, superseded) {
        (ExecutionStatus::Waiting, Some(_)) => Cause::Overlapped,
        _ => Cause::Cancel,
    };
    let next = match after(status, cause) {
        Ok(next) => next,
        Err(illegal) => return Ok(Some(Err(illegal))),
    };
    sqlx::query!(
        "update execution set status = $2, error = coalesce($4, error), finished_at = case when $3 then db_now() else finished_at end
         where id = $1",
        id.0,
        next as ExecutionStatus,
        next.is_terminal(),
        superseded
    )
    .execute(&mut *connection)
    .await?;
    // Last, because this passes its slot on, and other transactions then wait for this one.
    if next.is_terminal() {
        sqlx::query!("delete from execution_queue where execution_id = $1", id.0)
            .execute(connection)
            .await?;
    } else {
        sqlx::query!(
            "update execution_queue set cancel_requested = true where execution_id = $1",
            id.0
        )
        .execute(connection)
        .await?;
    }
    Ok(Some(Ok(next)))
}
