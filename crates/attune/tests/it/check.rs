//! `attune check`: its output and its exit code.

use super::support::{Process, facts, surroundings::environment};
use attune_common::testing::Database;
use serde_json::Value;
use std::time::Duration;

/// A decided event whose enforcement lacks its execution, as if someone had deleted it.
const LOST_EXECUTION: &str = "
    insert into event (id, trigger_id, trigger_ref, source, payload, trace_id)
        values ('018f0000-0000-7000-8000-000000000001', 1, 'test.gone', 'api', '{}', gen_random_uuid());
    insert into event_decision (event_id, definitions_version, rules, matched) select id, 1, 1, 1 from event;
    insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status)
        select '018f0000-0000-7000-8000-000000000002', id, 1, 'test.gone', 1, 'created' from event";

/// An execution that waits for a worker, as it should.
const OPEN: &str = "
    insert into execution (id, action_ref, pool, parameters, status, scheduled_at, trace_id)
        values ('018f0000-0000-7000-8000-000000000003', 'test.gone', 'default', '{}', 'scheduled', now(), gen_random_uuid());
    insert into execution_queue (execution_id, pool, run_at, timeout_seconds)
        select id, 'default', now(), 1 from execution";

/// The exit code and everything that was printed.
async fn check(database: &Database, arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let command = [
        &[env!("CARGO_BIN_EXE_attune"), "check", "--database-url", database.url()],
        arguments,
    ]
    .concat();
    let mut process = Process::start("check", &command, &environment(), &folder.path().join("log"));
    let code = process.ended(Duration::from_secs(30)).await;
    (code, process.printed())
}

#[tokio::test]
async fn a_database_is_checked() {
    let database = Database::new().await;
    facts::execute(&database.pool, OPEN).await;
    let (code, printed) = check(&database, &[]).await;
    assert_eq!(code, 0, "work may be in progress: {printed}");
    assert!(
        printed
            .lines()
            .all(|line| line.ends_with(" ok") || line.contains("not checked")),
        "{printed}"
    );
    assert!(printed.contains("I04_enforcement_followed"), "{printed}");

    let (code, printed) = check(&database, &["--idle"]).await;
    assert_eq!(code, 1, "no execution may be active: {printed}");
    assert!(
        printed.contains("I05_everything_ended       VIOLATED by 1 row\n"),
        "{printed}"
    );

    facts::execute(&database.pool, LOST_EXECUTION).await;
    let (code, printed) = check(&database, &[]).await;
    assert_eq!(code, 1, "{printed}");
    assert!(
        printed.contains("I04_enforcement_followed   VIOLATED by 1 row\n    {"),
        "{printed}"
    );
    assert!(printed.contains("1 of 16 invariants are violated"), "{printed}");

    let (code, printed) = check(&database, &["--json"]).await;
    let printed: Value = serde_json::from_str(printed.lines().next().unwrap_or_default()).expect("it is JSON");
    assert_eq!((code, &printed["ok"]), (1, &Value::Bool(false)));
    let broken: Vec<&Value> = printed["invariants"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|invariant| invariant["ok"] == false)
        .collect();
    assert_eq!(broken.len(), 1, "{printed}");
    assert_eq!(broken[0]["name"], "I04_enforcement_followed");
    assert_eq!(broken[0]["violations"][0]["rule_ref"], "test.gone");
    database.close().await;
}

#[tokio::test]
async fn a_database_without_a_schema_is_reported() {
    let database = Database::empty().await;
    let (code, printed) = check(&database, &[]).await;
    assert_eq!(code, 2, "nothing was checked: {printed}");
    assert!(printed.contains("run `attune migrate`"), "{printed}");
    database.close().await;
}
