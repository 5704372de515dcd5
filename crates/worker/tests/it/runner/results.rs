//! Results: one JSON value on descriptor 3.

use super::support::{DEADLINE, TestRunner, eventually_within, exists, pids_in};
use attune_worker::runner::{Ended, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LARGEST: usize = 8 << 20;

fn reason(ended: &Ended) -> &str {
    ended.result.as_ref().unwrap().as_ref().unwrap_err()
}

#[tokio::test]
async fn a_value_on_descriptor_3_is_the_result_and_the_streams_are_the_log() {
    let test = TestRunner::new().await;
    let ended = test
        .run_shell(r#"echo out; printf '{"n": %s}' "$ATTUNE_RESULT_FD" >&3; echo err >&2"#)
        .await;
    assert_eq!(ended.result, Some(Ok(json!({"n": 3}))));
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"));
    // Opened again by its path, and by a descendant.
    let ended = test.run_shell("sh -c 'echo true > /dev/fd/3'").await;
    assert_eq!(ended.result, Some(Ok(json!(true))));
    let ended = test.run_shell("echo none").await;
    assert_eq!(ended.result, None);
    let ended = test.run_shell("exec 3>&-; echo closed").await;
    assert_eq!((ended.result, ended.outcome), (None, Outcome::Succeeded));
    test.stop().await;
}

#[tokio::test]
async fn a_result_is_one_value_or_an_error_with_the_reason() {
    let test = TestRunner::new().await;
    for (script, expected) in [
        ("printf 'hello' >&3", "line 1, column 1: no JSON value begins here"),
        (
            "printf '1\n2' >&3",
            "line 2, column 1: more follows after the first value",
        ),
        ("printf '{\"a\": 1' >&3", "it ends too early"),
        (r"printf '\377' >&3", "not UTF-8 at byte 0"),
        (r"printf '\000' >&3", "NUL byte at byte 0"),
        ("echo >&3", "contains only blanks"),
    ] {
        let ended = test.run_shell(script).await;
        let reason = reason(&ended);
        assert!(
            reason.starts_with("the result on descriptor 3") && reason.contains(expected),
            "{script}: {reason}"
        );
    }
    test.stop().await;
}

#[tokio::test]
async fn results_may_have_eight_mebibytes_and_not_a_byte_more() {
    let test = TestRunner::new().await;
    for (spaces, fits) in [(LARGEST - 1, true), (LARGEST, false)] {
        let script = format!("head -c {spaces} /dev/zero | tr '\\0' ' ' >&3; printf 1 >&3");
        let ended = test.run_shell(&script).await;
        assert_eq!(ended.outcome, Outcome::Succeeded, "{:?}", ended.error);
        if fits {
            assert_eq!(ended.result, Some(Ok(json!(1))));
        } else {
            assert_eq!(reason(&ended), "the result on descriptor 3 is larger than 8 MiB");
        }
    }
    test.stop().await;
}

#[tokio::test]
async fn what_was_written_before_a_kill_is_kept_and_a_remaining_writer_is_not_waited_for() {
    let test = TestRunner::new().await;
    let ended = test
        .run_shell(r#"sleep 300 & echo $! > "$ATTUNE_TEST/pids"; echo '[1]' >&3"#)
        .await;
    assert_eq!(ended.result, Some(Ok(json!([1]))));
    let left = pids_in(&test.file("pids"), 1).await[0];
    assert!(!exists(left));
    let mut invocation = test.shell(r#"echo '[2' >&3; echo $$ > "$ATTUNE_TEST/started"; exec sleep 300"#);
    invocation.timeout = Duration::from_secs(300);
    let stop = CancellationToken::new();
    let run = test.tracker.spawn({
        let (runner, stop) = (test.runner.clone(), stop.clone());
        async move { runner.run(invocation, stop).await }
    });
    eventually_within(DEADLINE, "the action to start", || test.file("started").exists()).await;
    stop.cancel();
    let ended = run.await.unwrap();
    assert_eq!(ended.outcome, Outcome::Canceled);
    assert!(reason(&ended).contains("it ends too early"));
    test.stop().await;
}

/// Several results at once do not mix: each action has its own descriptor 3.
#[tokio::test]
async fn every_action_has_its_own_descriptor() {
    let test = TestRunner::new().await;
    let runs = (0..24).map(|number| {
        let (runner, invocation) = (
            test.runner.clone(),
            test.shell(&format!("sleep 0.05; echo {number} >&3")),
        );
        test.tracker
            .spawn(async move { runner.run(invocation, CancellationToken::new()).await.result })
    });
    for (number, run) in runs.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(run.await.unwrap(), Some(Ok(Value::from(number))));
    }
    test.stop().await;
}
