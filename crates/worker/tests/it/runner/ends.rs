//! Timeouts and cancels at any moment.

use super::support::{TestRunner, eventually, pids_in};
use attune_worker::runner::{Invocation, Outcome};
use std::{
    fs,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn an_action_that_takes_too_long_is_terminated() {
    let test = TestRunner::new().await;
    let ended = test
        .run(Invocation {
            timeout: Duration::from_millis(1500),
            ..test.shell("echo begun; exec sleep 300")
        })
        .await;
    assert_eq!(
        (ended.outcome, ended.exit_code, ended.signal),
        (Outcome::TimedOut, None, Some(15))
    );
    assert_eq!(ended.error.as_deref(), Some("timed out after 1.5 s"));
    assert_eq!(ended.stdout, "begun\n");
    assert!(
        ended.ran >= Duration::from_millis(1500) && ended.ran < Duration::from_secs(20),
        "{:?}",
        ended.ran
    );
    test.stop().await;
}

#[tokio::test]
async fn a_graceful_end_after_sigterm_is_still_a_cancel() {
    let test = TestRunner::new().await;
    let cancel = CancellationToken::new();
    let script = r#"trap 'echo tidied; exit 0' TERM; echo $$ > "$ATTUNE_TEST/pids"; sleep 300 & wait"#;
    let run = test.runner.run(test.shell(script), cancel.clone());
    let cancel_later = async {
        pids_in(&test.file("pids"), 1).await;
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(run, cancel_later);
    assert_eq!((ended.outcome, ended.exit_code), (Outcome::Canceled, Some(0)));
    assert_eq!(
        (ended.stdout.as_str(), ended.error.as_deref()),
        ("tidied\n", Some("canceled"))
    );
    test.stop().await;
}

#[tokio::test]
async fn an_action_that_ignores_sigterm_is_killed_after_the_grace_period() {
    let test = TestRunner::new().await;
    let ended = test
        .run(Invocation {
            timeout: Duration::from_millis(300),
            kill_grace: Duration::from_millis(700),
            ..test.shell("trap '' TERM; while :; do sleep 1; done")
        })
        .await;
    assert_eq!((ended.outcome, ended.signal), (Outcome::TimedOut, Some(9)));
    assert!(ended.ran >= Duration::from_secs(1), "{:?}", ended.ran);
    test.stop().await;
}

#[tokio::test]
async fn children_may_use_the_rest_of_the_grace_period() {
    let test = TestRunner::new().await;
    let cancel = CancellationToken::new();
    // SIGTERM kills the main process at once; its children, one of them in a session of its own, need a moment.
    let script = r#"tidy='trap "sleep 0.3; echo tidied >> \"$ATTUNE_TEST/tidied\"; exit" TERM
                    echo $$ >> "$ATTUNE_TEST/pids"; while :; do sleep 0.05; done'
                    sh -c "$tidy" & setsid sh -c "$tidy" & wait"#;
    let run = test.runner.run(test.shell(script), cancel.clone());
    let cancel_later = async {
        pids_in(&test.file("pids"), 2).await;
        cancel.cancel();
    };
    let started = Instant::now();
    let (ended, ()) = tokio::join!(run, cancel_later);
    assert_eq!((ended.outcome, ended.signal), (Outcome::Canceled, Some(15)));
    assert_eq!(fs::read_to_string(test.file("tidied")).unwrap(), "tidied\ntidied\n");
    assert!(
        started.elapsed() < Duration::from_secs(9),
        "the grace period ends when nothing is left"
    );
    test.stop().await;
}

#[tokio::test]
async fn an_action_canceled_before_its_start_never_starts() {
    let test = TestRunner::new().await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let ended = test.runner.run(test.shell(r#"touch "$ATTUNE_TEST/ran""#), cancel).await;
    assert_eq!((ended.outcome, ended.exit_code), (Outcome::Canceled, None));
    assert!(!test.file("ran").exists());
    test.stop().await;
}

#[tokio::test]
async fn a_cancel_at_any_moment_leaves_no_process() {
    let test = TestRunner::new().await;
    let mut canceled = 0;
    for step in 0..60 {
        let cancel = CancellationToken::new();
        let run = test
            .runner
            .run(test.shell("sleep 0.02 & echo hi; wait"), cancel.clone());
        let cancel_later = async {
            sleep(Duration::from_micros(500 * step)).await;
            cancel.cancel();
        };
        let (ended, ()) = timeout(Duration::from_secs(20), async { tokio::join!(run, cancel_later) })
            .await
            .unwrap();
        match ended.outcome {
            Outcome::Canceled => canceled += 1,
            Outcome::Succeeded => assert_eq!(ended.stdout, "hi\n"),
            other => panic!("{other:?}: {ended:?}"),
        }
    }
    assert!(canceled > 0);
    test.stop().await;
}

#[tokio::test]
async fn a_dropped_run_is_killed_at_once() {
    let test = TestRunner::new().await;
    let script = r#"trap '' TERM; echo $$ > "$ATTUNE_TEST/pids"; while :; do sleep 1; done"#;
    let file = test.file("pids");
    let run = test.runner.run(test.shell(script), CancellationToken::new());
    let pids = tokio::select! {
        ended = run => panic!("{ended:?}"),
        pids = pids_in(&file, 1) => pids,
    };
    eventually("the action to be killed", || !super::support::any_exists(&pids)).await;
    let attendant = test.attendant();
    eventually("it to be reaped", || super::support::children(attendant).is_empty()).await;
    test.stop().await;
}
