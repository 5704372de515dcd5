//! Each invariant accepts valid rows and finds its violation.

use attune_common::{
    store::invariants::{self, violations},
    testing::Database,
};
use sqlx::{Connection as _, PgConnection};
use std::collections::BTreeSet;

/// A small valid history: a timer with five occurrences of which two were missed, a rule, and one execution with two
/// attempts.
const RIGHT: &str = r#"
insert into pack (ref, label, updated_at) values ('test', 'Test', now() - interval '1 hour');
insert into runtime (ref, pack_id, label, kind) select 'test.shell', id, 'Shell', 'process' from pack;
insert into action (ref, pack_id, runtime_id, label, entry_point, updated_at)
    select 'test.act', p.id, r.id, 'Act', 'true', now() - interval '1 hour' from pack p, runtime r;
insert into trigger (ref, pack_id, label, kind) select 'test.tick', id, 'Tick', 'timer' from pack;
insert into rule (ref, pack_id, label, trigger_id, action_id, created_at)
    select 'test.rule', p.id, 'Rule', t.id, a.id, now() - interval '1 hour' from pack p, trigger t, action a;
update rule_history set changed_at = now() - interval '1 hour';
delete from timer_change;

insert into timer (trigger_id, config, generation, seen_version, enabled, settled_at, next_fire_at)
    select id, '{}', 1, 1, true, date_trunc('minute', now()), date_trunc('minute', now()) + interval '10 seconds' from trigger;
insert into timer_span (trigger_id, generation, config, from_at)
    select id, 1, '{"type": "interval", "seconds": 10}', date_trunc('minute', now()) - interval '50 seconds' from trigger;
insert into timer_gap (trigger_id, generation, from_at, to_at, missed, reason)
    select id, 1, date_trunc('minute', now()) - interval '40 seconds', date_trunc('minute', now()) - interval '30 seconds', 2, 'skip' from trigger;
insert into event (id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id)
    select gen_random_uuid(), t.id, t.ref, 'timer', '{}', date_trunc('minute', now()) - n * interval '10 seconds', gen_random_uuid()
    from trigger t, generate_series(0, 2) n;
insert into event_decision (event_id, definitions_version, rules, matched) select id, 1, 1, 1 from event;
insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status)
    select gen_random_uuid(), e.id, r.id, r.ref, r.version, 'created' from event e, rule r;
insert into execution (id, enforcement_id, event_id, rule_ref, action_ref, pool, parameters, status, attempt, result, scheduled_at, started_at, finished_at, trace_id)
    select gen_random_uuid(), id, event_id, rule_ref, 'test.act', 'default', '{}', 'succeeded', 2, '{}', now(), now(), now(), gen_random_uuid() from enforcement;
insert into execution_attempt (execution_id, attempt, started_at, ended_at, outcome)
    select id, 1, now() - interval '2 seconds', now() - interval '1 second', 'failed' from execution;
update execution_attempt set slot_keys = array['action:' || action.id], began_at = now() - interval '2 s', over_at = now() - interval '1 s' from action;
"#;

/// A file whose event does not exist.
const WITHOUT_EVENT: &str = "
insert into file_watch (trigger_id, host) select id, '' from trigger;
insert into file_seen (trigger_id, host, path, device, inode, size, mtime_ns, event_id, seen_at)
    select id, '', 'a.csv', 1, 1, 1, 1, gen_random_uuid(), now() from trigger";

/// The same change of the same file, twice in a row.
const REPORTED_TWICE: &str = r#"
insert into event (id, trigger_id, trigger_ref, source, payload, trace_id)
    select ('019a4d2c-7f0' || n || '-7000-8000-3b1f6c2e9d10')::uuid, t.id, t.ref, 'file_watch',
           '{"kind": "modified", "path": "/srv/a.csv", "host": "alpha"}', gen_random_uuid()
    from trigger t, generate_series(1, 2) n;
insert into event_decision (event_id, definitions_version, rules, matched) select id, 1, 1, 0 from event where source = 'file_watch'"#;

const DELETE_ONE_EVENT: &str = "delete from event where id = (select id from event limit 1)";

const TOO_MANY: &str = r#"
update action set concurrency = '{"limit": 1}';
insert into execution_queue (execution_id, pool, run_at, timeout_seconds, action_key)
    select gen_random_uuid(), 'default', now() + interval '1 minute', 1, 'action:' || id || ':a' from action, generate_series(1, 2)"#;

const FORGOTTEN: &str = r#"
update action set concurrency = '{"limit": 1}';
insert into execution_queue (execution_id, pool, run_at, timeout_seconds, ready, action_key, waits_for)
    select gen_random_uuid(), 'default', now() + interval '1 minute', 1, false, 'action:' || id, 'action:' || id from action"#;

/// Two attempts of different executions overlapped under a key with limit 1, after the policy was written.
const OVERLAPPED: &str = r#"
update action set concurrency = '{"limit": 1}';
update execution_attempt set began_at = now() + interval '10 s', over_at = now() + interval '30 s';
insert into execution_attempt (execution_id, attempt, slot_keys, began_at, over_at)
    select gen_random_uuid(), 1, array['action:' || id], now() + interval '29 s', now() + interval '39 s' from action"#;

/// A rule that has subscribed to the ends of executions for an hour.
const LISTENING: &str = r"
insert into trigger (ref, pack_id, label, kind, updated_at)
    select 'core.execution_finished', id, 'Finished', 'system', now() - interval '1 hour' from pack;
insert into rule (ref, pack_id, label, trigger_id, action_id, created_at)
    select 'test.alert', p.id, 'Alert', t.id, a.id, now() - interval '1 hour'
    from pack p, trigger t, action a where t.kind = 'system';
update rule_history set changed_at = now() - interval '1 hour';";

/// Each violation, and the invariant that finds it (others may, too).
const WRONG: [(&str, &str); 27] = [
    (LISTENING, "I16_ends_reported"),
    (
        "insert into event (id, trigger_id, trigger_ref, source, payload, trace_id) select gen_random_uuid(), 1, 'core.execution_finished', 'system', jsonb_build_object('execution_id', id), id from execution",
        "I16_ends_reported",
    ),
    (
        "update execution set chain = array[r.id, r.id] from rule r",
        "I17_chains_bounded",
    ),
    (
        "insert into event select gen_random_uuid(), trigger_id, trigger_ref, source, payload, scheduled_at, received_at, trace_id from event limit 1",
        "I01_timer_fires_once",
    ),
    (DELETE_ONE_EVENT, "I02_interval_accounted"),
    (WITHOUT_EVENT, "I15_files_accounted"),
    (REPORTED_TWICE, "I15_files_accounted"),
    ("delete from timer_gap", "I02_interval_accounted"),
    (
        "update timer_span set from_at = from_at - interval '10 seconds'",
        "I02_interval_accounted",
    ),
    (
        "delete from enforcement where id = (select id from enforcement limit 1)",
        "I03_rules_met",
    ),
    (
        "update rule_history set condition = '\"true\"'; delete from enforcement where id = (select id from enforcement limit 1)",
        "I03_rules_met",
    ),
    ("update rule_history set enabled = false", "I03_rules_met"),
    (
        "insert into enforcement select gen_random_uuid(), event_id, rule_id, rule_ref, rule_version, status, reason, parameters, created_at from enforcement limit 1",
        "I03_rules_met",
    ),
    (
        "delete from execution where id = (select id from execution limit 1)",
        "I04_enforcement_followed",
    ),
    (
        "insert into execution (id, action_ref, pool, parameters, status, scheduled_at, trace_id) values (gen_random_uuid(), 'test.act', 'default', '{}', 'running', now(), gen_random_uuid())",
        "I05_everything_ended",
    ),
    (
        "insert into execution_attempt (execution_id, attempt, outcome) select id, 2, 'failed' from execution",
        "I06_one_result",
    ),
    (
        "insert into execution_attempt (execution_id, attempt, outcome) select id, 3, 'failed' from execution",
        "I07_result_of_its_attempt",
    ),
    ("update execution set finished_at = null", "I07_result_of_its_attempt"),
    ("update execution_attempt set outcome = 'lost'", "I08_started_once"),
    (
        "insert into execution_queue (execution_id, pool, run_at, timeout_seconds, attempt) select id, 'default', now(), 1, 2 from execution",
        "I09_queue_agrees",
    ),
    (
        "insert into event_queue (event_id) select id from event limit 1",
        "I10_event_not_forgotten",
    ),
    ("delete from execution_attempt", "I11_attempts_in_order"),
    (
        "update execution_attempt set ended_at = now() + interval '1 second'",
        "I11_attempts_in_order",
    ),
    (
        "insert into event_dedup (trigger_id, key, event_id, expires_at) values (1, '\\x00', gen_random_uuid(), now() + interval '1 day')",
        "I12_promised_ids",
    ),
    (TOO_MANY, "I13_slots_agree"),
    (FORGOTTEN, "I13_slots_agree"),
    (OVERLAPPED, "I14_limits_held"),
];

async fn found(connection: &mut PgConnection) -> BTreeSet<&'static str> {
    let violations = violations(connection).await.expect("the statements are right");
    violations.into_iter().map(|violation| violation.invariant).collect()
}

#[tokio::test]
async fn each_invariant_finds_its_violation() {
    let database = Database::new().await;
    let mut connection = database.pool.acquire().await.expect("the database answers");
    assert_eq!(
        found(&mut connection).await,
        BTreeSet::new(),
        "nothing is wrong with nothing"
    );
    database.execute(RIGHT).await;
    let all = violations(&mut connection).await.expect("the statements are right");
    assert!(all.is_empty(), "{all:#?}");
    for (wrong, invariant) in WRONG {
        // Rolled back.
        let mut transaction = connection.begin().await.expect("a transaction begins");
        sqlx::raw_sql(sqlx::AssertSqlSafe(wrong))
            .execute(&mut *transaction)
            .await
            .expect("the test's SQL is valid");
        assert!(
            found(&mut transaction).await.contains(invariant),
            "{invariant} does not see: {wrong}"
        );
        transaction.rollback().await.expect("it rolls back");
    }
    let seen: BTreeSet<_> = WRONG.iter().map(|(_, invariant)| *invariant).collect();
    assert_eq!(
        seen.len(),
        invariants::ALL.len(),
        "every invariant has been seen to fail"
    );
    drop(connection);
    database.close().await;
}

/// A daily timer, forty days old, of which only today's event is retained.
const OLD: &str = r#"
insert into pack (ref, label) values ('test', 'Test');
insert into trigger (ref, pack_id, label, kind) select 'test.daily', id, 'Daily', 'timer' from pack;
delete from timer_change;
insert into timer (trigger_id, config, generation, seen_version, enabled, settled_at, next_fire_at)
    select id, '{}', 1, 1, true, now(), now() + interval '1 day' from trigger;
insert into timer_span (trigger_id, generation, config, from_at)
    select id, 1, '{"type": "interval", "seconds": 86400}', now() - interval '40 days' from trigger;
insert into event (id, trigger_id, trigger_ref, source, payload, scheduled_at, trace_id)
    select id_floor(at), id, ref, 'timer', '{}', at, gen_random_uuid() from trigger, date_trunc('day', now(), 'UTC') as at;
insert into event_decision (event_id, definitions_version, rules, matched) select id, 1, 0, 0 from event;
"#;

const MISSED_TODAY: &str = "
insert into timer_gap (trigger_id, generation, from_at, to_at, missed, reason)
    select id, 1, now(), now(), 1, 'skip' from trigger";

#[tokio::test]
async fn expired_history_violates_nothing() {
    let database = Database::new().await;
    let mut connection = database.pool.acquire().await.expect("the database answers");
    database.execute(OLD).await;
    assert_eq!(found(&mut connection).await, BTreeSet::new());
    database.execute(MISSED_TODAY).await;
    assert_eq!(
        found(&mut connection).await,
        BTreeSet::from(["I02_interval_accounted"]),
        "retained history is still checked"
    );
    drop(connection);
    database.close().await;
}
