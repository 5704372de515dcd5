//! Process trees: everything an action started ends with it, however it tries to escape.

use super::support::{TestRunner, any_exists, children, exists, pids_in};
use attune_worker::runner::{Invocation, Outcome, RunControl};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A process that writes its pid, ignores SIGTERM, and never exits.
const STAY: &str = r#"trap "" TERM; echo $$ >> "$ATTUNE_TEST/pids"; while :; do sleep 1; done"#;

/// Ways to start it: a child, a session of its own, a daemon by double fork, a daemon without its environment.
fn runaways() -> [(&'static str, String); 5] {
    [
        ("child", format!("sh -c '{STAY}' &")),
        ("session", format!("setsid sh -c '{STAY}' &")),
        ("daemon", format!("(setsid sh -c '{STAY}' &)")),
        (
            "grandchild of a daemon",
            r#"(setsid sh -c 'sh -c "$STAY" & wait' &)"#.into(),
        ),
        (
            "daemon without environment",
            format!("(setsid env -i ATTUNE_TEST=\"$ATTUNE_TEST\" sh -c '{STAY}' &)"),
        ),
    ]
}

fn with_stay(invocation: Invocation) -> Invocation {
    let mut environment = invocation.environment.clone();
    environment.push(("STAY".into(), STAY.into()));
    Invocation {
        environment,
        ..invocation
    }
}

#[tokio::test]
async fn a_cancel_reaches_every_kind_of_descendant() {
    let test = TestRunner::new().await;
    let script: String = runaways().map(|(_, start)| start + "\n").concat() + STAY;
    let cancel = CancellationToken::new();
    let invocation = Invocation {
        kill_grace: Duration::from_millis(300),
        ..with_stay(test.shell(&script))
    };
    let file = test.file("pids");
    let (ended, pids) = tokio::join!(test.runner.run(invocation, cancel.clone()), async {
        let pids = pids_in(&file, 6).await;
        assert!(pids.iter().all(|pid| exists(*pid)));
        cancel.cancel();
        pids
    });
    assert_eq!(ended.outcome, Outcome::Canceled);
    // The daemon without its environment has no known owner while other actions run; here it ends with the only action.
    let attendant = test.attendant();
    super::support::eventually("all descendants to be gone", || !any_exists(&pids)).await;
    super::support::eventually("all to be reaped", || children(attendant).is_empty()).await;
    test.stop().await;
}

#[tokio::test]
async fn leftover_processes_are_killed_after_a_normal_exit() {
    for (name, start) in runaways() {
        let test = TestRunner::new().await;
        let script = format!("{start}\nwhile ! [ -s \"$ATTUNE_TEST/pids\" ]; do sleep 0.01; done; echo over");
        let ended = test.run(with_stay(test.shell(&script))).await;
        assert_eq!(
            (ended.outcome, ended.stdout.as_str()),
            (Outcome::Succeeded, "over\n"),
            "{name}"
        );
        let pids = pids_in(&test.file("pids"), 1).await;
        let attendant = test.attendant();
        super::support::eventually(name, || !any_exists(&pids) && children(attendant).is_empty()).await;
        test.stop().await;
    }
}

#[tokio::test]
async fn the_end_of_one_action_does_not_affect_the_others() {
    let test = TestRunner::new().await;
    let daemon = format!("(setsid sh -c '{STAY}' &)");
    let cancel = CancellationToken::new();
    let long = Invocation {
        kill_grace: Duration::from_millis(300),
        ..test.shell(&format!("{daemon}; sleep 300"))
    };
    let file = test.file("pids");
    let (ended, ()) = tokio::join!(test.runner.run(long, cancel.clone()), async {
        let daemon = pids_in(&file, 1).await;
        for _ in 0..5 {
            assert_eq!(test.run_shell("(sleep 300 &) ; echo hi").await.stdout, "hi\n");
        }
        assert!(any_exists(&daemon), "the daemon of an action that still runs");
        cancel.cancel();
    });
    assert_eq!(ended.outcome, Outcome::Canceled);
    assert!(!any_exists(&pids_in(&file, 1).await));
    test.stop().await;
}

#[tokio::test]
async fn a_stray_process_lives_as_long_as_its_possible_owners() {
    let test = TestRunner::new().await;
    let cancel = CancellationToken::new();
    let file = test.file("pids");
    // It hides its mark as well.
    let stray = format!("(ulimit -m 1000; setsid env -i ATTUNE_TEST=\"$ATTUNE_TEST\" sh -c '{STAY}' &)");
    let other = test.shell("touch \"$ATTUNE_TEST/other\"; exec sleep 300");
    let (ended, ()) = tokio::join!(test.runner.run(other, cancel.clone()), async {
        super::support::eventually("the other action to run", || test.file("other").exists()).await;
        let script = format!("{stray}\nwhile ! [ -s \"$ATTUNE_TEST/pids\" ]; do sleep 0.01; done");
        assert_eq!(test.run_shell(&script).await.outcome, Outcome::Succeeded);
        assert!(any_exists(&pids_in(&file, 1).await), "it could be the other action's");
        cancel.cancel();
    });
    assert_eq!(ended.outcome, Outcome::Canceled);
    let pids = pids_in(&file, 1).await;
    super::support::eventually("the stray to be killed", || !any_exists(&pids)).await;
    let attendant = test.attendant();
    super::support::eventually("it to be reaped", || children(attendant).is_empty()).await;
    test.stop().await;
}

#[tokio::test]
async fn a_daemon_without_its_environment_ends_with_its_action_while_others_run() {
    let test = TestRunner::new().await;
    let cancel = CancellationToken::new();
    let other = test.shell("touch \"$ATTUNE_TEST/other\"; exec sleep 300");
    let (ended, ()) = tokio::join!(test.runner.run(other, cancel.clone()), async {
        super::support::eventually("the other action to run", || test.file("other").exists()).await;
        let all = (0..12).map(|number| {
            let pids = format!("\"$ATTUNE_TEST/pids-{number}\"");
            let stay = format!(r#"trap "" TERM; echo $$ > {pids}; while :; do sleep 1; done"#);
            let script = format!(
                "(setsid env -i ATTUNE_TEST=\"$ATTUNE_TEST\" sh -c '{stay}' &)\nwhile ! [ -s {pids} ]; do sleep 0.01; done"
            );
            let control = RunControl {
                holds_slot: true,
                ..CancellationToken::new().into()
            };
            let (run, file) = (test.runner.run(test.shell(&script), control), test.file(&format!("pids-{number}")));
            async move {
                let ended = run.await;
                (ended.outcome, any_exists(&pids_in(&file, 1).await))
            }
        });
        for ended in futures_of(all).await {
            assert_eq!(
                ended,
                (Outcome::Succeeded, false),
                "its daemon is gone before its end is reported"
            );
        }
        cancel.cancel();
    });
    assert_eq!(ended.outcome, Outcome::Canceled);
    test.stop().await;
}

#[tokio::test]
async fn a_timeout_kills_a_tree_that_keeps_forking() {
    let test = TestRunner::new().await;
    let ended = test
        .run(Invocation {
            timeout: Duration::from_millis(300),
            kill_grace: Duration::ZERO,
            ..test.shell("trap '' TERM; while :; do setsid sleep 300 & sleep 0.01; done")
        })
        .await;
    assert_eq!(ended.outcome, Outcome::TimedOut);
    test.stop().await;
}

#[tokio::test]
async fn hundreds_of_runs_leave_no_descriptor_and_no_zombie() {
    let test = TestRunner::new().await;
    test.run_shell("echo warm").await;
    let attendant = test.attendant();
    let before = super::support::open_files(attendant);
    for _ in 0..50 {
        let ten = (0..10).map(|_| test.run_shell("(true &) ; echo hi"));
        for ended in futures_of(ten).await {
            assert_eq!((ended.outcome, ended.stdout.as_str()), (Outcome::Succeeded, "hi\n"));
        }
    }
    assert_eq!(super::support::open_files(attendant), before);
    test.stop().await;
}

/// Runs all concurrently. The order of the results is undefined.
async fn futures_of<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(move |context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() {
            std::task::Poll::Ready(std::mem::take(&mut done))
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
