//! The death of each process in the chain worker – keeper – attendant.

use super::support::{
    DEADLINE, TestRunner, any_exists, eventually, eventually_within, exists, pids_in, settings, shell,
};
use attune_worker::runner::{Outcome, Runner};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    env,
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The main process, a child, a session, and a daemon, all ignoring SIGTERM. It runs while a file exists.
const FAMILY: &str = r#"
    stay='trap "" TERM HUP; echo $$ >> "$ATTUNE_TEST/pids"; while :; do sleep 1; done'
    sh -c "$stay" & setsid sh -c "$stay" & (setsid sh -c "$stay" &)
    trap "" TERM; echo $$ >> "$ATTUNE_TEST/pids"
    while [ -e "$ATTUNE_TEST/hold-the-family" ]; do sleep 0.05; done"#;

async fn killed(victim: impl FnOnce(&TestRunner) -> Pid) {
    let test = TestRunner::new().await;
    fs::write(test.file("hold-the-family"), "").unwrap();
    let supervisors = [test.keeper(), test.attendant()];
    let file = test.file("pids");
    let (ended, pids) = tokio::join!(test.run_shell(FAMILY), async {
        let pids = pids_in(&file, 4).await;
        kill(victim(&test), Signal::SIGKILL).unwrap();
        pids
    });
    assert_eq!(ended.outcome, Outcome::Failed);
    assert!(
        ended
            .error
            .as_deref()
            .is_some_and(|error| error.contains("supervisor died")),
        "{ended:?}"
    );
    eventually_within(Duration::from_secs(2), "what it had started to be gone", || {
        !any_exists(&pids) && !any_exists(&supervisors)
    })
    .await;
    // The next supervisor runs the next action.
    assert_eq!(test.run_shell("echo again").await.stdout, "again\n");
    test.stop().await;
}

#[tokio::test]
async fn the_attendant_is_killed() {
    killed(TestRunner::attendant).await;
}

#[tokio::test]
async fn the_keeper_is_killed() {
    killed(TestRunner::keeper).await;
}

#[tokio::test]
async fn a_frozen_attendant_is_killed_with_its_actions() {
    let test = TestRunner::new().await;
    fs::write(test.file("hold-the-family"), "").unwrap();
    let file = test.file("pids");
    let run = tokio::time::timeout(2 * DEADLINE, test.run_shell(FAMILY));
    let (ended, pids) = tokio::join!(run, async {
        let pids = pids_in(&file, 4).await;
        kill(test.attendant(), Signal::SIGSTOP).unwrap();
        pids
    });
    let ended = ended.expect("its end is reported");
    assert!(
        ended
            .error
            .as_deref()
            .is_some_and(|error| error.contains("supervisor died")),
        "{ended:?}"
    );
    assert!(!any_exists(&pids));
    // The next supervisor runs the next action.
    assert_eq!(test.run_shell("echo again").await.stdout, "again\n");
    test.stop().await;
}

#[tokio::test]
async fn runs_continue_while_the_supervisor_dies_repeatedly() {
    let test = TestRunner::new().await;
    for round in 0..5 {
        let attendant = test.attendant();
        kill(attendant, Signal::SIGKILL).unwrap();
        eventually("it to be gone", || !exists(attendant)).await;
        let ended = test.run_shell("echo hi").await;
        // A run at the moment of the death may fail, but does not hang.
        assert!(
            matches!(ended.outcome, Outcome::Succeeded | Outcome::Failed),
            "{round}: {ended:?}"
        );
        eventually_run(&test).await;
    }
    test.stop().await;
}

async fn eventually_run(test: &TestRunner) {
    let attempts = async { while test.run_shell("echo hi").await.outcome != Outcome::Succeeded {} };
    tokio::time::timeout(DEADLINE, attempts).await.unwrap();
}

#[tokio::test]
async fn stopping_the_runner_kills_what_runs() {
    let test = TestRunner::new().await;
    fs::write(test.file("hold-the-family"), "").unwrap();
    let file = test.file("pids");
    let (ended, pids) = tokio::join!(test.run_shell(FAMILY), async {
        let pids = pids_in(&file, 4).await;
        test.runner.stop();
        pids
    });
    assert_eq!(
        (ended.outcome, ended.error.as_deref()),
        (Outcome::Failed, Some("the worker stopped"))
    );
    test.tracker.close();
    tokio::time::timeout(DEADLINE, test.tracker.wait()).await.unwrap();
    assert!(!any_exists(&pids));
}

/// The worker process of the test below: runs the family while a file exists. Run by itself, there is no such file, and it
/// tests a family that exits.
#[tokio::test]
async fn a_worker_with_a_family() {
    let held = env::temp_dir().join("hold-the-family").exists();
    let own = tempfile::tempdir().unwrap();
    let directory = if held { env::temp_dir() } else { own.path().to_owned() };
    let tracker = TaskTracker::new();
    let runner = Runner::start(settings(&directory), &tracker).await.unwrap();
    let ended = runner.run(shell(&directory, FAMILY), CancellationToken::new()).await;
    assert_eq!(ended.outcome, Outcome::Succeeded, "{ended:?}");
    runner.stop();
    tracker.close();
    tracker.wait().await;
}

#[tokio::test]
async fn the_worker_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("hold-the-family"), "").unwrap();
    let mut worker = start_worker(directory.path());
    let mut pids = pids_in(&directory.path().join("pids"), 4).await;
    let worker_pid = Pid::from_raw(worker.id().cast_signed());
    let keeper = super::support::children(worker_pid);
    assert_eq!(keeper.len(), 1, "one supervisor per worker");
    pids.extend(super::support::children(keeper[0]));
    pids.extend(&keeper);
    assert_eq!(pids.len(), 6);
    worker.kill().unwrap();
    worker.wait().unwrap();
    eventually_within(Duration::from_secs(2), "everything to be gone", || !any_exists(&pids)).await;
    let is_scratch = |name: &OsStr| name.to_str().unwrap().starts_with("attune-actions");
    let scratch_left = || {
        fs::read_dir(directory.path())
            .unwrap()
            .any(|entry| is_scratch(&entry.unwrap().file_name()))
    };
    eventually_within(Duration::from_secs(2), "scratch directories to be wiped", || {
        !scratch_left()
    })
    .await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "a worker that can be killed is a process of its own"
)]
fn start_worker(directory: &Path) -> std::process::Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "runner::supervision::a_worker_with_a_family"])
        .env("TMPDIR", directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}
