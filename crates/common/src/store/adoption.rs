//! Claims whose answer was lost: the database has committed them, and the worker does not know.
//!
//! No other worker can have claimed them, so the worker recovers them. Otherwise they would be rescued as lost, although they
//! never started.

use super::{
    Error, Transaction, bounds,
    event_queue::interval,
    execution_queue::{AttemptKey, Claimed, columns},
};
use attune_domain::raw::Raw;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// The claimed executions of `worker` except those in `tracked`, with a new lease. A later call finds a row that another session
/// has locked.
pub async fn adopt(
    pool: &PgPool,
    worker: Uuid,
    tracked: &[AttemptKey],
    lease: Duration,
) -> Result<Vec<Claimed>, Error> {
    let (ids, attempts) = columns(tracked);
    let mut tx = Transaction::begin(pool).await?;
    let taken = sqlx::query!(
        r#"with mine as materialized (
               select q.execution_id from execution_queue q
               where q.worker_id = $1 and not q.ready
                 and not exists (select from unnest($2::uuid[], $3::integer[]) as k (id, attempt)
                                 where k.id = q.execution_id and k.attempt = q.attempt)
               order by q.execution_id for update skip locked
           )
           update execution_queue q
           set lease_until = db_now() + $4::interval, deadline_at = db_now() + make_interval(secs => q.timeout_seconds)
           where q.execution_id = any(array(select execution_id from mine))
           returning q.execution_id, q.attempt, q.timeout_seconds, q.attempts_max, q.retry, q.on_lost,
                     array_remove(array[q.rule_key, q.action_key], null) as "slot_keys!",
                     extract(epoch from db_now() - q.run_at)::float8 as "waited_seconds!""#,
        worker,
        &ids,
        &attempts,
        interval(lease)
    )
    .fetch_all(&mut *tx)
    .await?;
    let ids: Vec<Uuid> = taken.iter().map(|row| row.execution_id.0).collect();
    let (low, high) = bounds(&ids);
    let history = sqlx::query!(
        "select id, action_ref, rule_ref, event_id, parameters, trace_id, pack_hash from execution
         where id = any($1) and id between $2 and $3",
        &ids,
        low,
        high
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut adopted = Vec::with_capacity(history.len());
    for row in history {
        let Some(queue) = taken.iter().find(|queue| queue.execution_id == row.id) else {
            continue;
        };
        adopted.push(Claimed {
            id: row.id,
            attempt: queue.attempt,
            action_ref: row.action_ref,
            rule_ref: row.rule_ref,
            event_id: row.event_id,
            parameters: row.parameters,
            trace_id: row.trace_id,
            pack_hash: row.pack_hash,
            timeout_seconds: queue.timeout_seconds,
            attempts_max: queue.attempts_max,
            retry: queue.retry.clone().map(Raw::from),
            on_lost: queue.on_lost,
            slot_keys: queue.slot_keys.clone(),
            waited_seconds: queue.waited_seconds,
        });
    }
    Ok(adopted)
}
