//! Starts executions manually: several with one statement.

use super::{Error, slot};
use attune_domain::{
    ActionId, ActionRef, ExecutionId,
    execution::ExecutionStatus,
    policy::{Admit, Gates},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

/// An execution that is started manually.
#[derive(Debug)]
pub struct ByHand<'a> {
    pub id: ExecutionId,
    pub action_id: ActionId,
    pub parameters: &'a Value,
    pub attempts_max: i32,
    pub rerun_of: Option<ExecutionId>,
    pub trace_id: Uuid,
    /// The gates of the action's concurrency.
    pub gates: &'a Gates,
    /// The definitions counter that the action was read at. If the counter has changed, the execution is not written.
    pub definitions: Option<i64>,
}

/// The outcome of a manual start.
#[derive(Debug)]
pub enum Started {
    Queued(Queued),
    /// The action's concurrency refuses the start, with the reason.
    Refused(String),
    /// Not written, because the action was deleted, or because the definitions have changed.
    Outdated,
}

#[derive(Debug, Clone)]
pub struct Queued {
    /// `Scheduled`, or `Waiting` for a slot.
    pub status: ExecutionStatus,
    pub action_ref: ActionRef,
    pub pool: String,
    /// The current code of the action's pack.
    pub pack_hash: Option<String>,
    pub created_at: DateTime<Utc>,
    pub scheduled_at: DateTime<Utc>,
}

/// Inserts executions and their queue rows, with the current policies of their actions. The outcomes are in the order of the
/// starts. The caller holds a transaction if a start has gates.
pub async fn start(connection: &mut PgConnection, starts: &[ByHand<'_>]) -> Result<Vec<Started>, Error> {
    let admitted = admit(&mut *connection, starts).await?;
    let mut columns = Columns::default();
    for (start, admitted) in starts.iter().zip(&admitted) {
        if let Admitted::As { waits_for } = admitted {
            columns.push(start, waits_for.clone());
        }
    }
    let mut written = write(connection, &columns).await?.into_iter();
    let outcome = |admitted| match admitted {
        Admitted::Refused(reason) => Started::Refused(reason),
        Admitted::As { .. } => written.next().flatten().map_or(Started::Outdated, Started::Queued),
    };
    Ok(admitted.into_iter().map(outcome).collect())
}

enum Admitted {
    As { waits_for: Option<String> },
    Refused(String),
}

/// Decides in the order of the ids, in which executors decide too.
async fn admit(connection: &mut PgConnection, starts: &[ByHand<'_>]) -> Result<Vec<Admitted>, Error> {
    let mut admitted: Vec<Admitted> = starts.iter().map(|_| Admitted::As { waits_for: None }).collect();
    let mut gated: Vec<usize> = (0..starts.len()).filter(|&n| !starts[n].gates.is_empty()).collect();
    if gated.is_empty() {
        return Ok(admitted);
    }
    gated.sort_by_key(|&n| starts[n].id);
    let mut ledger = slot::state(connection, gated.iter().map(|&n| starts[n].gates)).await?;
    for n in gated {
        admitted[n] = match ledger.admit(starts[n].gates) {
            Admit::Start => Admitted::As { waits_for: None },
            Admit::Wait { key } | Admit::CancelPrevious { key } => Admitted::As { waits_for: Some(key) },
            Admit::Skip { reason } | Admit::Throttle { reason } => Admitted::Refused(reason),
        };
    }
    Ok(admitted)
}

#[derive(Debug, Default)]
struct Columns {
    ids: Vec<Uuid>,
    action_ids: Vec<i64>,
    parameters: Vec<Value>,
    attempts_max: Vec<i32>,
    rerun_of: Vec<Option<Uuid>>,
    traces: Vec<Uuid>,
    action_keys: Vec<Option<String>>,
    waits_for: Vec<Option<String>>,
    counters: Vec<Option<i64>>,
}

impl Columns {
    fn push(&mut self, start: &ByHand<'_>, waits_for: Option<String>) {
        self.ids.push(start.id.0);
        self.action_ids.push(start.action_id.0);
        self.parameters.push(start.parameters.clone());
        self.attempts_max.push(start.attempts_max);
        self.rerun_of.push(start.rerun_of.map(|id| id.0));
        self.traces.push(start.trace_id);
        let action = start.gates.action.as_ref();
        self.action_keys.push(action.map(|gate| gate.key.clone()));
        self.waits_for.push(waits_for);
        self.counters.push(start.definitions);
    }
}

async fn write(connection: &mut PgConnection, columns: &Columns) -> Result<Vec<Option<Queued>>, Error> {
    if columns.ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query!(
        r#"with given as materialized (
            select g.*, a.ref, a.pool, a.on_lost, a.timeout_seconds, a.retry, case when p.has_code then p.hash end as pack_hash
            from unnest($1::uuid[], $2::bigint[], $3::jsonb[], $4::integer[], $5::uuid[], $6::uuid[], $7::text[], $8::text[], $9::bigint[])
                with ordinality as g (id, action_id, parameters, attempts_max, rerun_of, trace_id, action_key, waits_for, counter, place)
            left join lateral (
                select * from action where action.id = g.action_id and coalesce(counter = (select version from definitions), true) offset 0
            ) a on true
            left join pack p on p.id = a.pack_id
        ),
        made as (
            insert into execution (id, action_ref, pool, parameters, status, scheduled_at, rerun_of, trace_id, pack_hash)
            select id, ref, pool, parameters, case when waits_for is null then 'scheduled' else 'waiting' end, db_now(), rerun_of, trace_id,
                   pack_hash
            from given where ref is not null order by id
            returning id, created_at, scheduled_at
        ),
        queued as (
            insert into execution_queue (execution_id, pool, run_at, ready, on_lost, attempts_max, timeout_seconds, retry, action_key, waits_for)
            select g.id, g.pool, made.scheduled_at, g.waits_for is null, g.on_lost, g.attempts_max, g.timeout_seconds, g.retry, g.action_key,
                   g.waits_for
            from given g join made on made.id = g.id order by g.id
        )
        select g.ref as "action_ref?: ActionRef", g.pool as "pool?", g.pack_hash, g.waits_for, made.created_at as "created_at?", made.scheduled_at as "scheduled_at?"
        from given g left join made on made.id = g.id order by g.place"#,
        &columns.ids,
        &columns.action_ids,
        &columns.parameters,
        &columns.attempts_max,
        &columns.rerun_of as &[Option<Uuid>],
        &columns.traces,
        &columns.action_keys as &[Option<String>],
        &columns.waits_for as &[Option<String>],
        &columns.counters as &[Option<i64>],
    )
    .fetch_all(connection)
    .await?;
    let queued = rows.into_iter().map(|row| {
        Some(Queued {
            status: match row.waits_for {
                Some(_) => ExecutionStatus::Waiting,
                None => ExecutionStatus::Scheduled,
            },
            action_ref: row.action_ref?,
            pool: row.pool?,
            pack_hash: row.pack_hash,
            created_at: row.created_at?,
            scheduled_at: row.scheduled_at?,
        })
    });
    Ok(queued.collect())
}
