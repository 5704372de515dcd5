//! Claims whose answer got lost: the database has committed them, the worker does not know.
//!
//! Nobody else can have taken them, so the worker takes them up as they are. Without this they would be rescued as lost,
//! although they never started.

use super::{
    Error, Transaction, bounds,
    event_queue::interval,
    execution_queue::{Claimed, Held, columns},
};
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// What the database holds for `worker` beside `known`, with a new lease.
pub async fn adopt(pool: &PgPool, worker: Uuid, known: &[Held], lease: Duration) -> Result<Vec<Claimed>, Error> {
    let (ids, attempts) = columns(known);
    let mut tx = Transaction::begin(pool).await?;
    let taken = sqlx::query!(
        r#"update execution_queue q
           set lease_until = db_now() + $4::interval, deadline_at = db_now() + make_interval(secs => q.timeout_seconds)
           where q.worker_id = $1 and not q.ready
             and not exists (select from unnest($2::uuid[], $3::integer[]) as k (id, attempt)
                             where k.id = q.execution_id and k.attempt = q.attempt)
           returning q.execution_id, q.attempt, q.timeout_seconds, q.attempts_max, q.retry, q.on_lost,
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
    let told = sqlx::query!(
        "select id, action_ref, rule_ref, event_id, parameters, trace_id from execution
         where id = any($1) and id between $2 and $3",
        &ids,
        low,
        high
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut adopted = Vec::with_capacity(told.len());
    for row in told {
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
            timeout_seconds: queue.timeout_seconds,
            attempts_max: queue.attempts_max,
            retry: queue.retry.clone(),
            on_lost: queue.on_lost,
            waited_seconds: queue.waited_seconds,
        });
    }
    Ok(adopted)
}
