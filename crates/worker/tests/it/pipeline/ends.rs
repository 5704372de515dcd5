//! Retry, timeout and cancel, end to end.

use super::UNTIL_GO;
use crate::support::{TestWorker, ended, exists};
use attune_common::store::Transaction;
use attune_common::store::execution;
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use std::time::Duration;

/// Fails once, and writes the start time of each attempt.
const SECOND_TIME: &str = r#"date +%s%N > "$D/began-$ATTUNE_ATTEMPT"; [ "$ATTUNE_ATTEMPT" = 2 ]"#;

async fn cancel(test: &TestWorker, id: ExecutionId) -> ExecutionStatus {
    let mut tx = Transaction::begin(&test.database.pool).await.unwrap();
    let to = execution::cancel(&mut tx, id).await.unwrap().unwrap().unwrap();
    tx.commit().await.unwrap();
    to
}

#[tokio::test]
async fn a_retry_keeps_its_delay_across_a_restart() {
    let test = TestWorker::new().await;
    let retry = r#"retry = '{"max_attempts": 3, "backoff_seconds": 3, "factor": 1}'"#;
    let id = test.run("second_time", SECOND_TIME, retry, 3).await;
    let worker = test.worker();
    test.becomes(id, "status = 'scheduled' and attempt = 1 and error = 'exit code 1'")
        .await;
    drop(worker);
    let _next = test.worker();
    test.becomes(id, "status = 'succeeded' and attempt = 2").await;
    let [first, second] = ["began-1", "began-2"].map(|name| test.read(name));
    let (first, second) = (first.await, second.await);
    let waited = second.parse::<u64>().unwrap() - first.parse::<u64>().unwrap();
    assert!(waited > 2_250_000_000, "{waited}");
    let recorded =
        "select count(*) from execution_attempt where attempt = 1 and outcome = 'failed' and late_outcome is null";
    assert_eq!(test.database.count(recorded).await, 1);
    test.database.close().await;
}

#[tokio::test]
async fn a_locked_row_does_not_block_other_results() {
    let test = TestWorker::new().await;
    let action = test.action("wait", UNTIL_GO, "").await;
    let (held, free) = (test.start(action, 1).await, test.start(action, 1).await);
    let _worker = test.worker();
    for id in [held, free] {
        test.becomes(id, "status = 'running'").await;
    }
    let row = format!("select from execution where id = '{}' for update", held.0);
    let lock = test.hold(&row).await;
    // Both end at the same time. Whether their results share a batch or not, the free one is written.
    test.touch("go");
    test.becomes(free, "status = 'succeeded'").await;
    assert!(test.is(held, "status = 'running'").await);
    lock.rollback().await.unwrap();
    test.becomes(held, "status = 'succeeded' and attempt = 1").await;
    test.database.close().await;
}

#[tokio::test]
async fn the_last_attempt_determines_the_result() {
    let test = TestWorker::new().await;
    let retry = r#"retry = '{"max_attempts": 2, "backoff_seconds": 0}'"#;
    let id = test.run("never", r#"echo "$ATTUNE_ATTEMPT"; exit 7"#, retry, 2).await;
    let _worker = test.worker();
    test.becomes(id, "status = 'failed' and attempt = 2 and exit_code = 7")
        .await;
    assert!(test.is(id, r"result ->> 'stdout' = E'2\n'").await);
    test.database.close().await;
}

#[tokio::test]
async fn an_action_times_out() {
    let test = TestWorker::new().await;
    let script = r#"setsid sh -c 'echo $$ > "'$D'/child"; trap "" TERM; while :; do sleep 0.1; done' & wait"#;
    let id = test.run("long", script, "timeout_seconds = 1", 1).await;
    let _worker = test.worker_with(&[("ATTUNE__WORKER__KILL_GRACE_SECONDS", "1")]);
    let child = test.pid("child").await;
    test.becomes(id, "status = 'timed_out' and error like 'timed out after 1 s%'")
        .await;
    ended(child, Duration::from_secs(2)).await;
    test.database.close().await;
}

#[tokio::test]
async fn a_canceled_retry_never_starts() {
    let test = TestWorker::new().await;
    let retry = r#"retry = '{"max_attempts": 3, "backoff_seconds": 2, "factor": 1}'"#;
    let id = test.run("second_time", SECOND_TIME, retry, 3).await;
    let _worker = test.worker();
    test.becomes(id, "status = 'scheduled' and attempt = 1").await;
    assert_eq!(cancel(&test, id).await, ExecutionStatus::Canceled);
    // An execution that is due after the retry has started, and the retry has not.
    let after = test.action("after", r#"echo > "$D/after""#, "").await;
    let after = test.start(after, 1).await;
    let due = format!(
        "update execution_queue set run_at = db_now() + interval '3 s' where execution_id = '{}'",
        after.0
    );
    test.database.execute(&due).await;
    test.becomes(after, "status = 'succeeded'").await;
    assert!(test.is(id, "status = 'canceled' and attempt = 1").await);
    assert!(!test.file("began-2").exists());
    test.database.close().await;
}

#[tokio::test]
async fn a_cancel_stops_a_running_action_without_any_message() {
    let test = TestWorker::new().await;
    let id = test.run("wait", UNTIL_GO, "", 1).await;
    let _worker = test.worker();
    let pid = test.pid("pid").await;
    assert_eq!(cancel(&test, id).await, ExecutionStatus::Canceling);
    test.becomes(id, "status = 'canceled' and finished_at is not null")
        .await;
    assert!(!exists(pid));
    assert_eq!(test.database.count("select count(*) from execution_queue").await, 0);
    test.database.close().await;
}

/// The policy is written with psql. The API and the executor refuse it before anything starts.
#[tokio::test]
async fn an_invalid_retry_policy_is_reported_instead_of_a_retry() {
    let test = TestWorker::new().await;
    let bad = [
        ("7", "retry: "),
        ("[]", "retry: "),
        ("\"3\"", "retry: "),
        ("{}", "retry.max_attempts: is missing"),
        (r#"{"max_attempts": "3"}"#, "retry.max_attempts: must be a whole number"),
        (
            r#"{"max_attempts": 0}"#,
            "retry.max_attempts: must be a whole number from 1",
        ),
        (
            r#"{"max_attempts": 3, "backoff_seconds": "1s"}"#,
            "retry.backoff_seconds: must be a number",
        ),
        (
            r#"{"max_attempts": 3, "factor": 99}"#,
            "retry.factor: must be a number from 1 to 10",
        ),
        (r#"{"max_attempts": 3, "on": ["exploded"]}"#, "retry.on: must be one of"),
        (r#"{"max_attempts": 3, "tries": 3}"#, "tries"),
        ("null", "retry: "),
    ];
    let action = test.action("never", "exit 7", "").await;
    let mut ids = Vec::new();
    for (policy, expected) in bad {
        let id = test.start(action, 3).await;
        let sql = format!(
            "update execution_queue set retry = '{policy}' where execution_id = '{}'",
            id.0
        );
        test.database.execute(&sql).await;
        ids.push((id, expected));
    }
    let _worker = test.worker();
    for (id, expected) in ids {
        let condition = format!(
            "status = 'failed' and attempt = 1 and exit_code = 7 and error like 'exit code 7; not retried: %the action t.never%misconfigured: %{expected}%'"
        );
        test.becomes(id, &condition).await;
    }
    test.database.close().await;
}

#[tokio::test]
async fn output_that_is_not_json_reports_the_reason() {
    let test = TestWorker::new().await;
    let _worker = test.worker();
    for (name, script, condition) in [
        (
            "value",
            r#"echo "{\"a\": 1}""#,
            "result->'output' = '{\"a\": 1}' and not result ? 'output_error'",
        ),
        (
            "words",
            "echo hello world",
            "result->>'output_error' like '%line 1, column 1%hello world%'",
        ),
        ("nothing", "true", "result->>'output_error' like '%is empty%'"),
        (
            "two",
            "echo 1; echo 2",
            "result->>'output_error' like '%line 2, column 1%more follows%'",
        ),
        (
            "bytes",
            r"printf '\042\377\042'",
            "result->>'output_error' like '%not UTF-8 at byte 1%'",
        ),
        (
            "nul",
            r"printf '\042\000\042'",
            "result->>'output_error' like '%NUL byte at byte 1%'",
        ),
        (
            "long",
            "head -c 3000000 /dev/zero | tr '\\0' 1",
            "result->>'output_error' like '%bytes of it were left out%'",
        ),
    ] {
        let id = test.run(name, script, "output_format = 'json'", 1).await;
        test.becomes(id, &format!("status = 'succeeded' and {condition}")).await;
    }
    let id = test.run("text", "echo hello", "output_format = 'text'", 1).await;
    test.becomes(id, "status = 'succeeded' and not result ? 'output_error'")
        .await;
    test.database.close().await;
}
