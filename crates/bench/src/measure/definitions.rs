//! Definitions by the thousand, in one statement each.

use attune_common::store::{Error, Transaction, timer_history};
use attune_domain::{RuleId, TriggerId};
use serde_json::{Value, json};
use sqlx::PgPool;

pub async fn make_pack(pool: &PgPool) -> Result<(), Error> {
    sqlx::query!(
        "insert into pack (ref, label, description) values ('bench', 'Benchmark', 'Definitions of attune bench') on conflict do nothing"
    )
    .execute(pool)
    .await
    .map(drop)
}

pub struct NewAction<'a> {
    pub name: &'a str,
    pub runtime: &'a str,
    pub entry_point: &'a str,
    pub parameters_schema: Value,
}

/// An action that runs a shell script. Returns its reference.
pub async fn make_shell_action(pool: &PgPool, name: &str, script: &str) -> Result<String, Error> {
    let action = NewAction {
        name,
        runtime: "core.shell",
        entry_point: script,
        parameters_schema: json!({"type": "object"}),
    };
    make_action(pool, &action).await
}

/// Returns the reference.
pub async fn make_action(pool: &PgPool, action: &NewAction<'_>) -> Result<String, Error> {
    sqlx::query_scalar!(
        r#"insert into action (ref, pack_id, runtime_id, label, entry_point, parameters_schema, timeout_seconds)
           select 'bench.' || $1, p.id, r.id, $1, $3, $4, 60 from pack p, runtime r where p.ref = 'bench' and r.ref = $2
           on conflict (ref) do update set entry_point = excluded.entry_point
           returning ref::text as "ref!""#,
        action.name,
        action.runtime,
        action.entry_point,
        action.parameters_schema
    )
    .fetch_one(pool)
    .await
}

/// A trigger of kind `custom`.
pub async fn make_trigger(pool: &PgPool, name: &str) -> Result<TriggerId, Error> {
    sqlx::query_scalar!(
        "insert into trigger (ref, pack_id, label, kind)
         select 'bench.' || $1, id, $1, 'custom' from pack where ref = 'bench'
         on conflict (ref) do update set label = excluded.label
         returning id",
        name
    )
    .fetch_one(pool)
    .await
}

/// `count` rules `bench.<name>_<n>` of one trigger and one action.
pub async fn make_rules(
    pool: &PgPool,
    name: &str,
    count: i64,
    trigger: TriggerId,
    action: &str,
    condition: Option<&Value>,
) -> Result<Vec<RuleId>, Error> {
    sqlx::query_scalar!(
        "insert into rule (ref, pack_id, label, trigger_id, action_id, condition)
         select 'bench.' || $1 || '_' || n, p.id, $1, $3, a.id, $5
         from pack p, action a, generate_series(1, $2::bigint) n
         where p.ref = 'bench' and a.ref = $4
         returning id",
        name,
        count,
        trigger.0,
        action,
        condition
    )
    .fetch_all(pool)
    .await
}

/// How many executions of these rules may run at once. `rules` is a pattern of `like`.
pub async fn limit_rules(pool: &PgPool, rules: &str, concurrency: &Value) -> Result<(), Error> {
    sqlx::query!("update rule set concurrency = $2 where ref like $1", rules, concurrency)
        .execute(pool)
        .await
        .map(drop)
}

/// `count` timers `bench.<name>_<n>` of one configuration. A sensor plans them.
pub async fn make_timers(pool: &PgPool, name: &str, count: i64, config: &Value) -> Result<u64, Error> {
    sqlx::query!(
        "insert into trigger (ref, pack_id, label, kind, config)
         select 'bench.' || $1 || '_' || n, p.id, $1, 'timer', $3
         from pack p, generate_series(1, $2::bigint) n where p.ref = 'bench'",
        name,
        count,
        config
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}

/// Daily timers `bench.<name>_<from..to>`, spread evenly over the day and planned already, as a sensor would have left
/// them: planning a million takes minutes and is not measured.
pub async fn register_timers(pool: &PgPool, name: &str, from: i64, to: i64) -> Result<u64, Error> {
    let mut tx = Transaction::begin(pool).await?;
    let made = sqlx::query!(
        r#"with clock as materialized (select db_now() as now, date_trunc('day', db_now(), 'UTC') as today),
        given as materialized (
            select n, today + make_interval(secs => (n * 7919) % 86400) as at, now from clock, generate_series($2::bigint, $3::bigint) n
        ),
        made as (
            insert into trigger (ref, pack_id, label, kind, config)
            select 'bench.' || $1 || '_' || g.n, p.id, $1, 'timer',
                   jsonb_build_object('type', 'interval', 'hours', 24, 'anchor', to_char(g.at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
            from given g, pack p where p.ref = 'bench'
            returning id, ref, config, version
        ),
        planned as (
            insert into timer (trigger_id, config, generation, seen_version, enabled, next_fire_at, settled_at)
            select m.id, m.config, m.version, m.version, true, g.at + case when g.at <= g.now then interval '1 day' else interval '0' end, g.now
            from made m join given g on m.ref = 'bench.' || $1 || '_' || g.n
        )
        insert into timer_span (trigger_id, generation, config, from_at)
        select m.id, m.version, m.config, now from made m, clock"#,
        name,
        from,
        to
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!("delete from timer_change c using timer m where m.trigger_id = c.trigger_id and m.seen_version = 1")
        .execute(&mut *tx)
        .await?;
    timer_history::forget_applied(&mut *tx).await?;
    tx.commit().await?;
    Ok(made.rows_affected())
}

/// Removes every definition of the pack, in portions. What happened stays.
pub async fn remove_all(pool: &PgPool) -> Result<(), Error> {
    let rules = "delete from rule where id in (select id from rule where ref like 'bench.%' limit 5000)";
    let triggers = "delete from trigger where id in (select id from trigger where ref like 'bench.%' limit 20000)";
    for statement in [rules, triggers] {
        while sqlx::query(statement).execute(pool).await?.rows_affected() > 0 {}
    }
    Ok(())
}
