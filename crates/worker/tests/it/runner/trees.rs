//! Trees of processes: whatever an action started ends with it, however it tried to get away.

use super::support::{Bench, any_exists, children, exists, pids_in};
use attune_worker::runner::{Invocation, Outcome};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A process that writes down its pid and stays, deaf to SIGTERM.
const STAY: &str = r#"trap "" TERM; echo $$ >> "$ATTUNE_TEST/pids"; while :; do sleep 1; done"#;

/// Ways to start it: a child, a session of its own, a daemon by double fork, one that also forgot its environment.
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
            "forgetful daemon",
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
    let bench = Bench::new().await;
    let script: String = runaways().map(|(_, start)| start + "\n").concat() + STAY;
    let cancel = CancellationToken::new();
    let invocation = Invocation {
        kill_grace: Duration::from_millis(300),
        ..with_stay(bench.shell(&script))
    };
    let file = bench.file("pids");
    let (ended, pids) = tokio::join!(bench.runner.run(invocation, cancel.clone()), async {
        let pids = pids_in(&file, 6).await;
        assert!(pids.iter().all(|pid| exists(*pid)));
        cancel.cancel();
        pids
    });
    assert_eq!(ended.outcome, Outcome::Canceled);
    // The forgetful daemon is nobody's while other actions run; alone it goes with the last of them.
    let attendant = bench.attendant();
    super::support::eventually("all descendants to be gone", || !any_exists(&pids)).await;
    super::support::eventually("all to be reaped", || children(attendant).is_empty()).await;
    bench.stop().await;
}

#[tokio::test]
async fn what_is_left_after_a_normal_end_is_killed() {
    for (name, start) in runaways() {
        let bench = Bench::new().await;
        let script = format!("{start}\nwhile ! [ -s \"$ATTUNE_TEST/pids\" ]; do sleep 0.01; done; echo over");
        let ended = bench.run(with_stay(bench.shell(&script))).await;
        assert_eq!(
            (ended.outcome, ended.stdout.as_str()),
            (Outcome::Succeeded, "over\n"),
            "{name}"
        );
        let pids = pids_in(&bench.file("pids"), 1).await;
        let attendant = bench.attendant();
        super::support::eventually(name, || !any_exists(&pids) && children(attendant).is_empty()).await;
        bench.stop().await;
    }
}

#[tokio::test]
async fn one_action_s_end_spares_the_others() {
    let bench = Bench::new().await;
    let daemon = format!("(setsid sh -c '{STAY}' &)");
    let cancel = CancellationToken::new();
    let long = Invocation {
        kill_grace: Duration::from_millis(300),
        ..bench.shell(&format!("{daemon}; sleep 300"))
    };
    let file = bench.file("pids");
    let (ended, ()) = tokio::join!(bench.runner.run(long, cancel.clone()), async {
        let daemon = pids_in(&file, 1).await;
        for _ in 0..5 {
            assert_eq!(bench.run_shell("(sleep 300 &) ; echo hi").await.stdout, "hi\n");
        }
        assert!(any_exists(&daemon), "the daemon of an action that still runs");
        cancel.cancel();
    });
    assert_eq!(ended.outcome, Outcome::Canceled);
    assert!(!any_exists(&pids_in(&file, 1).await));
    bench.stop().await;
}

#[tokio::test]
async fn a_process_that_denies_its_origin_lives_as_long_as_its_possible_origins() {
    let bench = Bench::new().await;
    let cancel = CancellationToken::new();
    let file = bench.file("pids");
    let forgetful = format!("(setsid env -i ATTUNE_TEST=\"$ATTUNE_TEST\" sh -c '{STAY}' &)");
    let other = bench.shell("touch \"$ATTUNE_TEST/other\"; exec sleep 300");
    let (ended, ()) = tokio::join!(bench.runner.run(other, cancel.clone()), async {
        super::support::eventually("the other action to run", || bench.file("other").exists()).await;
        let script = format!("{forgetful}\nwhile ! [ -s \"$ATTUNE_TEST/pids\" ]; do sleep 0.01; done");
        assert_eq!(bench.run_shell(&script).await.outcome, Outcome::Succeeded);
        assert!(any_exists(&pids_in(&file, 1).await), "it could be the other action's");
        cancel.cancel();
    });
    assert_eq!(ended.outcome, Outcome::Canceled);
    let pids = pids_in(&file, 1).await;
    super::support::eventually("the stray to be killed", || !any_exists(&pids)).await;
    let attendant = bench.attendant();
    super::support::eventually("it to be reaped", || children(attendant).is_empty()).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_time_out_ends_a_tree_that_keeps_forking() {
    let bench = Bench::new().await;
    let ended = bench
        .run(Invocation {
            timeout: Duration::from_millis(300),
            kill_grace: Duration::ZERO,
            ..bench.shell("trap '' TERM; while :; do setsid sleep 300 & sleep 0.01; done")
        })
        .await;
    assert_eq!(ended.outcome, Outcome::TimedOut);
    bench.stop().await;
}

#[tokio::test]
async fn hundreds_of_runs_leave_no_descriptor_and_no_zombie() {
    let bench = Bench::new().await;
    bench.run_shell("echo warm").await;
    let attendant = bench.attendant();
    let before = super::support::open_files(attendant);
    for _ in 0..50 {
        let ten = (0..10).map(|_| bench.run_shell("(true &) ; echo hi"));
        for ended in futures_of(ten).await {
            assert_eq!((ended.outcome, ended.stdout.as_str()), (Outcome::Succeeded, "hi\n"));
        }
    }
    assert_eq!(super::support::open_files(attendant), before);
    bench.stop().await;
}

/// All at once; the order of the answers does not matter.
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
