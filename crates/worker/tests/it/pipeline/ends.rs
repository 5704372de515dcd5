//! Retry, time-out and cancel, from end to end.

use super::UNTIL_GO;
use crate::support::{Site, ended, exists};
use attune_common::store::Transaction;
use attune_common::store::execution;
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use std::time::Duration;

/// Fails once, and says when each attempt began.
const SECOND_TIME: &str = r#"date +%s%N > "$D/began-$ATTUNE_ATTEMPT"; [ "$ATTUNE_ATTEMPT" = 2 ]"#;

async fn cancel(site: &Site, id: ExecutionId) -> ExecutionStatus {
    let mut tx = Transaction::begin(&site.database.pool).await.unwrap();
    let to = execution::cancel(&mut tx, id).await.unwrap().unwrap().unwrap();
    tx.commit().await.unwrap();
    to
}

#[tokio::test]
async fn a_retry_waits_its_time_also_over_a_restart() {
    let site = Site::new().await;
    let retry = r#"retry = '{"max_attempts": 3, "backoff_seconds": 3, "factor": 1}'"#;
    let id = site.run("second_time", SECOND_TIME, retry, 3).await;
    let worker = site.worker();
    site.becomes(id, "status = 'scheduled' and attempt = 1 and error = 'exit code 1'")
        .await;
    drop(worker);
    let _next = site.worker();
    site.becomes(id, "status = 'succeeded' and attempt = 2").await;
    let [first, second] = ["began-1", "began-2"].map(|name| site.read(name));
    let (first, second) = (first.await, second.await);
    let waited = second.parse::<u64>().unwrap() - first.parse::<u64>().unwrap();
    assert!(waited > 2_250_000_000, "{waited}");
    let told =
        "select count(*) from execution_attempt where attempt = 1 and outcome = 'failed' and late_outcome is null";
    assert_eq!(site.database.count(told).await, 1);
    site.database.close().await;
}

#[tokio::test]
async fn a_result_whose_row_somebody_holds_lets_the_others_pass() {
    let site = Site::new().await;
    let action = site.action("wait", UNTIL_GO, "").await;
    let (held, free) = (site.start(action, 1).await, site.start(action, 1).await);
    let _worker = site.worker();
    for id in [held, free] {
        site.becomes(id, "status = 'running'").await;
    }
    let row = format!("select from execution where id = '{}' for update", held.0);
    let lock = site.hold(&row).await;
    // Both end at once; whether their results are told together or in turn, the free one gets through.
    site.make("go");
    site.becomes(free, "status = 'succeeded'").await;
    assert!(site.is(held, "status = 'running'").await);
    lock.rollback().await.unwrap();
    site.becomes(held, "status = 'succeeded' and attempt = 1").await;
    site.database.close().await;
}

#[tokio::test]
async fn the_last_attempt_decides() {
    let site = Site::new().await;
    let retry = r#"retry = '{"max_attempts": 2, "backoff_seconds": 0}'"#;
    let id = site.run("never", r#"echo "$ATTUNE_ATTEMPT"; exit 7"#, retry, 2).await;
    let _worker = site.worker();
    site.becomes(id, "status = 'failed' and attempt = 2 and exit_code = 7")
        .await;
    assert!(site.is(id, r"result ->> 'stdout' = E'2\n'").await);
    site.database.close().await;
}

#[tokio::test]
async fn time_runs_out() {
    let site = Site::new().await;
    let script = r#"setsid sh -c 'echo $$ > "'$D'/child"; trap "" TERM; while :; do sleep 0.1; done' & wait"#;
    let id = site.run("long", script, "timeout_seconds = 1", 1).await;
    let _worker = site.worker_with(&[("ATTUNE__WORKER__KILL_GRACE_SECONDS", "1")]);
    let child = site.pid("child").await;
    site.becomes(id, "status = 'timed_out' and error like 'timed out after 1 s%'")
        .await;
    ended(child, Duration::from_secs(2)).await;
    site.database.close().await;
}

#[tokio::test]
async fn canceled_while_it_waits_for_its_retry_it_never_starts_again() {
    let site = Site::new().await;
    let retry = r#"retry = '{"max_attempts": 3, "backoff_seconds": 2, "factor": 1}'"#;
    let id = site.run("second_time", SECOND_TIME, retry, 3).await;
    let _worker = site.worker();
    site.becomes(id, "status = 'scheduled' and attempt = 1").await;
    assert_eq!(cancel(&site, id).await, ExecutionStatus::Canceled);
    // Another one, due later than the retry would have been, has started and the retry has not.
    let after = site.action("after", r#"echo > "$D/after""#, "").await;
    let after = site.start(after, 1).await;
    let due = format!(
        "update execution_queue set run_at = db_now() + interval '3 s' where execution_id = '{}'",
        after.0
    );
    site.database.execute(&due).await;
    site.becomes(after, "status = 'succeeded'").await;
    assert!(site.is(id, "status = 'canceled' and attempt = 1").await);
    assert!(!site.file("began-2").exists());
    site.database.close().await;
}

#[tokio::test]
async fn a_cancel_ends_what_runs_also_without_any_message() {
    let site = Site::new().await;
    let id = site.run("wait", UNTIL_GO, "", 1).await;
    let _worker = site.worker();
    let pid = site.pid("pid").await;
    assert_eq!(cancel(&site, id).await, ExecutionStatus::Canceling);
    site.becomes(id, "status = 'canceled' and finished_at is not null")
        .await;
    assert!(!exists(pid));
    assert_eq!(site.database.count("select count(*) from execution_queue").await, 0);
    site.database.close().await;
}

/// Written with psql. The API and the executor refuse such a policy before anything starts.
#[tokio::test]
async fn a_retry_policy_that_cannot_be_used_is_named_where_a_retry_was_expected() {
    let site = Site::new().await;
    let bad = [
        ("7", "retry: "),
        ("[]", "retry: "),
        ("\"3\"", "retry: "),
        ("{}", "retry.max_attempts: is missing"),
        (r#"{"max_attempts": "3"}"#, "retry.max_attempts: must be a whole number"),
        (r#"{"max_attempts": 0}"#, "retry.max_attempts: must be from 1"),
        (
            r#"{"max_attempts": 3, "backoff_seconds": "1s"}"#,
            "retry.backoff_seconds: must be a number",
        ),
        (
            r#"{"max_attempts": 3, "factor": 99}"#,
            "retry.factor: must be from 1 to 10",
        ),
        (r#"{"max_attempts": 3, "on": ["exploded"]}"#, "retry.on: must be one of"),
        (r#"{"max_attempts": 3, "tries": 3}"#, "tries"),
        ("null", "retry: "),
    ];
    let action = site.action("never", "exit 7", "").await;
    let mut ids = Vec::new();
    for (policy, words) in bad {
        let id = site.start(action, 3).await;
        let sql = format!(
            "update execution_queue set retry = '{policy}' where execution_id = '{}'",
            id.0
        );
        site.database.execute(&sql).await;
        ids.push((id, words));
    }
    let _worker = site.worker();
    for (id, words) in ids {
        let said = format!(
            "status = 'failed' and attempt = 1 and exit_code = 7 and error like 'exit code 7; it was not tried again: %the action t.never%misconfigured: %{words}%'"
        );
        site.becomes(id, &said).await;
    }
    site.database.close().await;
}

#[tokio::test]
async fn output_that_is_not_json_says_why() {
    let site = Site::new().await;
    let _worker = site.worker();
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
        let id = site.run(name, script, "output_format = 'json'", 1).await;
        site.becomes(id, &format!("status = 'succeeded' and {condition}")).await;
    }
    let id = site.run("text", "echo hello", "output_format = 'text'", 1).await;
    site.becomes(id, "status = 'succeeded' and not result ? 'output_error'")
        .await;
    site.database.close().await;
}
