//! What is to be run, and how it ended.

use super::supervisor::protocol::Channel;
use attune_common::store::execution_queue::Life;
use attune_domain::{id::ExecutionId, output::Flaw, resources::Resources};
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// One attempt of one execution, with everything that its process gets.
#[derive(Debug, Clone)]
pub struct Invocation {
    pub execution_id: ExecutionId,
    pub attempt: u32,
    pub work: Work,
    /// Further variables of the worker's own making, `ATTUNE_…` by convention. Values never come from parameters.
    pub environment: Vec<(String, String)>,
    /// An object, on standard input as JSON.
    pub parameters: Value,
    /// The parameters that become environment variables, where their values allow it.
    pub variables: Vec<String>,
    /// Where they differ from the worker's settings.
    pub resources: Resources,
    pub timeout: Duration,
    /// How long after SIGTERM what is still there gets SIGKILL.
    pub kill_grace: Duration,
}

/// What the process is.
#[derive(Debug, Clone)]
pub enum Work {
    /// A program: a path, or a name that is looked for in `PATH`.
    Program { program: String, arguments: Vec<String> },
    /// A script given as text: the interpreter's words (`/bin/sh -c`), and the text as the last argument.
    Script { interpreter: Vec<String>, text: String },
}

impl Work {
    /// The program and its arguments.
    pub(super) fn words(&self) -> Option<(&str, Vec<&str>)> {
        match self {
            Self::Program { program, arguments } => Some((program, arguments.iter().map(String::as_str).collect())),
            Self::Script { interpreter, text } => {
                let (program, words) = interpreter.split_first()?;
                Some((program, words.iter().chain([text]).map(String::as_str).collect()))
            }
        }
    }
}

/// The way to stop a run from outside.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    softly: CancellationToken,
    at_once: CancellationToken,
}

impl Stop {
    /// SIGTERM, and SIGKILL after the invocation's grace.
    pub fn softly(&self) {
        self.softly.cancel();
    }

    /// SIGKILL, also to what was asked to stop softly before.
    pub fn at_once(&self) {
        self.at_once.cancel();
        self.softly.cancel();
    }

    /// Resolves when a stop was asked for, of either kind.
    pub async fn asked(&self) {
        self.softly.cancelled().await;
    }

    pub(super) async fn asked_at_once(&self) {
        self.at_once.cancelled().await;
    }
}

impl From<CancellationToken> for Stop {
    fn from(softly: CancellationToken) -> Self {
        Self {
            softly,
            at_once: CancellationToken::new(),
        }
    }
}

/// Takes what an action writes while it runs: text as it will be stored, a beginning of what [`Ended`] will hold.
/// Nothing comes of an action that is over soon. Never waits.
pub type Tap = Arc<dyn Fn(Channel, &str) + Send + Sync>;

/// What connects a run with whoever asked for it.
#[derive(Default)]
pub struct Ties {
    pub stop: Stop,
    /// When the action must be over, by the clock that counts suspension; renewed meanwhile. None: nobody else may start it.
    pub lease: Option<watch::Receiver<Duration>>,
    pub tap: Option<Tap>,
}

impl<S: Into<Stop>> From<S> for Ties {
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
    /// Of the main process; absent when a signal ended it or nothing was started.
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    /// What was lost before standard output became text.
    pub stdout_flaw: Option<Flaw>,
    pub stderr: String,
    /// Why it did not succeed.
    pub error: Option<String>,
    /// From the start of the main process to its end; zero when nothing was started.
    pub ran: Duration,
    /// When its processes existed, as the supervisor recorded it; absent when nothing was started.
    pub life: Option<Life>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
    TimedOut,
    Canceled,
}

impl Ended {
    /// An end without any process.
    pub(super) fn unstarted(outcome: Outcome, error: impl Into<String>) -> Self {
        Self {
            outcome,
            exit_code: None,
            signal: None,
            stdout: String::new(),
            stdout_flaw: None,
            stderr: String::new(),
            error: Some(error.into()),
            ran: Duration::ZERO,
            life: None,
        }
    }
}
