//! The kill matrix: the worker, the keeper, the attendant and the sweeper are killed, alone and together, while an action runs
//! whose processes try to escape. No process survives, and the end of the action is not reported before they are gone.

use super::support::{
    DEADLINE, all_processes, any_exists, children, command_line, eventually_within, exists, find_process, pids_in,
    settings, shell,
};
use attune_worker::runner::{
    Outcome, Runner, clean_up_after_predecessors,
    isolation::{Access, Isolation, IsolationMode, choose},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};
use std::{
    env,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The main process and, all ignoring SIGTERM: a child, a child that stops itself, a session, a daemon, a daemon without its
/// environment, and one that has also left its directory and, if a file requests it, lowered the limit that marks it.
const FAMILY: &str = r#"
    stay='trap "" TERM HUP; echo $$ >> "$ATTUNE_TEST/pids"; while :; do sleep 1; done'
    stop='trap "" TERM HUP; echo $$ >> "$ATTUNE_TEST/pids"; kill -STOP $$; while :; do sleep 1; done'
    sh -c "$stay" & sh -c "$stop" & setsid sh -c "$stay" & (setsid sh -c "$stay" &)
    (setsid env -i ATTUNE_TEST="$ATTUNE_TEST" sh -c "$stay" &)
    (cd /; [ -e "$ATTUNE_TEST/lower" ] && ulimit -w 1000; setsid env -i ATTUNE_TEST="$ATTUNE_TEST" sh -c "$stay" &)
    trap "" TERM HUP; echo $$ >> "$ATTUNE_TEST/pids"
    while [ -e "$ATTUNE_TEST/hold-the-family" ] || [ "$(wc -l < "$ATTUNE_TEST/pids")" -lt 7 ]; do sleep 0.05; done"#;
const MEMBERS: usize = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Worker,
    Keeper,
    Attendant,
    Sweeper,
}
use Victim::{Attendant, Keeper, Sweeper, Worker};

/// A worker process, killed at the end of the test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A worker process that runs the family.
struct Household {
    worker: Guard,
    directory: TempDir,
    victims: [(Victim, Pid); 4],
    family: Vec<Pid>,
}

impl Household {
    async fn new(hides: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        if hides {
            fs::write(directory.path().join("lower"), "").unwrap();
        }
        let base = directory.path().to_owned();
        Self::within(directory, &base, "default").await
    }

    /// Its members run as a user of their own, and one hides everything else. None if this test does not run as root.
    async fn with_a_user(uid_base: u32) -> Option<Self> {
        if !geteuid().is_root() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        fs::write(directory.path().join("lower"), "").unwrap();
        fs::write(directory.path().join("uid_base"), uid_base.to_string()).unwrap();
        let base = directory.path().to_owned();
        Some(Self::within(directory, &base, "default").await)
    }

    /// `base` holds the scratch directories, which other workers may share.
    async fn within(directory: TempDir, base: &Path, installation: &str) -> Self {
        fs::write(directory.path().join("hold-the-family"), "").unwrap();
        fs::write(directory.path().join("base"), base.to_str().unwrap()).unwrap();
        fs::write(directory.path().join("installation"), installation).unwrap();
        let worker = start_worker(directory.path());
        let family = pids_in(&directory.path().join("pids"), MEMBERS).await;
        let pid = Pid::from_raw(worker.0.id().cast_signed());
        let [keeper] = children(pid)[..] else {
            panic!("one supervisor per worker: {:?}", children(pid))
        };
        let [attendant] = children(keeper)[..] else {
            panic!("one attendant per keeper")
        };
        let sweeper = find_process(|pid| {
            let line = command_line(pid);
            line.contains("sweep-actions") && line.contains(base.to_str().unwrap()) && line.contains(installation)
        });
        let victims = [
            (Worker, pid),
            (Keeper, keeper),
            (Attendant, attendant),
            (Sweeper, sweeper),
        ];
        Self {
            worker,
            directory,
            victims,
            family,
        }
    }

    fn pid(&self, victim: Victim) -> Pid {
        self.victims.iter().find(|(name, _)| *name == victim).unwrap().1
    }

    /// Kills all at the same time, so that none can react to the death of another.
    fn kill(&mut self, victims: &[Victim]) {
        for signal in [Signal::SIGSTOP, Signal::SIGKILL] {
            for victim in victims {
                kill(self.pid(*victim), signal).unwrap();
            }
        }
        if victims.contains(&Worker) {
            self.worker.0.wait().unwrap();
        }
    }

    fn roots(&self) -> Vec<PathBuf> {
        roots(self.directory.path())
    }

    /// The worker's observation when the execution's end was reported.
    async fn report(&self) -> String {
        let file = self.directory.path().join("report");
        let read = || fs::read_to_string(&file).unwrap_or_default();
        eventually_within(DEADLINE, "the end to be reported", || read().ends_with('\n')).await;
        read()
    }
}

impl Drop for Household {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let processes = self.victims.iter().map(|(_, pid)| pid).chain(&self.family);
            for pid in processes.filter(|pid| exists(**pid)) {
                let _ = kill(*pid, Signal::SIGKILL);
            }
        }
    }
}

fn roots(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.to_str().unwrap().contains("attune-actions-"))
        .collect()
}

#[tokio::test]
async fn nothing_survives_the_death_of_one_or_several_processes() {
    // Every subset except the sweeper alone, whose death kills nothing, and all four.
    for subset in 1_u8..15 {
        let all = [Worker, Keeper, Attendant, Sweeper];
        let victims = all
            .into_iter()
            .enumerate()
            .filter(|(place, _)| subset & (1 << place) != 0);
        let victims: &[Victim] = &victims.map(|(_, victim)| victim).collect::<Vec<_>>();
        if victims == [Sweeper] {
            continue;
        }
        // A process that also hides its mark becomes a child of the worker, so only a live worker finds it.
        let hides = !victims.contains(&Worker);
        let mut household = Household::new(hides).await;
        household.kill(victims);
        if victims.contains(&Worker) {
            eventually_within(
                Duration::from_secs(2),
                &format!("all to be gone after {victims:?}"),
                || !any_exists(&household.family) && household.roots().is_empty(),
            )
            .await;
        } else {
            let report = household.report().await;
            assert!(
                report.contains("0 alive") && report.contains("supervisor died"),
                "{victims:?}: {report}"
            );
            assert!(!any_exists(&household.family), "{victims:?}");
        }
        if victims.contains(&Worker) {
            let supervisors = household.victims.map(|(_, pid)| pid);
            eventually_within(DEADLINE, "the supervisors to end", || !any_exists(&supervisors)).await;
        }
    }
}

#[tokio::test]
async fn a_dead_sweeper_is_replaced() {
    let mut household = Household::new(false).await;
    let dead = household.pid(Sweeper);
    household.kill(&[Sweeper]);
    let place = household.directory.path().to_str().unwrap().to_owned();
    let next = || {
        all_processes().find(|pid| {
            let line = command_line(*pid);
            *pid != dead && line.contains("sweep-actions") && line.contains(&place)
        })
    };
    eventually_within(DEADLINE, "another sweeper", || next().is_some()).await;
    household.kill(&[Worker, Keeper, Attendant]);
    eventually_within(DEADLINE, "all to be gone", || {
        !any_exists(&household.family) && household.roots().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_frozen_process_is_killed_by_the_others() {
    for (frozen, victims) in [
        (Attendant, &[Keeper][..]),
        (Keeper, &[Attendant]),
        (Attendant, &[Worker]),
        (Attendant, &[Worker, Keeper]),
    ] {
        let mut household = Household::new(false).await;
        kill(household.pid(frozen), Signal::SIGSTOP).unwrap();
        household.kill(victims);
        if !victims.contains(&Worker) {
            let report = household.report().await;
            assert!(
                report.contains("0 alive") && report.contains("supervisor died"),
                "{frozen:?}: {report}"
            );
        }
        eventually_within(
            DEADLINE,
            &format!("all to be gone: {frozen:?} frozen, {victims:?}"),
            || !any_exists(&household.family),
        )
        .await;
    }
}

#[tokio::test]
async fn the_next_worker_kills_only_what_dead_workers_left() {
    let base = tempfile::tempdir().unwrap();
    let sharing = async |installation| {
        let own = tempfile::tempdir().unwrap();
        Household::within(own, base.path(), installation).await
    };
    let mut dead = sharing("here").await;
    dead.kill(&[Worker, Keeper, Attendant, Sweeper]);
    let mut foreign = sharing("elsewhere").await;
    foreign.kill(&[Worker, Keeper, Attendant, Sweeper]);
    assert!(dead.family.iter().chain(&foreign.family).all(|pid| exists(*pid)));
    // A worker cleans up after dead ones when it starts.
    let live = sharing("here").await;
    assert!(!any_exists(&dead.family), "everything of the dead worker is ended");
    assert!(live.family.iter().chain(&foreign.family).all(|pid| exists(*pid)));
    assert_eq!(roots(base.path()).len(), 2);

    let next = sharing("here").await;
    assert!(live.family.iter().chain(&foreign.family).all(|pid| exists(*pid)));
    drop((live, next));
    let tracker = TaskTracker::new();
    let settings = attune_worker::runner::Settings {
        installation: "elsewhere".into(),
        ..settings(base.path())
    };
    let runner = Runner::start(settings, &tracker).await.unwrap();
    assert!(!any_exists(&foreign.family));
    runner.stop();
    tracker.close();
    tracker.wait().await;
    eventually_within(DEADLINE, "all scratch directories to be gone", || {
        roots(base.path()).is_empty()
    })
    .await;
}

/// A worker also sweeps when it starts, and this sweep may run late. So only the second dead worker needs the interval.
#[tokio::test]
async fn a_live_worker_cleans_up_after_dead_ones_in_its_interval() {
    let base = tempfile::tempdir().unwrap();
    let tracker = TaskTracker::new();
    let settings = attune_worker::runner::Settings {
        sweep_interval: Duration::from_millis(500),
        ..settings(base.path())
    };
    let runner = Runner::start(settings, &tracker).await.unwrap();
    for dead in ["the first", "the second"] {
        let own = tempfile::tempdir().unwrap();
        let mut household = Household::within(own, base.path(), "default").await;
        household.kill(&[Worker, Keeper, Attendant, Sweeper]);
        eventually_within(Duration::from_secs(4), &format!("{dead} to be gone"), || {
            !any_exists(&household.family)
        })
        .await;
    }
    runner.stop();
    tracker.close();
    tracker.wait().await;
}

#[tokio::test]
async fn a_sweep_finds_what_hides_by_its_user() {
    let Some(mut household) = Household::with_a_user(110_000).await else {
        return;
    };
    household.kill(&[Worker, Keeper, Attendant, Sweeper]);
    assert!(household.family.iter().all(|pid| exists(*pid)));
    clean_up_after_predecessors(&settings(household.directory.path())).await;
    assert!(!any_exists(&household.family));
    assert!(household.roots().is_empty());
}

#[tokio::test]
async fn no_worker_takes_the_users_of_processes_that_still_run() {
    let Some(mut household) = Household::with_a_user(130_000).await else {
        return;
    };
    household.kill(&[Worker, Keeper, Attendant, Sweeper]);
    assert!(household.family.iter().all(|pid| exists(*pid)));
    // A worker of another installation, which sweeps nothing of this one.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::set_permissions(elsewhere.path(), Permissions::from_mode(0o711)).unwrap();
    let _isolation = isolation(130_000, elsewhere.path());
    assert!(!any_exists(&household.family));
}

fn isolation(uid_base: u32, scratch: &Path) -> Isolation {
    let mode = IsolationMode::Isolated { uid_base };
    choose(mode, Access::default(), scratch).unwrap().0
}

/// The worker process of the tests above. Run by itself, it tests a family that exits.
#[tokio::test]
async fn a_worker_with_a_household() {
    let own = tempfile::tempdir().unwrap();
    let is_held = env::temp_dir().join("hold-the-family").exists();
    let directory = if is_held {
        env::temp_dir()
    } else {
        own.path().to_owned()
    };
    let read = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let base = read("base").map_or(directory.clone(), PathBuf::from);
    let uid_base = read("uid_base").map(|uid_base| uid_base.parse().unwrap());
    let settings = attune_worker::runner::Settings {
        installation: read("installation").unwrap_or_default(),
        isolation: uid_base.map_or(Isolation::None, |uid_base| isolation(uid_base, &base)),
        ..settings(&base)
    };
    let tracker = TaskTracker::new();
    let runner = Runner::start(settings, &tracker).await.unwrap();
    let ended = runner.run(shell(&directory, FAMILY), CancellationToken::new()).await;
    let family = pids_in(&directory.join("pids"), MEMBERS).await;
    let alive = family.iter().filter(|pid| exists(**pid)).count();
    fs::write(directory.join("report"), format!("{alive} alive; {:?}\n", ended.error)).unwrap();
    if !is_held {
        assert_eq!((ended.outcome, alive), (Outcome::Succeeded, 0), "{ended:?}");
    }
    runner.stop();
    tracker.close();
    tracker.wait().await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "a worker that can be killed is a process of its own"
)]
fn start_worker(directory: &Path) -> Guard {
    let worker = Command::new(env::current_exe().unwrap())
        .args(["--exact", "runner::deaths::a_worker_with_a_household"])
        .env("TMPDIR", directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    Guard(worker)
}
