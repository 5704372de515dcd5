//! A runner for each test, and functions to inspect processes.

use attune_domain::{ExecutionId, resources::Resources, variables};
use attune_worker::runner::{Command, Ended, Invocation, Runner, Settings};
use chrono::DateTime;
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a test waits for an expected state before it fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct TestRunner {
    pub runner: Runner,
    pub tracker: TaskTracker,
    /// Contains the scratch directories, and files that a test's actions write for the test.
    pub directory: TempDir,
}

impl TestRunner {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        change(&mut settings);
        let tracker = TaskTracker::new();
        let runner = Runner::start(settings, &tracker).await.unwrap();
        Self {
            runner,
            tracker,
            directory,
        }
    }

    /// A shell action; `$ATTUNE_TEST` is the test's directory.
    pub fn shell(&self, text: &str) -> Invocation {
        shell(self.directory.path(), text)
    }

    pub async fn run(&self, invocation: Invocation) -> Ended {
        self.runner.run(invocation, CancellationToken::new()).await
    }

    pub async fn run_shell(&self, text: &str) -> Ended {
        self.run(self.shell(text)).await
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn keeper(&self) -> Pid {
        let root = self.directory.path().to_str().unwrap();
        find_process(|pid| command_line(pid).contains("supervise-actions") && command_line(pid).contains(root))
    }

    pub fn attendant(&self) -> Pid {
        let keeper = self.keeper();
        find_process(|pid| parent(pid) == Some(keeper))
    }

    /// Stops the runner and checks that nothing is left of it.
    pub async fn stop(self) {
        let supervisors = [self.keeper(), self.attendant()];
        assert_eq!(
            children(supervisors[1]),
            [],
            "the supervisor has no child between two actions"
        );
        self.runner.stop();
        self.tracker.close();
        tokio::time::timeout(DEADLINE, self.tracker.wait()).await.unwrap();
        eventually("the supervisor to be gone", || {
            supervisors.iter().all(|pid| !exists(*pid))
        })
        .await;
        let left: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(
            left.iter()
                .all(|path| !path.to_str().unwrap().contains("attune-actions")),
            "{left:?}"
        );
    }
}

pub fn settings(directory: &Path) -> Settings {
    Settings {
        scratch_directory: directory.into(),
        supervisor: env!("CARGO_BIN_EXE_attune-worker").into(),
        ..Settings::default()
    }
}

pub fn shell(directory: &Path, text: &str) -> Invocation {
    Invocation {
        execution_id: new_id(),
        attempt: 1,
        command: Command::Script {
            interpreter: vec!["/bin/sh".into(), "-c".into()],
            text: text.into(),
        },
        template: None,
        pack_dir: None,
        environment: vec![("ATTUNE_TEST".into(), directory.to_str().unwrap().into())],
        parameters: json!({}),
        files: Vec::new(),
        redactor: None,
        variables: Vec::new(),
        resources: Resources::default(),
        timeout: Duration::from_secs(60),
        kill_grace: Duration::from_secs(10),
    }
}

/// Parameters that the action's schema names.
pub fn with_parameters(invocation: Invocation, parameters: Value) -> Invocation {
    let schema = json!({"properties": parameters});
    Invocation {
        variables: variables::of(&schema).map(str::to_owned).collect(),
        parameters,
        ..invocation
    }
}

fn new_id() -> ExecutionId {
    static LAST: AtomicU16 = AtomicU16::new(0);
    let mut random = [0; 10];
    random[..2].copy_from_slice(&LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    ExecutionId::random(DateTime::UNIX_EPOCH, random)
}

/// Waits until the condition holds. Panics with its name if it does not in time.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_within(DEADLINE, what, &mut holds).await;
}

pub async fn eventually_within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "waited {limit:?} for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for `count` pids that actions write into a file, one per line.
pub async fn pids_in(file: &Path, count: usize) -> Vec<Pid> {
    let read = || fs::read_to_string(file).unwrap_or_default();
    eventually(&format!("{count} pids in {}", file.display()), || {
        read().lines().count() >= count
    })
    .await;
    read()
        .lines()
        .map(|line| Pid::from_raw(line.trim().parse().unwrap()))
        .collect()
}

/// True while the process runs. A zombie has ended.
pub fn exists(pid: Pid) -> bool {
    stat(pid).is_some_and(|fields| fields[0] != "Z")
}

pub fn any_exists(pids: &[Pid]) -> bool {
    pids.iter().any(|pid| exists(*pid))
}

pub fn children(of: Pid) -> Vec<Pid> {
    all_processes().filter(|pid| parent(*pid) == Some(of)).collect()
}

pub fn status_field(pid: Pid, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap();
    line.trim().to_owned()
}

pub fn open_files(pid: Pid) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

pub fn find_process(is_it: impl Fn(Pid) -> bool) -> Pid {
    all_processes().find(|pid| is_it(*pid)).unwrap()
}

pub fn all_processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
}

pub fn command_line(pid: Pid) -> String {
    fs::read(format!("/proc/{pid}/cmdline"))
        .map(|bytes| String::from_utf8_lossy(&bytes).into())
        .unwrap_or_default()
}

fn parent(pid: Pid) -> Option<Pid> {
    Some(Pid::from_raw(stat(pid)?[1].parse().ok()?))
}

/// The fields of /proc/…/stat, starting with the state.
fn stat(pid: Pid) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}
