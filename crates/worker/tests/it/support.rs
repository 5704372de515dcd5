//! Actions, executions and worker processes for one test.

use attune_common::{
    postgres::{Postgres, Settings},
    store::{
        Transaction,
        execution_queue::AttemptKey,
        execution_start::{self, ByHand},
        rescue::{self, Rescue},
    },
    testing::{Database, Guarded, eventually},
};
use attune_domain::{
    ActionId, ExecutionId, event,
    execution::ExecutionStatus,
    policy::{Concurrency, Gates},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use uuid::Uuid;

/// How long a test waits for an expected state before it fails.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub fn new_id() -> ExecutionId {
    ExecutionId(Uuid::now_v7())
}

/// A database with the definitions that executions need, and a directory for files of actions, which see it as `$D`.
pub struct TestWorker {
    pub database: Database,
    pub directory: TempDir,
}

impl TestWorker {
    pub async fn new() -> Self {
        Self::on(Database::new().await).await
    }

    pub async fn on(database: Database) -> Self {
        database
            .execute(
                "insert into pack (ref, label) values ('t', 'Test');
                 insert into runtime (ref, pack_id, label, kind, command)
                 select 't.shell', id, 'Shell', 'process', array['/bin/sh', '-c'] from pack;",
            )
            .await;
        Self {
            database,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// Reconnects to the same database after a restart of its server.
    pub async fn reconnect(&mut self, server: &Server) {
        self.database = Database::on(&server.postgres).await;
    }

    /// Creates a shell action. `policy` is `column = value, …`.
    pub async fn action(&self, name: &str, script: &str, policy: &str) -> ActionId {
        let script = format!("D={}; {script}", self.directory.path().display());
        let id = self.program(name, &script).await;
        if !policy.is_empty() {
            let update = format!("update action set {policy} where ref = 't.{name}'");
            self.database.execute(&update).await;
        }
        id
    }

    /// Creates an action with this entry point.
    pub async fn program(&self, name: &str, entry_point: &str) -> ActionId {
        let entry_point = entry_point.replace('\'', "''");
        self.database
            .execute(&format!(
                "insert into action (ref, pack_id, runtime_id, label, entry_point)
                 select 't.{name}', pack.id, runtime.id, '{name}', '{entry_point}'
                 from pack, runtime order by pack.id, runtime.id limit 1"
            ))
            .await;
        let id = format!("select id from action where ref = 't.{name}'");
        ActionId(self.database.count(&id).await)
    }

    pub async fn start(&self, action_id: ActionId, attempts_max: i32) -> ExecutionId {
        self.start_through(action_id, &json!({}), attempts_max, &Gates::default())
            .await
    }

    pub async fn start_with(&self, action_id: ActionId, parameters: &Value) -> ExecutionId {
        self.start_through(action_id, parameters, 1, &Gates::default()).await
    }

    /// Starts an execution with a concurrency limit of 1.
    pub async fn start_limited(&self, action_id: ActionId, attempts_max: i32) -> ExecutionId {
        let one = Concurrency::<ActionId>::parse(&json!({"limit": 1})).unwrap();
        let gate = one.gate(action_id, &event::Context::of_action(&json!({}))).unwrap();
        let gates = Gates {
            action: Some(gate),
            ..Gates::default()
        };
        self.start_through(action_id, &json!({}), attempts_max, &gates).await
    }

    async fn start_through(
        &self,
        action_id: ActionId,
        parameters: &Value,
        attempts_max: i32,
        gates: &Gates,
    ) -> ExecutionId {
        let id = new_id();
        let start = ByHand {
            id,
            action_id,
            parameters,
            attempts_max,
            gates,
            rerun_of: None,
            trace_id: id.0,
            definitions: None,
        };
        let mut connection = self.database.pool.acquire().await.unwrap();
        execution_start::start(&mut connection, &[start]).await.unwrap();
        id
    }

    /// Starts an execution of a new action.
    pub async fn run(&self, name: &str, script: &str, policy: &str, attempts_max: i32) -> ExecutionId {
        let action = self.action(name, script, policy).await;
        self.start(action, attempts_max).await
    }

    /// Another session that holds a lock until the test releases it.
    pub async fn hold(&self, lock: &str) -> Transaction {
        self.database.hold(lock).await
    }

    pub async fn is(&self, id: ExecutionId, condition: &str) -> bool {
        let rows = format!("select count(*) from execution where id = '{}' and ({condition})", id.0);
        self.database.count(&rows).await == 1
    }

    /// Waits until the execution's row matches the condition.
    pub async fn becomes(&self, id: ExecutionId, condition: &str) {
        let so = async || self.is(id, condition).await.then_some(());
        eventually(condition, DEADLINE, so).await;
    }

    /// Rescues the first attempts of these executions without a grace period. Returns those that were rescued.
    pub async fn rescue(&self, ids: &[ExecutionId], to: ExecutionStatus) -> Vec<ExecutionId> {
        let rescues: Vec<Rescue> = ids
            .iter()
            .map(|id| Rescue {
                held: AttemptKey { id: *id, attempt: 1 },
                to,
                reason: "gone".to_owned(),
            })
            .collect();
        rescue::resolve(&self.database.pool, &rescues, Duration::ZERO)
            .await
            .unwrap()
    }

    /// Rescues an execution as soon as that is possible.
    pub async fn rescued(&self, id: ExecutionId, to: ExecutionStatus) {
        let rescued = async || (self.rescue(&[id], to).await == [id]).then_some(());
        eventually("a rescue", DEADLINE, rescued).await;
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn touch(&self, name: &str) {
        fs::write(self.file(name), "").unwrap();
    }

    /// Waits until an action has written a line into a file, and returns it.
    pub async fn read(&self, name: &str) -> String {
        let path = self.file(name);
        let text = async || fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
        eventually(name, DEADLINE, text).await.trim().to_owned()
    }

    pub async fn pid(&self, name: &str) -> Pid {
        Pid::from_raw(self.read(name).await.parse().unwrap())
    }

    pub fn spooled(&self) -> usize {
        let Ok(entries) = fs::read_dir(self.file("spool")) else {
            return 0;
        };
        let names = entries.map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".json")).count()
    }

    pub async fn spool_holds(&self, count: usize) {
        let so = async || (self.spooled() == count).then_some(());
        eventually(&format!("{count} results on disk"), DEADLINE, so).await;
    }

    /// A worker with leases of two seconds.
    pub fn worker(&self) -> WorkerProcess {
        self.worker_with(&[])
    }

    pub fn worker_with(&self, more: &[(&str, &str)]) -> WorkerProcess {
        let directory = self.directory.path();
        let mut environment = vec![
            ("ATTUNE__DATABASE__URL", self.database.url().to_owned()),
            ("ATTUNE__WORKER__LEASE_SECONDS", "2".to_owned()),
            ("ATTUNE__WORKER__SLOTS", "8".to_owned()),
            ("ATTUNE__WORKER__WORK_DIR", directory.display().to_string()),
            ("ATTUNE__LOG__LEVEL", "debug,sqlx=warn".to_owned()),
            // The actions of these tests write into the test's folder.
            ("ATTUNE__WORKER__RUN_ACTIONS_AS", as_the_test().to_owned()),
        ];
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let log = directory.join("worker.txt");
        WorkerProcess {
            process: Guarded::start(&[env!("CARGO_BIN_EXE_attune-worker")], &environment, &log).unwrap(),
            log,
        }
    }
}

fn as_the_test() -> &'static str {
    if nix::unistd::geteuid().is_root() {
        "root"
    } else {
        "service"
    }
}

/// A worker process. Killed when dropped.
pub struct WorkerProcess {
    process: Guarded,
    log: PathBuf,
}

impl WorkerProcess {
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal).unwrap();
    }

    /// Signals the worker and both processes of its supervisor, but not its actions.
    pub fn signal_with_supervisor(&self, signal: Signal) {
        let keepers = crate::runner::children(self.process.pid());
        let attendants: Vec<Pid> = keepers
            .iter()
            .flat_map(|keeper| crate::runner::children(*keeper))
            .collect();
        assert!(!attendants.is_empty(), "the worker has a supervisor");
        self.process.signal(signal).unwrap();
        for process in keepers.into_iter().chain(attendants) {
            kill(process, signal).unwrap();
        }
    }

    pub async fn ends_within(&self, within: Duration) {
        let is_alive = self.process.liveness();
        let gone = async || (!is_alive()).then_some(());
        eventually("the worker to end", within, gone).await;
    }

    /// Waits until the worker's log contains a text.
    pub async fn wait_for_log(&self, text: &str) {
        let found = async || (self.log_count(text) > 0).then_some(());
        eventually(text, DEADLINE, found).await;
    }

    /// How often the worker's log contains a text.
    pub fn log_count(&self, text: &str) -> usize {
        fs::read_to_string(&self.log).unwrap().matches(text).count()
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "log of the worker:\n{}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

pub fn exists(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

pub async fn ended(pid: Pid, within: Duration) {
    let gone = async || (!exists(pid)).then_some(());
    eventually("a process to be gone", within, gone).await;
}

/// A PostgreSQL that a test may stop, restart, and freeze.
pub struct Server {
    pub postgres: Postgres,
    folder: TempDir,
}

impl Server {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let postgres = Self::launch(folder.path()).await;
        Self { postgres, folder }
    }

    async fn launch(folder: &Path) -> Postgres {
        // Durable, so that committed rows survive a restart.
        Postgres::start(&Settings::new(folder), |_| {}).await.unwrap()
    }

    pub async fn stop(self) -> Stopped {
        self.postgres.stop().await;
        Stopped { folder: self.folder }
    }

    /// Signals the postmaster and all its children.
    pub fn signal(&self, signal: Signal) {
        let file = self.postgres.folder().join("postmaster.pid");
        let text = fs::read_to_string(file).unwrap();
        let postmaster = Pid::from_raw(text.lines().next().unwrap().trim().parse().unwrap());
        kill(postmaster, signal).unwrap();
        for child in crate::runner::children(postmaster) {
            // The child may just have exited.
            let _ = kill(child, signal);
        }
    }
}

pub struct Stopped {
    folder: TempDir,
}

impl Stopped {
    pub async fn start(self) -> Server {
        let postgres = Server::launch(self.folder.path()).await;
        Server {
            postgres,
            folder: self.folder,
        }
    }
}
