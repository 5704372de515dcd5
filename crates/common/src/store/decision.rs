//! T2: one statement that removes events from their queue and inserts everything that follows from them.

use super::Error;
use attune_domain::{
    ActionRef, EnforcementId, EventId, ExecutionId, RuleId, RuleRef,
    chain::Chain,
    definition::OnLost,
    execution::ExecutionStatus,
    occurrence::EnforcementStatus,
    policy::{Gate, Gates},
    raw::Raw,
    retry::RetryPolicy,
};
use serde_json::Value;
use sqlx::PgExecutor;
use uuid::Uuid;

/// The decision about one event.
#[derive(Debug, Clone)]
pub struct Decision {
    pub event_id: EventId,
    pub tries: i16,
    /// How many rules were evaluated, and how many matched or failed.
    pub rules: i32,
    pub enforcements: Vec<NewEnforcement>,
}

#[derive(Debug, Clone)]
pub struct NewEnforcement {
    pub id: EnforcementId,
    pub rule_id: RuleId,
    pub rule_ref: RuleRef,
    pub rule_version: i64,
    pub status: EnforcementStatus,
    pub reason: Option<String>,
    pub parameters: Option<Value>,
    pub execution: Option<NewExecution>,
    /// The gates that the execution must pass before it is written.
    pub gates: Gates,
}

/// The execution that an enforcement starts, with the current policies of its action.
#[derive(Debug, Clone)]
pub struct NewExecution {
    pub id: ExecutionId,
    pub action_ref: ActionRef,
    pub pool: String,
    pub timeout_seconds: i32,
    pub on_lost: OnLost,
    pub attempts_max: i32,
    pub retry: Option<Raw<RetryPolicy>>,
    pub trace_id: Uuid,
    /// That of the event.
    pub chain: Chain,
    /// The current code of the action's pack.
    pub pack_hash: Option<String>,
    /// The concurrency key that this execution is queued on.
    pub waits_for: Option<String>,
    /// Its first attempt is claimed in the transaction that writes it (`store::joint`).
    pub claimed: bool,
}

impl NewExecution {
    pub fn status(&self) -> ExecutionStatus {
        match self.waits_for {
            Some(_) => ExecutionStatus::Waiting,
            None => ExecutionStatus::Scheduled,
        }
    }
}

#[derive(Debug)]
pub enum Written {
    /// The events that were still leased by this executor. Another executor had claimed the others.
    Decided(Vec<EventId>),
    /// Definitions have changed since the decisions were made: nothing was written.
    Stale,
}

#[derive(Debug, Default)]
pub(super) struct Columns {
    pub events: Vec<Uuid>,
    tries: Vec<i16>,
    pub rules: Vec<i32>,
    pub matched: Vec<i32>,
    pub enforcement_ids: Vec<Uuid>,
    pub event_ids: Vec<Uuid>,
    pub rule_ids: Vec<i64>,
    pub rule_refs: Vec<String>,
    pub rule_versions: Vec<i64>,
    pub statuses: Vec<String>,
    pub reasons: Vec<Option<String>>,
    pub parameters: Vec<Option<Value>>,
    pub execution_ids: Vec<Option<Uuid>>,
    pub action_refs: Vec<Option<String>>,
    pub pools: Vec<Option<String>>,
    pub timeouts: Vec<Option<i32>>,
    pub on_lost: Vec<Option<String>>,
    pub attempts_max: Vec<Option<i32>>,
    pub retries: Vec<Option<Value>>,
    pub trace_ids: Vec<Option<Uuid>>,
    rule_keys: Vec<Option<String>>,
    action_keys: Vec<Option<String>>,
    waits_for: Vec<Option<String>>,
    pub claimed: Vec<bool>,
    pub pack_hashes: Vec<Option<String>>,
    /// As PostgreSQL writes arrays, because `unnest` would flatten nested ones.
    chains: Vec<Option<String>>,
}

impl Columns {
    pub fn of(mut decisions: Vec<Decision>) -> Self {
        decisions.sort_by_key(|decision| decision.event_id);
        let mut columns = Self::default();
        for decision in decisions {
            columns.events.push(decision.event_id.0);
            columns.tries.push(decision.tries);
            columns.rules.push(decision.rules);
            columns
                .matched
                .push(i32::try_from(decision.enforcements.len()).unwrap_or(i32::MAX));
            for enforcement in decision.enforcements {
                columns.push(decision.event_id, enforcement);
            }
        }
        columns
    }

    fn push(&mut self, event_id: EventId, enforcement: NewEnforcement) {
        self.enforcement_ids.push(enforcement.id.0);
        self.event_ids.push(event_id.0);
        self.rule_ids.push(enforcement.rule_id.0);
        self.rule_refs.push(enforcement.rule_ref.into());
        self.rule_versions.push(enforcement.rule_version);
        self.statuses.push(enforcement.status.to_string());
        self.reasons.push(enforcement.reason);
        self.parameters.push(enforcement.parameters);
        let execution = enforcement.execution.as_ref();
        self.execution_ids.push(execution.map(|execution| execution.id.0));
        self.action_refs
            .push(execution.map(|execution| execution.action_ref.to_string()));
        self.pools.push(execution.map(|execution| execution.pool.clone()));
        self.timeouts.push(execution.map(|execution| execution.timeout_seconds));
        self.on_lost
            .push(execution.map(|execution| execution.on_lost.to_string()));
        self.attempts_max
            .push(execution.map(|execution| execution.attempts_max));
        self.retries
            .push(execution.and_then(|execution| Some(execution.retry.as_ref()?.as_json().clone())));
        self.trace_ids.push(execution.map(|execution| execution.trace_id));
        let key = |gate: &Option<Gate>| gate.as_ref().map(|gate| gate.key.clone());
        self.rule_keys.push(key(&enforcement.gates.rule));
        self.action_keys.push(key(&enforcement.gates.action));
        self.waits_for
            .push(execution.and_then(|execution| execution.waits_for.clone()));
        self.claimed.push(execution.is_some_and(|execution| execution.claimed));
        self.pack_hashes
            .push(execution.and_then(|execution| execution.pack_hash.clone()));
        self.chains
            .push(execution.and_then(|execution| execution.chain.as_deref().map(array)));
    }
}

fn array(ids: &[i64]) -> String {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// T2: removes the events from their queue, and inserts everything that follows from those that were still leased, in one
/// statement, one round trip and one flush.
///
/// Executions with gates were admitted before, in the same transaction (`store::slot`).
///
/// There are no joins: PostgreSQL expects few rows of each part and scans the whole batch for each event (in a batch of 85, 10 µs
/// an event for the `delete` alone, against 3.6). `(… in …) is true` is a hash that no plan inverts.
///
/// The commit does not wait for the disk. An execution starts only after another commit, which waits, and the log is written in
/// order; a decision that is lost before is made again with the same ids (docs/decisions/0024-joint-commit.md). The decision
/// is announced after [`super::db::flush`].
///
/// Rows are inserted in the order of their ids: unsorted bulk inserts with `on conflict` of two executors deadlock.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn write<'e>(db: impl PgExecutor<'e>, version: i64, decisions: Vec<Decision>) -> Result<Written, Error> {
    let columns = Columns::of(decisions);
    let written = sqlx::query!(
        r#"with current as materialized (
            select version from definitions
            where (select set_config('synchronous_commit', 'off', true)) = 'off'
        ),
        mine as (
            delete from event_queue q
            where q.event_id = any($1) and q.tries = ($2::smallint[])[array_position($1::uuid[], q.event_id)]
              and q.quarantined_at is null and (select version from current) = $5
            returning q.event_id
        ),
        decision as (
            insert into event_decision (event_id, definitions_version, rules, matched)
            select d.event_id, $5, d.rules, d.matched
            from unnest($1::uuid[], $3::integer[], $4::integer[]) as d (event_id, rules, matched)
            where (d.event_id in (select event_id from mine)) is true
            order by d.event_id
            on conflict do nothing
        ),
        given as materialized (
            select g.* from unnest(
                $6::uuid[], $7::uuid[], $8::bigint[], $9::text[], $10::bigint[], $11::text[], $12::text[], $13::jsonb[],
                $14::uuid[], $15::text[], $16::text[], $17::integer[], $18::text[], $19::integer[], $20::jsonb[], $21::uuid[],
                $22::text[], $23::text[], $24::text[], $25::text[], $26::text[]
            ) as g (id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters,
                    execution_id, action_ref, pool, timeout_seconds, on_lost, attempts_max, retry, trace_id, rule_key, action_key, waits_for,
                    pack_hash, chain)
            where (g.event_id in (select event_id from mine)) is true
        ),
        enforced as (
            insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters)
            select id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters from given order by id
            on conflict do nothing
        ),
        started as (
            insert into execution (id, enforcement_id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, trace_id,
                                   pack_hash, chain)
            select execution_id, id, event_id, rule_ref, action_ref, pool, parameters,
                   case when waits_for is null then 'scheduled' else 'waiting' end, db_now(), trace_id, pack_hash, chain::bigint[]
            from given where execution_id is not null order by execution_id
            on conflict do nothing
            returning id
        ),
        queued as (
            insert into execution_queue (execution_id, pool, run_at, ready, on_lost, attempts_max, timeout_seconds, retry,
                                         rule_key, action_key, waits_for)
            select g.execution_id, g.pool, db_now(), g.waits_for is null, g.on_lost, g.attempts_max, g.timeout_seconds, g.retry,
                   g.rule_key, g.action_key, g.waits_for
            from given g where (g.execution_id in (select id from started)) is true order by g.execution_id
            on conflict do nothing
        )
        select (select version from current) as "version!", coalesce((select array_agg(event_id) from mine), '{}') as "mine!: Vec<EventId>""#,
        &columns.events,
        &columns.tries,
        &columns.rules,
        &columns.matched,
        version,
        &columns.enforcement_ids,
        &columns.event_ids,
        &columns.rule_ids,
        &columns.rule_refs,
        &columns.rule_versions,
        &columns.statuses,
        &columns.reasons as &[Option<String>],
        &columns.parameters as &[Option<Value>],
        &columns.execution_ids as &[Option<Uuid>],
        &columns.action_refs as &[Option<String>],
        &columns.pools as &[Option<String>],
        &columns.timeouts as &[Option<i32>],
        &columns.on_lost as &[Option<String>],
        &columns.attempts_max as &[Option<i32>],
        &columns.retries as &[Option<Value>],
        &columns.trace_ids as &[Option<Uuid>],
        &columns.rule_keys as &[Option<String>],
        &columns.action_keys as &[Option<String>],
        &columns.waits_for as &[Option<String>],
        &columns.pack_hashes as &[Option<String>],
        &columns.chains as &[Option<String>],
    )
    .fetch_one(db)
    .await?;
    if written.version == version {
        Ok(Written::Decided(written.mine))
    } else {
        Ok(Written::Stale)
    }
}
