//! The running server: one child process, owned by one thread that starts it and waits for its exit. Another thread copies its
//! output, because sessions may outlive a killed server and keep the pipe open.
//!
//! The tricky thing is the thread: the kernel sends the parent-death signal when the *thread* that started the child ends, so a
//! child started from a thread pool would be stopped at an arbitrary time.

use super::cluster::Cluster;
use super::log::{self, Tail};
use super::{error::Error, settings::Settings};
use crate::sync::lock;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Time for a fast shutdown, which writes a checkpoint, and then for an immediate one, which does not.
const FAST_STOP: Duration = Duration::from_secs(10);
const IMMEDIATE_STOP: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// How long to wait for the rest of the output after the exit.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// Settings that differ from PostgreSQL's defaults. They are passed on the command line, so that a newer Attune changes them for
/// existing folders too. Commits are durable; the write-ahead log is minimal, because a private cluster has no replicas. For
/// replicas or point-in-time recovery, use a separate PostgreSQL.
const SETTINGS: [&str; 18] = [
    // Reachable only through the socket in the cluster's 0700 folder. The path is relative because the path of a socket is
    // limited to 107 bytes.
    "listen_addresses=",
    "unix_socket_directories=.",
    "port=5432",
    "max_connections=100",
    "shared_buffers=128MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_wal_size=1GB",
    "checkpoint_timeout=10min",
    // The hot queues are small tables with many dead rows.
    "autovacuum_naptime=10s",
    // The statements are short; compiling them costs more than it gains.
    "jit=off",
    "random_page_cost=1.1",
    "timezone=UTC",
    "log_timezone=UTC",
    "lc_messages=C",
    "log_checkpoints=off",
    "logging_collector=off",
    "cluster_name=attune",
];
const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];
const NOT_DURABLE: [&str; 3] = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];

/// How the process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// Set if it was killed, for example for lack of memory.
    pub signal: Option<i32>,
}

/// Dropping it stops the server and waits for its exit.
#[derive(Debug)]
pub(super) struct Server {
    /// Set while the child is not reaped, so that a signal never reaches another process with the same pid.
    pid: Arc<Mutex<Option<Pid>>>,
    end: watch::Receiver<Option<End>>,
    pub tail: Tail,
    durable: bool,
}

impl Server {
    /// Returns when the process is started. It does not accept connections yet.
    pub fn spawn(cluster: &Cluster, settings: &Settings) -> Result<Self, Error> {
        let program = cluster.programs.postgres();
        let death = if settings.durable { "INT" } else { "QUIT" };
        let mut command = cluster.account.command(&program, &[], &cluster.folder, death);
        let safety = if settings.durable { DURABLE } else { NOT_DURABLE };
        for setting in SETTINGS.into_iter().chain(safety) {
            command.args(["-c", setting]);
        }
        if settings.counting && cluster.programs.has_library("pg_stat_statements") {
            command.args(["-c", "shared_preload_libraries=pg_stat_statements"]);
            command.args(["-c", "pg_stat_statements.track=none"]);
        }
        command.stderr(Stdio::piped());

        let tail = Tail::default();
        let (started, start) = sync_channel(1);
        let (sender, end) = watch::channel(None);
        let pid = Arc::new(Mutex::new(None));
        let owner = Owner {
            pid: Arc::clone(&pid),
            tail: tail.clone(),
            log: cluster.log.clone(),
            end: sender,
        };
        let not_runnable = |source| Error::NotRunnable { program, source };
        let thread = std::thread::Builder::new().name("postgres".to_owned());
        let outcome = thread.spawn(move || owner.run(command, &started)).and_then(|_| {
            let lost = |_| std::io::Error::other("the thread of the server ended");
            start.recv().map_err(lost)?
        });
        outcome.map_err(not_runnable)?;
        Ok(Self {
            pid,
            end,
            tail,
            durable: settings.durable,
        })
    }

    pub fn has_ended(&self) -> bool {
        self.end.borrow().is_some()
    }

    /// The signal that killed it, once it has ended.
    pub fn killed_by(&self) -> Option<i32> {
        self.end.borrow().and_then(|end| end.signal)
    }

    /// Why it ended, for people.
    pub fn reason(&self) -> String {
        match self.killed_by() {
            Some(signal) => match Signal::try_from(signal) {
                Ok(signal) => format!("it was killed by {signal}"),
                Err(_) => format!("it was killed by signal {signal}"),
            },
            None => log::reason(&self.tail.text()),
        }
    }

    /// Resolves when the process has exited for any reason.
    pub async fn ended(&self) {
        // An error means that the thread has ended, and with it the process.
        let _ = self.end.clone().wait_for(Option::is_some).await;
    }

    /// Requests a fast shutdown, then an immediate one, then kills. Returns when the process has exited.
    pub async fn stop(&self) {
        for (signal, timeout) in self.signals() {
            self.signal(signal);
            if tokio::time::timeout(timeout, self.ended()).await.is_ok() {
                return;
            }
            tracing::warn!(%signal, "PostgreSQL did not stop in time");
        }
    }

    fn signals(&self) -> [(Signal, Duration); 3] {
        let first = if self.durable { Signal::SIGINT } else { Signal::SIGQUIT };
        [
            (first, FAST_STOP),
            (Signal::SIGQUIT, IMMEDIATE_STOP),
            (Signal::SIGKILL, IMMEDIATE_STOP),
        ]
    }

    fn signal(&self, signal: Signal) {
        let pid = lock(&self.pid);
        if let Some(pid) = *pid {
            // The process may have exited already.
            let _ = kill(pid, signal);
        }
    }

    fn wait_for_end(&self, timeout: Duration) -> bool {
        let started = Instant::now();
        while !self.has_ended() {
            if started.elapsed() > timeout {
                return false;
            }
            std::thread::sleep(PAUSE);
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for (signal, timeout) in self.signals() {
            self.signal(signal);
            if self.wait_for_end(timeout) {
                return;
            }
        }
    }
}

/// The state of the owning thread.
struct Owner {
    pid: Arc<Mutex<Option<Pid>>>,
    tail: Tail,
    log: std::path::PathBuf,
    end: watch::Sender<Option<End>>,
}

impl Owner {
    fn run(self, mut command: std::process::Command, started: &SyncSender<std::io::Result<()>>) {
        let spawned = command.spawn();
        let signal = match spawned {
            Ok(child) => {
                self.set_pid(Some(pid_of(&child)));
                let _ = started.send(Ok(()));
                self.attend(child)
            }
            Err(error) => {
                let _ = started.send(Err(error));
                None
            }
        };
        self.end.send_replace(Some(End { signal }));
    }

    /// Returns when the process has exited, with the signal that killed it.
    fn attend(&self, mut child: Child) -> Option<i32> {
        let drained = self.drain(&mut child);
        wait_for_exit(pid_of(&child));
        self.set_pid(None);
        let status = child.wait();
        // Waits for its last output, with a limit: sessions that outlive the server keep the pipe open.
        let _ = drained.recv_timeout(OUTPUT_TIMEOUT);
        match status {
            Ok(status) => status.signal(),
            Err(error) => {
                tracing::warn!(%error, "failed to get the exit status of PostgreSQL");
                None
            }
        }
    }

    /// Copies the server's output in a separate thread. The receiver is disconnected at the end of the output.
    fn drain(&self, child: &mut Child) -> Receiver<()> {
        let (open, drained) = sync_channel(1);
        let Some(stderr) = child.stderr.take() else {
            return drained;
        };
        let (log, tail) = (self.log.clone(), self.tail.clone());
        let thread = std::thread::Builder::new().name("postgres log".to_owned());
        let copying = thread.spawn(move || {
            log::drain(BufReader::new(stderr), &log, &tail);
            drop(open);
        });
        if let Err(error) = copying {
            tracing::warn!(%error, "failed to start the thread that reads PostgreSQL's log");
        }
        drained
    }

    fn set_pid(&self, pid: Option<Pid>) {
        *lock(&self.pid) = pid;
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

/// Returns when the process has exited. It is not reaped, so its pid is not reused.
fn wait_for_exit(pid: Pid) {
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(Errno::EINTR) {}
}
