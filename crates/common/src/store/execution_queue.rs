//! Executions that wait for a worker or are leased by one.
//!
//! A claim increases `attempt`, which is the fencing token: finishing, renewing and rescuing take an attempt, and have no effect
//! if it is not the current one.

use super::{Error, bounds, event_queue::interval};
use crate::clock;
use attune_domain::{
    ActionRef, EventId, ExecutionId, RuleRef, definition::OnLost, execution::ExecutionStatus, occurrence::output_tail,
    raw::Raw, retry::RetryPolicy,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgExecutor;
use std::{borrow::Cow, cmp::Reverse, time::Duration};
use uuid::Uuid;

/// A claimed execution, with everything needed to run it except the action's definition.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub id: ExecutionId,
    pub attempt: i32,
    pub action_ref: ActionRef,
    pub rule_ref: Option<RuleRef>,
    pub event_id: Option<EventId>,
    pub parameters: Value,
    pub trace_id: Uuid,
    /// The code of the action's pack that it runs with.
    pub pack_hash: Option<String>,
    pub timeout_seconds: i32,
    pub attempts_max: i32,
    pub retry: Option<Raw<RetryPolicy>>,
    pub on_lost: OnLost,
    /// Concurrency keys whose slots it holds: it must have ended before another execution of such a key starts.
    pub slot_keys: Vec<String>,
    /// From ready to claimed.
    pub waited_seconds: f64,
}

#[derive(Debug, Default)]
pub struct Claim {
    /// The definitions counter at the claim, for the worker's cache of actions.
    pub definitions_version: i64,
    pub executions: Vec<Claimed>,
}

/// T3: claims up to `limit` executions of a pool. When this returns, the status `running` is committed.
///
/// One call, one flush. Tried: `begin`, the queue, the history by the returned ids, `commit` (four round trips); one statement
/// that joins both (opens all partitions: a third of the speed with 98 of them); the same with bounds of the last hours (a plan
/// that was made while the day was empty reads the whole day: 1.5 ms a row).
pub async fn claim(
    db: impl PgExecutor<'_>,
    of: &str,
    worker: Uuid,
    limit: i64,
    lease: Duration,
) -> Result<Claim, Error> {
    take(db, of, worker, limit, lease, false).await
}

/// Like [`claim`], but skips executions whose history row another session has locked. Locking each of those rows costs time, so
/// this is used only after a claim that failed on a lock.
pub async fn claim_past_locks(
    db: impl PgExecutor<'_>,
    of: &str,
    worker: Uuid,
    limit: i64,
    lease: Duration,
) -> Result<Claim, Error> {
    take(db, of, worker, limit, lease, true).await
}

async fn take(
    db: impl PgExecutor<'_>,
    of: &str,
    worker: Uuid,
    limit: i64,
    lease: Duration,
    careful: bool,
) -> Result<Claim, Error> {
    let taken = sqlx::query!(
        r#"select id as "id!: ExecutionId", attempt as "attempt!", action_ref as "action_ref!: ActionRef", rule_ref as "rule_ref: RuleRef", event_id as "event_id: EventId",
                  parameters as "parameters!", trace_id as "trace_id!", timeout_seconds as "timeout_seconds!", attempts_max as "attempts_max!",
                  retry, on_lost as "on_lost!: OnLost", waited_seconds as "waited_seconds!", definitions_version as "definitions_version!",
                  slot_keys as "slot_keys!", pack_hash
           from execution_claim($1, $2, $3, $4, $5)"#,
        of,
        worker,
        limit,
        interval(lease),
        careful
    )
    .fetch_all(db)
    .await?;
    Ok(Claim {
        definitions_version: taken.first().map_or(0, |row| row.definitions_version),
        executions: taken
            .into_iter()
            .map(|row| Claimed {
                id: row.id,
                attempt: row.attempt,
                action_ref: row.action_ref,
                rule_ref: row.rule_ref,
                event_id: row.event_id,
                parameters: row.parameters,
                trace_id: row.trace_id,
                timeout_seconds: row.timeout_seconds,
                attempts_max: row.attempts_max,
                retry: row.retry.map(Raw::from),
                on_lost: row.on_lost,
                slot_keys: row.slot_keys,
                pack_hash: row.pack_hash,
                waited_seconds: row.waited_seconds,
            })
            .collect(),
    })
}

/// The time until the next execution of a pool becomes due, if that is within `horizon`.
///
/// Called once a second when nothing is left to claim: it reads the delayed executions, whose index entries a claim has just
/// skipped.
pub async fn next_due(db: impl PgExecutor<'_>, of: &str, horizon: Duration) -> Result<Option<Duration>, Error> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from min(run_at) - db_now())::float8 from execution_queue
           where pool = $1 and ready and run_at > db_now() and run_at <= db_now() + $2::interval"#,
        of,
        interval(horizon)
    )
    .fetch_one(db)
    .await?;
    Ok(seconds.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

/// One attempt of one execution: what a lease is held on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    pub id: ExecutionId,
    pub attempt: i32,
}

/// When the processes of an attempt existed, by the boot clock of their machine. Recorded for attempts that hold a slot, so that
/// `attune check` can detect overlapping attempts of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    pub began: Duration,
    pub ended: Duration,
}

/// How long ago the processes began and ended, in seconds. Durations do not depend on the clocks of two machines.
pub(super) fn seconds_ago<'a>(
    lifetimes: impl Iterator<Item = Option<&'a Lifetime>>,
) -> (Vec<Option<f64>>, Vec<Option<f64>>) {
    let now = clock::since_boot();
    let ago = |at: Duration| now.saturating_sub(at).as_secs_f64();
    lifetimes
        .map(|life| life.map(|life| (ago(life.began), ago(life.ended))).unzip())
        .unzip()
}

/// How one attempt ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finished {
    pub held: AttemptKey,
    pub status: ExecutionStatus,
    pub result: Option<Value>,
    pub error: Option<String>,
    pub exit_code: Option<i32>,
    /// Only for attempts that held a slot. Not serialized: the boot clock restarts with a reboot.
    #[serde(skip)]
    pub life: Option<Lifetime>,
}

/// A result that was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub id: ExecutionId,
    pub attempt: i32,
    /// It held a slot of a concurrency key: a waiting execution may be ready now.
    pub had_slot: bool,
    /// A rule subscribes to `core.execution_finished`: the statement has written an event.
    pub has_event: bool,
}

impl Accepted {
    pub fn held(self) -> AttemptKey {
        AttemptKey {
            id: self.id,
            attempt: self.attempt,
        }
    }
}

/// T4: finishes attempts that are still the current ones. Returns those that were accepted.
///
/// One statement, one flush for a whole batch. It deletes the queue row, updates the history row, and passes slots of
/// concurrency keys on. The trigger `execution_finished` writes the events for rules. Of two attempts of one execution only the later can be current. Tried: joins with the results and with
/// the deleted rows; PostgreSQL expects few rows and scans the whole batch for each. A lost attempt whose cancel was requested
/// ends as canceled.
pub async fn finish(db: impl PgExecutor<'_>, finished: &[Finished]) -> Result<Vec<Accepted>, Error> {
    let mut finished: Vec<&Finished> = finished.iter().collect();
    // Rows are locked in this order, as renewals and rescues do.
    finished.sort_unstable_by_key(|finished| (finished.held.id, Reverse(finished.held.attempt)));
    finished.dedup_by_key(|finished| finished.held.id);
    let held: Vec<AttemptKey> = finished.iter().map(|finished| finished.held).collect();
    let (ids, attempts) = columns(&held);
    let (low, high) = bounds(&ids);
    let statuses: Vec<&str> = finished.iter().map(|finished| finished.status.as_str()).collect();
    let results: Vec<Option<&Value>> = finished.iter().map(|finished| finished.result.as_ref()).collect();
    let errors: Vec<Option<&str>> = finished.iter().map(|finished| finished.error.as_deref()).collect();
    let exit_codes: Vec<Option<i32>> = finished.iter().map(|finished| finished.exit_code).collect();
    let tail = |finished: &&Finished| output_tail(finished.status, finished.result.as_ref()?);
    let tails: Vec<Option<String>> = finished.iter().map(tail).collect();
    sqlx::query_as!(
        Accepted,
        r#"with done as (
             delete from execution_queue q
             where q.execution_id = any($1) and q.attempt = ($2::integer[])[array_position($1::uuid[], q.execution_id)] and not q.ready
             returning q.execution_id, q.rule_key is not null or q.action_key is not null as had_slot
         )
         update execution e
         set status = case when e.status = 'canceling' and ($3::text[])[array_position($1, e.id)] = 'lost' then 'canceled'
                           else ($3::text[])[array_position($1, e.id)] end,
             result = ($4::jsonb[])[array_position($1, e.id)], error = ($5::text[])[array_position($1, e.id)],
             exit_code = ($6::integer[])[array_position($1, e.id)], output_tail = ($9::text[])[array_position($1, e.id)],
             finished_at = db_now()
         where e.id = any(array(select execution_id from done)) and e.id between $7 and $8
         returning e.id, e.attempt, (e.id in (select execution_id from done where done.had_slot)) is true as "had_slot!",
             (select 'core.execution_finished' = any(subscribed) from definitions) as "has_event!""#,
        &ids,
        &attempts,
        &statuses as &[&str],
        &results as &[Option<&Value>],
        &errors as &[Option<&str>],
        &exit_codes as &[Option<i32>],
        low,
        high,
        &tails as &[Option<String>]
    )
    .fetch_all(db)
    .await
}

/// An attempt that is retried after `delay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Requeued {
    pub held: AttemptKey,
    pub outcome: Cow<'static, str>,
    pub error: Option<String>,
    pub delay: Duration,
    /// As in [`Finished`].
    #[serde(skip)]
    pub life: Option<Lifetime>,
}

/// Requeues attempts. Returns those that were accepted, which excludes those whose cancel was requested.
pub async fn requeue(db: impl PgExecutor<'_>, requeued: &[Requeued]) -> Result<Vec<AttemptKey>, Error> {
    let held: Vec<AttemptKey> = requeued.iter().map(|requeued| requeued.held).collect();
    let (ids, attempts) = columns(&held);
    let (low, high) = bounds(&ids);
    let outcomes: Vec<&str> = requeued.iter().map(|requeued| requeued.outcome.as_ref()).collect();
    let errors: Vec<Option<&str>> = requeued.iter().map(|requeued| requeued.error.as_deref()).collect();
    let delays: Vec<f64> = requeued.iter().map(|requeued| requeued.delay.as_secs_f64()).collect();
    let (began, ended) = seconds_ago(requeued.iter().map(|requeued| requeued.life.as_ref()));
    sqlx::query_as!(
        AttemptKey,
        "with given as materialized (
             select * from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::float8[], $8::float8[], $9::float8[])
                 as g (id, attempt, outcome, error, delay, began, over)
         ),
         back as (
             update execution_queue q
             set ready = true, worker_id = null, lease_until = null, deadline_at = null, run_at = db_now() + make_interval(secs => g.delay)
             from given g
             where q.execution_id = g.id and q.attempt = g.attempt and not q.ready and not q.cancel_requested
             returning q.execution_id, q.attempt, q.run_at, array_remove(array[q.rule_key, q.action_key], null) as keys
         ),
         recorded as (
             insert into execution_attempt (execution_id, attempt, worker_id, started_at, outcome, detail, slot_keys, began_at, over_at)
             select e.id, g.attempt, e.worker_id, e.started_at, g.outcome, jsonb_build_object('error', g.error), nullif(back.keys, '{}'),
                    greatest(db_now() - make_interval(secs => g.began), case when g.began is not null then e.started_at end),
                    db_now() - make_interval(secs => g.over)
             from given g join back on back.execution_id = g.id and back.attempt = g.attempt join execution e on e.id = g.id and e.id = any($1) and e.id between $6 and $7
             on conflict do nothing
         )
         update execution e set status = 'scheduled', scheduled_at = back.run_at, error = g.error
         from given g join back on back.execution_id = g.id and back.attempt = g.attempt
         where e.id = g.id and e.id = any($1) and e.id between $6 and $7
         returning e.id, e.attempt",
        &ids,
        &attempts,
        &outcomes as &[&str],
        &errors as &[Option<&str>],
        &delays,
        low,
        high,
        &began as &[Option<f64>],
        &ended as &[Option<f64>]
    )
    .fetch_all(db)
    .await
}

/// A result that was not accepted, and its retry if it had one.
#[derive(Debug)]
pub struct Late<'a> {
    pub finished: &'a Finished,
    pub requeued: Option<&'a Requeued>,
}

/// The handling of a result that was not accepted.
#[derive(Debug)]
pub struct Refused {
    pub id: ExecutionId,
    pub attempt: i32,
    /// False if it had been accepted before and was written again, because the answer was lost.
    pub late: bool,
}

/// Stores results that arrived after their attempts had been rescued, as late results. They are never accepted. Executions that
/// do not exist in this database are not returned.
pub async fn keep_late(db: impl PgExecutor<'_>, refused: &[Late<'_>]) -> Result<Vec<Refused>, Error> {
    let held: Vec<AttemptKey> = refused.iter().map(|late| late.finished.held).collect();
    let (ids, attempts) = columns(&held);
    let (low, high) = bounds(&ids);
    let statuses: Vec<&str> = refused.iter().map(|late| late.finished.status.as_str()).collect();
    let requeued: Vec<Option<&str>> = refused
        .iter()
        .map(|late| Some(late.requeued?.outcome.as_ref()))
        .collect();
    let reasons: Vec<Option<&str>> = refused.iter().map(|late| late.requeued?.error.as_deref()).collect();
    let errors: Vec<Option<&str>> = refused.iter().map(|late| late.finished.error.as_deref()).collect();
    let (began, ended) = seconds_ago(refused.iter().map(|late| late.finished.life.as_ref()));
    sqlx::query_as!(
        Refused,
        r#"with given as materialized (
             select distinct on (g.id, g.attempt) g.*,
                    e.attempt = g.attempt and e.status = g.outcome and e.error is not distinct from g.error as finished
             from unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $9::float8[], $10::float8[])
                  as g (id, attempt, outcome, error, requeued, reason, began, over)
             join execution e on e.id = g.id and e.id = any($1) and e.id between $7 and $8
             order by g.id, g.attempt
         ),
         stored as (
             insert into execution_attempt as a (execution_id, attempt, late_outcome, began_at, over_at)
             select g.id, g.attempt, coalesce(g.requeued, g.outcome), db_now() - make_interval(secs => g.began), db_now() - make_interval(secs => g.over)
             from given g
             where not g.finished and not exists (
                 select from execution_attempt a
                 where a.execution_id = g.id and a.attempt = g.attempt and a.execution_id = any($1) and a.execution_id between $7 and $8
                   and a.outcome = g.requeued and a.detail ->> 'error' is not distinct from g.reason)
             on conflict (execution_id, attempt) do update
             set late_outcome = excluded.late_outcome, over_at = coalesce(excluded.over_at, a.over_at),
                 began_at = coalesce(greatest(excluded.began_at, case when excluded.began_at is not null then a.started_at end), a.began_at)
             returning execution_id, attempt
         )
         select g.id as "id!: ExecutionId", g.attempt as "attempt!", stored.attempt is not null as "late!"
         from given g left join stored on stored.execution_id = g.id and stored.attempt = g.attempt"#,
        &ids,
        &attempts,
        &statuses as &[&str],
        &errors as &[Option<&str>],
        &requeued as &[Option<&str>],
        &reasons as &[Option<&str>],
        low,
        high,
        &began as &[Option<f64>],
        &ended as &[Option<f64>]
    )
    .fetch_all(db)
    .await
}

pub(super) fn columns(held: &[AttemptKey]) -> (Vec<Uuid>, Vec<i32>) {
    held.iter().map(|held| (held.id.0, held.attempt)).unzip()
}
