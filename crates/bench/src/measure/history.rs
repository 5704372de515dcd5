//! What really happened, read from the ledger.

use attune_common::store::{Error, Transaction};
use attune_domain::{EventId, TriggerId};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgPool};

/// The executions of some rules since an instant.
#[derive(Debug, Clone)]
pub struct Flow {
    pub executions: i64,
    pub succeeded: i64,
    pub first_received_at: Option<DateTime<Utc>>,
    pub first_started_at: Option<DateTime<Utc>>,
    pub last_created_at: Option<DateTime<Utc>>,
    pub last_started_at: Option<DateTime<Utc>>,
    pub last_finished_at: Option<DateTime<Utc>>,
}

/// `rules` is a pattern of `like`.
pub async fn flow(pool: &PgPool, trigger: TriggerId, rules: &str, since: DateTime<Utc>) -> Result<Flow, Error> {
    sqlx::query_as!(
        Flow,
        r#"select count(*) as "executions!", count(*) filter (where status = 'succeeded') as "succeeded!",
                  (select min(received_at) from event where trigger_id = $3 and received_at >= $2) as first_received_at,
                  min(started_at) as first_started_at, max(created_at) as last_created_at,
                  max(started_at) as last_started_at, max(finished_at) as last_finished_at
           from execution where rule_ref like $1 and created_at >= $2 and id >= id_floor($2 - interval '1 hour')"#,
        rules,
        since,
        trigger.0
    )
    .fetch_one(pool)
    .await
}

/// The manual executions of an action since an instant.
#[derive(Debug, Clone)]
pub struct Manual {
    pub executions: i64,
    pub succeeded: i64,
    pub first_created_at: Option<DateTime<Utc>>,
    pub last_finished_at: Option<DateTime<Utc>>,
}

pub async fn manual(pool: &PgPool, action: &str, since: DateTime<Utc>) -> Result<Manual, Error> {
    sqlx::query_as!(
        Manual,
        r#"select count(*) as "executions!", count(*) filter (where status = 'succeeded') as "succeeded!",
                  min(created_at) as first_created_at, max(finished_at) as last_finished_at
           from execution
           where action_ref = $1 and rule_ref is null and created_at >= $2 and id >= id_floor($2 - interval '1 hour')"#,
        action,
        since
    )
    .fetch_one(pool)
    .await
}

/// True when nothing waits and nothing runs.
pub async fn is_idle(pool: &PgPool) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"select not exists (select from event_queue) and not exists (select from execution_queue) as "idle!""#
    )
    .fetch_one(pool)
    .await
}

/// The decisions about a trigger's events since an instant.
#[derive(Debug, Clone)]
pub struct Decided {
    pub events: i64,
    pub rules: i64,
    pub first_received_at: Option<DateTime<Utc>>,
    pub last_decided_at: Option<DateTime<Utc>>,
}

pub async fn decided(pool: &PgPool, trigger: TriggerId, since: DateTime<Utc>) -> Result<Decided, Error> {
    sqlx::query_as!(
        Decided,
        r#"select count(*) as "events!", coalesce(sum(d.rules), 0)::bigint as "rules!",
                  min(e.received_at) as first_received_at, max(d.decided_at) as last_decided_at
           from event e join event_decision d on d.event_id = e.id
           where e.trigger_id = $1 and e.received_at >= $2"#,
        trigger.0,
        since
    )
    .fetch_one(pool)
    .await
}

/// One event of a timer, late by how much.
#[derive(Debug, Clone)]
pub struct Fired {
    pub id: EventId,
    pub scheduled_at: DateTime<Utc>,
    /// When its row was written; the commit follows.
    pub written_ms: f64,
    /// When the executor, which sees it only after the commit, decided it.
    pub decided_ms: Option<f64>,
}

/// `timers` is a pattern of `like`.
pub async fn fired(pool: &PgPool, timers: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<Fired>, Error> {
    sqlx::query_as!(
        Fired,
        r#"select e.id, e.scheduled_at as "scheduled_at!",
                  (extract(epoch from e.received_at - e.scheduled_at) * 1000)::float8 as "written_ms!",
                  (extract(epoch from d.decided_at - e.scheduled_at) * 1000)::float8 as decided_ms
           from event e left join event_decision d on d.event_id = e.id
           where e.trigger_ref like $1 and e.scheduled_at >= $2 and e.scheduled_at < $3
             and e.id >= id_floor($2) and e.id < id_floor($3)
           order by e.scheduled_at"#,
        timers,
        from,
        to
    )
    .fetch_all(pool)
    .await
}

/// What timers that should all have fired left behind.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    pub events: i64,
    /// Of one timer at one instant there should be one event.
    pub occurrences: i64,
    /// The most that lies between an instant and its event.
    pub latest_ms: f64,
}

/// `timers` is a pattern of `like`.
pub async fn ledger(pool: &PgPool, timers: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Ledger, Error> {
    sqlx::query_as!(
        Ledger,
        r#"select count(*) as "events!", count(distinct (trigger_id, scheduled_at)) as "occurrences!",
                  (coalesce(max(extract(epoch from received_at - scheduled_at)), 0) * 1000)::float8 as "latest_ms!"
           from event where trigger_ref like $1 and scheduled_at >= $2 and scheduled_at < $3"#,
        timers,
        from,
        to
    )
    .fetch_one(pool)
    .await
}

/// When the first event of a timer was written since an instant.
pub async fn first_fired(pool: &PgPool, since: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
    sqlx::query_scalar!(
        "select min(received_at) from event where source = 'timer' and received_at >= $1",
        since
    )
    .fetch_one(pool)
    .await
}

/// `count` finished executions, with their events and enforcements, spread evenly over the `days` before yesterday; each day
/// gets its partitions, as an installation of that age has them.
pub async fn fill_history(pool: &PgPool, trigger: TriggerId, count: i64, days: i32) -> Result<(), Error> {
    for day in 2..days + 2 {
        let each = count / i64::from(days) + i64::from(i64::from(day - 2) < count % i64::from(days));
        let mut tx = Transaction::begin(pool).await?;
        sqlx::query!("set local statement_timeout = 0")
            .execute(&mut *tx)
            .await?;
        sqlx::query!(
            "select count(partition_create(name, (db_now() at time zone 'UTC')::date - $1::integer)) from partitioned_table",
            day
        )
        .fetch_one(&mut *tx)
        .await?;
        // One id for all four rows of an execution: their tables do not mind.
        sqlx::query!(
            r#"with given as materialized (
                 select overlay(gen_random_uuid()::text placing left(id_floor(at)::text, 13) from 1 for 13)::uuid as id, at
                 from (select date_trunc('day', db_now(), 'UTC') - make_interval(days => $1) + make_interval(secs => n * 86400.0 / ($2 + 1)) as at
                       from generate_series(1::bigint, $2) n) instant
             ),
             event as (
                 insert into event (id, trigger_id, trigger_ref, source, payload, received_at, trace_id)
                 select id, $3, 'bench.history', 'api', '{"site": "A", "temperature": 31, "message": "hi"}', at, id from given
             ),
             decision as (
                 insert into event_decision (event_id, decided_at, definitions_version, rules, matched) select id, at, 1, 1, 1 from given
             ),
             enforced as (
                 insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, parameters, created_at)
                 select id, id, 0, 'bench.history_' || (random() * 100)::integer, 1, 'created', '{}', at from given
             )
             insert into execution (id, enforcement_id, event_id, rule_ref, action_ref, pool, parameters, status, attempt, worker_id, result, exit_code,
                                    created_at, scheduled_at, started_at, finished_at, trace_id)
             select id, id, id, 'bench.history_' || (random() * 100)::integer, 'core.noop', 'default', '{}', 'succeeded', 1, id, '{}', 0, at, at, at, at, id
             from given"#,
            day,
            each,
            trigger.0
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Drops the partitions of these days.
pub async fn drop_history(pool: &PgPool, days: i32) -> Result<(), Error> {
    for day in 2..days + 2 {
        let tables: Vec<String> = sqlx::query_scalar!(
            r#"select name || '_' || to_char((db_now() at time zone 'UTC')::date - $1::integer, 'YYYYMMDD') as "name!" from partitioned_table"#,
            day
        )
        .fetch_all(pool)
        .await?;
        for table in tables {
            sqlx::query(AssertSqlSafe(format!("drop table if exists {table}")))
                .execute(pool)
                .await?;
        }
    }
    Ok(())
}
