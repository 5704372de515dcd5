//! What the runner runs, and how it ended.

use super::supervisor::protocol::Channel;
use crate::redact::{Redactor, wipe};
use attune_common::store::execution_queue::Lifetime;
use attune_domain::{id::ExecutionId, output::Flaw, resources::Resources};
use serde_json::Value;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroize as _;

/// One attempt of one execution, with everything its process receives.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub execution_id: ExecutionId,
    pub attempt: u32,
    pub command: Command,
    /// What can run it without starting `command`.
    pub template: Option<Template>,
    /// The unpacked files of the action's pack, which the action sees as `ATTUNE_PACK_DIR`.
    pub pack_dir: Option<PathBuf>,
    /// Further variables set by the worker, `ATTUNE_…` by convention. Their values never come from parameters.
    pub environment: Vec<(String, String)>,
    /// An object, passed on standard input as JSON.
    pub parameters: Value,
    /// Files in its scratch directory that contain secrets.
    pub files: Vec<SecretFile>,
    /// Replaces secrets in everything that it writes.
    pub redactor: Option<Arc<Redactor>>,
    /// The parameters that become environment variables if their values permit it.
    pub variables: Vec<String>,
    /// Overrides of the worker's defaults.
    pub resources: Resources,
    pub timeout: Duration,
    /// The time between SIGTERM and SIGKILL.
    pub kill_grace: Duration,
}

/// A file that only the user of the run can read. `ATTUNE_SECRET_<name>_FILE` is its path.
#[derive(Clone)]
pub struct SecretFile {
    pub name: String,
    pub text: String,
}

impl SecretFile {
    pub(super) fn file_name(&self) -> String {
        format!(".attune-secret-{}", self.name)
    }
}

impl std::fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFile")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Invocation {
    /// Overwrites its secrets, once its process has them.
    pub(super) fn wipe(&mut self) {
        if self.redactor.is_some() {
            wipe(&mut self.parameters);
            self.environment.iter_mut().for_each(|(_, value)| value.zeroize());
            self.files.iter_mut().for_each(|file| file.text.zeroize());
        }
    }
}

/// A process that loads a program once, and forks for each of its runs.
#[derive(Debug, Clone)]
pub struct Template {
    /// The same for all runs that can share the process.
    pub key: String,
    pub command: Command,
}

/// What the process executes.
#[derive(Debug, Clone)]
pub enum Command {
    /// A program: a path, or a name that is searched in `PATH`.
    Program { program: String, arguments: Vec<String> },
    /// A script: the interpreter with its arguments (`/bin/sh -c`), and the text as the last argument.
    Script { interpreter: Vec<String>, text: String },
}

impl Command {
    /// The program and its arguments.
    pub(super) fn argv(&self) -> Option<(&str, Vec<&str>)> {
        match self {
            Self::Program { program, arguments } => Some((program, arguments.iter().map(String::as_str).collect())),
            Self::Script { interpreter, text } => {
                let (program, arguments) = interpreter.split_first()?;
                Some((program, arguments.iter().chain([text]).map(String::as_str).collect()))
            }
        }
    }
}

/// Stops a run from outside. Clones stop the same run.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    terminate: CancellationToken,
    kill: CancellationToken,
}

impl Stop {
    /// Sends SIGTERM, and SIGKILL after the grace period.
    pub fn terminate(&self) {
        self.terminate.cancel();
    }

    /// Sends SIGKILL, also after [`Self::terminate`].
    pub fn kill(&self) {
        self.kill.cancel();
        self.terminate.cancel();
    }

    /// Resolves when either kind of stop was requested.
    pub async fn requested(&self) {
        self.terminate.cancelled().await;
    }

    pub(super) async fn kill_requested(&self) {
        self.kill.cancelled().await;
    }
}

impl From<CancellationToken> for Stop {
    fn from(terminate: CancellationToken) -> Self {
        Self {
            terminate,
            kill: CancellationToken::new(),
        }
    }
}

/// Receives the output of an action while it runs: text as it will be stored, always a prefix of what [`Ended`] will contain.
/// An action that ends soon sends nothing. Must not block.
pub type OutputSink = Arc<dyn Fn(Channel, &str) + Send + Sync>;

/// How a run is controlled from outside.
#[derive(Default)]
pub struct RunControl {
    pub stop: Stop,
    /// When the action must have ended, by the clock that counts suspension. Renewed while it runs. None if it may outlive its
    /// lease.
    pub lease: Option<watch::Receiver<Duration>>,
    /// It holds a slot of a concurrency key, so no process of it may outlive it.
    pub holds_slot: bool,
    pub sink: Option<OutputSink>,
}

impl<S: Into<Stop>> From<S> for RunControl {
    fn from(stop: S) -> Self {
        Self {
            stop: stop.into(),
            ..Self::default()
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub outcome: Outcome,
    /// Of the main process. None if a signal killed it or nothing was started.
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    /// What was lost when standard output was converted to text.
    pub stdout_flaw: Option<Flaw>,
    pub stderr: String,
    /// The value that it wrote to its descriptor 3, or why that is none. None if it wrote nothing there.
    pub result: Option<Result<Value, String>>,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// From the start of the main process to its end. Zero if nothing was started.
    pub ran: Duration,
    /// When its processes existed, as recorded by the supervisor. None if nothing was started.
    pub life: Option<Lifetime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
    TimedOut,
    Canceled,
}

impl Ended {
    /// The end of an action that was never started.
    pub(super) fn not_started(outcome: Outcome, error: impl Into<String>) -> Self {
        Self {
            outcome,
            exit_code: None,
            signal: None,
            stdout: String::new(),
            stdout_flaw: None,
            stderr: String::new(),
            result: None,
            error: Some(error.into()),
            ran: Duration::ZERO,
            life: None,
        }
    }
}
