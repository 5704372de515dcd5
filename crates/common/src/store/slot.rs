//! Slots of concurrency keys, and starts within the windows of rate limits.
//!
//! The queue's row is the slot, and the database passes a slot on by itself when the row is deleted
//! (`migrations/0007_slots.sql`). This module reads the state of keys under their locks, and sweeps what is left over.

use super::{
    Error,
    execution_queue::{AttemptKey, columns},
};
use attune_domain::{
    EnforcementId, ExecutionId, RuleId,
    policy::{Gates, Ledger, Slots, WINDOW_SECONDS_MAX},
};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The most keys, or executions, that one query returns.
pub const BATCH: i64 = 200;

/// Locks the keys of all these gates until the transaction ends, and returns their state. Call it once in a transaction that
/// locks no other keys.
pub async fn state<'g>(
    connection: &mut PgConnection,
    gates: impl IntoIterator<Item = &'g Gates>,
) -> Result<Ledger, Error> {
    let mut windows_by_key = BTreeMap::new();
    for gates in gates {
        if let Some(rate) = &gates.rate {
            windows_by_key.insert(rate.key.clone(), i32::try_from(rate.window_seconds).ok());
        }
        for gate in [&gates.rule, &gates.action].into_iter().flatten() {
            windows_by_key.insert(gate.key.clone(), None);
        }
    }
    let (keys, windows): (Vec<String>, Vec<Option<i32>>) = windows_by_key.into_iter().unzip();
    let rows = sqlx::query!(
        r#"select key as "key!", held as "held!", queued as "queued!" from slot_state($1, $2)"#,
        &keys,
        &windows as &[Option<i32>]
    )
    .fetch_all(connection)
    .await?;
    Ok(Ledger::new(rows.into_iter().map(|row| {
        let held = u32::try_from(row.held).unwrap_or_default();
        let queued = row.queued;
        (row.key, Slots { held, queued })
    })))
}

/// Counts the enforcements that were really written in the windows of their rules.
pub async fn count_starts(connection: &mut PgConnection, starts: &[(RuleId, EnforcementId)]) -> Result<(), Error> {
    let (rules, ids): (Vec<i64>, Vec<Uuid>) = starts.iter().map(|(rule, id)| (rule.0, id.0)).unzip();
    let (low, high) = super::bounds(&ids);
    sqlx::query!(
        "insert into rate_start (rule_id, enforcement_id, at)
         select s.rule_id, s.id, db_now() from unnest($1::bigint[], $2::uuid[]) as s (rule_id, id)
         where exists (select from enforcement e where e.id = s.id and e.id between $3 and $4)
         on conflict do nothing",
        &rules,
        &ids,
        low,
        high
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Removes starts that are outside of every window.
pub async fn forget_starts(pool: &PgPool) -> Result<u64, Error> {
    sqlx::query!(
        "delete from rate_start where at < db_now() - make_interval(secs => $1)",
        f64::from(WINDOW_SECONDS_MAX)
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}

/// Queues of keys that could advance: a policy was changed or removed, or an execution was skipped while it was being canceled.
pub async fn open_lines(pool: &PgPool) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"with line as materialized (select key from slot_lines() as key)
           select key as "key!" from line where slots_held(key) < slot_limit(key) limit $1"#,
        BATCH
    )
    .fetch_all(pool)
    .await
}

/// Assigns free slots of these keys to the next executions in their queues. Returns the pools that have work now.
pub async fn pass_on(pool: &PgPool, keys: &[String]) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(r#"select slot_pass_on($1) as "pools!""#, keys)
        .fetch_one(pool)
        .await
}

/// Ends the holds of a worker's attempts that were rescued while it was frozen, except for those that still run. Returns the
/// pools that may have work now.
pub async fn end_holds(db: impl PgExecutor<'_>, worker: Uuid, running: &[AttemptKey]) -> Result<Vec<String>, Error> {
    let (ids, attempts) = columns(running);
    sqlx::query_scalar!(
        "delete from slot_hold h
         where h.worker_id = $1
           and not exists (select from unnest($2::uuid[], $3::integer[]) as r (id, attempt) where r.id = h.execution_id and r.attempt = h.attempt)
           and execution_queue_try_lock(h.execution_id)
         returning h.pool",
        worker,
        &ids,
        &attempts
    )
    .fetch_all(db)
    .await
}

/// Ends the holds of workers whose connection has closed: their process is dead, and its supervisor has killed their actions.
/// Also those that are a day past the deadline of their execution, so that no slot is occupied forever.
pub async fn end_orphaned_holds(db: impl PgExecutor<'_>) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        "delete from slot_hold h
         where (h.until_at <= db_now() or not worker_is_connected(h.worker_id)) and execution_queue_try_lock(h.execution_id)
         returning h.pool"
    )
    .fetch_all(db)
    .await
}

/// An execution to be canceled for a newer one.
#[derive(Debug)]
pub struct Superseded {
    pub id: ExecutionId,
    pub pool: String,
}

/// The executions that newer ones with the policy `cancel_previous` replace: of each key all but the newest.
pub async fn superseded(pool: &PgPool) -> Result<Vec<Superseded>, Error> {
    sqlx::query_as!(
        Superseded,
        r#"with lines as materialized (select key from slot_lines() as key),
           line as materialized (select key, slot_limit(key) as most from lines where slot_replaces(key)),
           ranked as (
               select q.execution_id, q.pool, line.most, row_number() over (partition by line.key order by q.execution_id desc) as place
               from line join execution_queue q
                   on q.rule_key = line.key or (q.action_key = line.key and (q.waits_for is null or q.waits_for = line.key))
               where not q.cancel_requested
           )
           select execution_id as id, pool from ranked where place > most order by execution_id limit $1"#,
        BATCH
    )
    .fetch_all(pool)
    .await
}
