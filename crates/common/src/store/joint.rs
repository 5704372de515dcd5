//! Inserts events together with what follows from them: T1' or T1, T2 and T3 in one statement.

use super::{
    Error,
    decision::{self, Decision},
    event_queue::interval,
    ingest::{self, Accepted, NewEvent},
};
use attune_domain::{EventId, ExecutionId};
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use std::time::Duration;
use uuid::Uuid;

/// What is to be committed with events.
#[derive(Debug)]
pub struct Work {
    /// The version of the definitions that the decisions were made with.
    pub version: i64,
    /// The instant that the decisions were made with.
    pub received_at: DateTime<Utc>,
    /// None has a limit: those are admitted under the locks of their keys (`store::slot`).
    pub decisions: Vec<Decision>,
    /// For the executions that are marked as claimed.
    pub claimant: Option<Claimant>,
}

/// The worker that claims, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Claimant {
    pub worker: Uuid,
    pub lease: Duration,
}

#[derive(Debug)]
pub struct Written {
    /// In the order of the events.
    pub accepted: Vec<Accepted>,
    /// The events whose decisions were written. The others are queued, or duplicates. Empty if definitions have changed.
    pub decided: Vec<EventId>,
    /// The executions that were written.
    pub started: Vec<ExecutionId>,
}

impl Written {
    /// Whether an executor has something to decide among the accepted events.
    pub fn left_undecided(&self, accepted: &[Accepted]) -> bool {
        let new = accepted.iter().filter(|accepted| accepted.received_at.is_some());
        new.count() > self.decided.len()
    }
}

/// Inserts events like [`ingest::insert`]. Those with a decision are not queued: their enforcements and executions are inserted
/// like by [`decision::write`], and claimed executions are running like after `execution_queue::claim`. If definitions have
/// changed since the decisions were made, all events are queued.
#[expect(clippy::too_many_lines, reason = "one statement")]
pub async fn insert<'e>(db: impl PgExecutor<'e>, events: &[NewEvent], work: Work) -> Result<Written, Error> {
    let columns = ingest::Columns::of(events);
    let decisions = decision::Columns::of(work.decisions);
    let (worker, lease) = work
        .claimant
        .map(|claimant| (claimant.worker, interval(claimant.lease)))
        .unzip();
    let rows = sqlx::query!(
        r#"with current as materialized (select version from definitions),
        given as materialized (
            select g.*, coalesce(counter <> (select version from current), false) as outdated
            from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::timestamptz[], $7::uuid[], $8::bytea[], $9::bigint[],
                        $34::bigint[])
                with ordinality as g (id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id, key, window_seconds, counter, place)
        ),
        won as (
            insert into event_dedup as d (trigger_id, key, event_id, expires_at)
            select trigger_id, key, id, db_now() + least(make_interval(secs => window_seconds),
                   make_interval(days => (select keep_days from partitioned_table where name = 'event')))
            from given where key is not null and not outdated order by trigger_id, key
            on conflict (trigger_id, key) do update
                set event_id = excluded.event_id, created_at = excluded.created_at, expires_at = excluded.expires_at
                where d.expires_at <= db_now()
            returning event_id
        ),
        fresh as (
            insert into event (id, trigger_id, trigger_ref, source, payload, scheduled_at, received_at, trace_id)
            select id, trigger_id, trigger_ref, source, payload, scheduled_at, $10, trace_id from given
            where not outdated and (key is null or id in (select event_id from won)) order by id
            on conflict do nothing
            returning id
        ),
        decided as materialized (
            select d.event_id, d.rules, d.matched from unnest($11::uuid[], $12::integer[], $13::integer[]) as d (event_id, rules, matched)
            where (d.event_id in (select id from fresh)) is true and (select version from current) = $14
        ),
        queued as (
            insert into event_queue (event_id)
            select id from fresh where (id in (select event_id from decided)) is not true order by id
            on conflict do nothing
        ),
        decision as (
            insert into event_decision (event_id, definitions_version, rules, matched)
            select event_id, $14, rules, matched from decided order by event_id
            on conflict do nothing
        ),
        followed as materialized (
            select f.* from unnest(
                $15::uuid[], $16::uuid[], $17::bigint[], $18::text[], $19::bigint[], $20::text[], $21::text[], $22::jsonb[],
                $23::uuid[], $24::text[], $25::text[], $26::integer[], $27::text[], $28::integer[], $29::jsonb[], $30::uuid[], $31::boolean[], $35::text[]
            ) as f (id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters,
                    execution_id, action_ref, pool, timeout_seconds, on_lost, attempts_max, retry, trace_id, claimed, pack_hash)
            where (f.event_id in (select event_id from decided)) is true
        ),
        enforced as (
            insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters)
            select id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters from followed order by id
            on conflict do nothing
        ),
        started as (
            insert into execution (id, enforcement_id, event_id, rule_ref, action_ref, pool, parameters, trace_id, scheduled_at,
                                   status, attempt, worker_id, started_at, pack_hash)
            select execution_id, id, event_id, rule_ref, action_ref, pool, parameters, trace_id, db_now(),
                   case when claimed then 'running' else 'scheduled' end, claimed::integer,
                   case when claimed then $32::uuid end, case when claimed then db_now() end, pack_hash
            from followed where execution_id is not null order by execution_id
            on conflict do nothing
            returning id
        ),
        pending as (
            insert into execution_queue (execution_id, pool, run_at, ready, attempt, worker_id, lease_until, deadline_at,
                                         on_lost, attempts_max, timeout_seconds, retry)
            select execution_id, pool, db_now(), not claimed, claimed::integer,
                   case when claimed then $32::uuid end, case when claimed then db_now() + $33::interval end,
                   case when claimed then db_now() + make_interval(secs => timeout_seconds) end,
                   on_lost, attempts_max, timeout_seconds, retry
            from followed where (execution_id in (select id from started)) is true order by execution_id
            on conflict do nothing
        )
        select g.id as "id!: EventId", g.outdated as "outdated!", f.id is not null as "fresh!", d.event_id as "first?: EventId",
               (g.id in (select event_id from decided)) is true as "decided!",
               case when g.place = 1 then (select coalesce(array_agg(id), '{}') from started) else '{}' end as "started!: Vec<ExecutionId>"
        from given g
        left join fresh f on f.id = g.id
        left join event_dedup d on f.id is null and not g.outdated and d.trigger_id = g.trigger_id and d.key = g.key and d.expires_at > db_now()
        order by g.place"#,
        &columns.ids,
        &columns.trigger_ids,
        &columns.trigger_refs,
        &columns.sources,
        &columns.payloads,
        &columns.scheduled as &[Option<DateTime<Utc>>],
        &columns.traces,
        &columns.keys as &[Option<Vec<u8>>],
        &columns.windows as &[Option<i64>],
        work.received_at,
        &decisions.events,
        &decisions.rules,
        &decisions.matched,
        work.version,
        &decisions.enforcement_ids,
        &decisions.event_ids,
        &decisions.rule_ids,
        &decisions.rule_refs,
        &decisions.rule_versions,
        &decisions.statuses,
        &decisions.reasons as &[Option<String>],
        &decisions.parameters as &[Option<serde_json::Value>],
        &decisions.execution_ids as &[Option<Uuid>],
        &decisions.action_refs as &[Option<String>],
        &decisions.pools as &[Option<String>],
        &decisions.timeouts as &[Option<i32>],
        &decisions.on_lost as &[Option<String>],
        &decisions.attempts_max as &[Option<i32>],
        &decisions.retries as &[Option<serde_json::Value>],
        &decisions.trace_ids as &[Option<Uuid>],
        &decisions.claimed,
        worker,
        lease as Option<sqlx::postgres::types::PgInterval>,
        &columns.counters as &[Option<i64>],
        &decisions.pack_hashes as &[Option<String>],
    )
    .fetch_all(db)
    .await?;
    let mut written = Written {
        accepted: Vec::with_capacity(rows.len()),
        decided: Vec::new(),
        started: Vec::new(),
    };
    for row in rows {
        written.accepted.push(Accepted {
            event_id: row.first.unwrap_or(row.id),
            duplicate: !row.fresh && !row.outdated,
            outdated: row.outdated,
            received_at: row.fresh.then_some(work.received_at),
        });
        written.decided.extend(row.decided.then_some(row.id));
        written.started.extend(row.started);
    }
    Ok(written)
}
