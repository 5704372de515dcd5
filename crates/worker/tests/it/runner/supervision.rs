//! The death of each process of the chain worker – keeper – attendant.

use super::support::{Bench, DEADLINE, any_exists, eventually, eventually_within, exists, pids_in, settings, shell};
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

/// A child, a session, and a daemon, all deaf, and the main process; then as long as a file is there.
const FAMILY: &str = r#"
    stay='trap "" TERM HUP; echo $$ >> "$ATTUNE_TEST/pids"; while :; do sleep 1; done'
    sh -c "$stay" & setsid sh -c "$stay" & (setsid sh -c "$stay" &)
    trap "" TERM; echo $$ >> "$ATTUNE_TEST/pids"
    while [ -e "$ATTUNE_TEST/hold-the-family" ]; do sleep 0.05; done"#;

async fn killed(victim: impl FnOnce(&Bench) -> Pid) {
    let bench = Bench::new().await;
    fs::write(bench.file("hold-the-family"), "").unwrap();
    let supervisors = [bench.keeper(), bench.attendant()];
    let file = bench.file("pids");
    let (ended, pids) = tokio::join!(bench.run_shell(FAMILY), async {
        let pids = pids_in(&file, 4).await;
        kill(victim(&bench), Signal::SIGKILL).unwrap();
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
    // The next one is there, for whoever asks meanwhile and later.
    assert_eq!(bench.run_shell("echo again").await.stdout, "again\n");
    bench.stop().await;
}

#[tokio::test]
async fn the_attendant_is_killed() {
    killed(Bench::attendant).await;
}

#[tokio::test]
async fn the_keeper_is_killed() {
    killed(Bench::keeper).await;
}

#[tokio::test]
async fn many_wait_while_the_supervisor_dies_again_and_again() {
    let bench = Bench::new().await;
    for round in 0..5 {
        let attendant = bench.attendant();
        kill(attendant, Signal::SIGKILL).unwrap();
        eventually("it to be gone", || !exists(attendant)).await;
        let ended = bench.run_shell("echo hi").await;
        // Whoever asked in the moment of the death is told; nobody hangs.
        assert!(
            matches!(ended.outcome, Outcome::Succeeded | Outcome::Failed),
            "{round}: {ended:?}"
        );
        eventually_run(&bench).await;
    }
    bench.stop().await;
}

async fn eventually_run(bench: &Bench) {
    let attempts = async { while bench.run_shell("echo hi").await.outcome != Outcome::Succeeded {} };
    tokio::time::timeout(DEADLINE, attempts).await.unwrap();
}

#[tokio::test]
async fn stopping_the_runner_kills_what_runs() {
    let bench = Bench::new().await;
    fs::write(bench.file("hold-the-family"), "").unwrap();
    let file = bench.file("pids");
    let (ended, pids) = tokio::join!(bench.run_shell(FAMILY), async {
        let pids = pids_in(&file, 4).await;
        bench.runner.stop();
        pids
    });
    assert_eq!(
        (ended.outcome, ended.error.as_deref()),
        (Outcome::Failed, Some("the worker stopped"))
    );
    bench.tracker.close();
    tokio::time::timeout(DEADLINE, bench.tracker.wait()).await.unwrap();
    assert!(!any_exists(&pids));
}

/// A worker of its own, to be killed by the test below: runs the family until nothing holds it. Run by itself, nothing
/// does, and it is the test of a family that ends.
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
