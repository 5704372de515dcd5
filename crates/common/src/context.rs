//! The context of a service: configuration, connections, health, and the tasks of its process.

use crate::{
    bus::Bus,
    config::{Config, variable},
    health::board::Board,
    joint::Joint,
};
use anyhow::Context as _;
use sqlx::PgPool;
use std::{fmt, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Sensor,
    Executor,
    Worker,
    Api,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::Executor => "executor",
            Self::Worker => "worker",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The environment of a service.
#[derive(Debug, Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub pool: PgPool,
    pub bus: Arc<dyn Bus>,
    /// The id of this service in this process, under which it holds leases.
    pub instance: Uuid,
    pub health: Board,
    /// What services of this process contribute to each other's commits.
    pub joint: Joint,
    stop: CancellationToken,
    tracker: TaskTracker,
    failed: CancellationToken,
}

impl Context {
    pub fn new(config: Arc<Config>, pool: PgPool, bus: Arc<dyn Bus>, tasks: &Tasks) -> Self {
        Self {
            config,
            pool,
            bus,
            instance: Uuid::now_v7(),
            health: Board::default(),
            joint: Joint::default(),
            stop: tasks.stop.clone(),
            tracker: tasks.tracker.clone(),
            failed: tasks.failed.clone(),
        }
    }

    /// The same context with another instance id, for the next service of one process.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            instance: Uuid::now_v7(),
            ..self.clone()
        }
    }

    /// Cancelled when this process must stop.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Starts a background task. It must end after [`Self::stopping`]; an error or an earlier end stops the process.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        self.tracker.spawn(async move {
            let ended = task.await;
            match ended {
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => tracing::error!(task = name, "a background task ended early"),
                Err(error) => tracing::error!(task = name, error = error_chain(&error), "a background task failed"),
            }
            failed.cancel();
            stop.cancel();
        });
    }
}

/// The tasks of one process, their stop signal, and whether one failed.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    pub stop: CancellationToken,
    pub tracker: TaskTracker,
    failed: CancellationToken,
}

impl Tasks {
    /// Shuts down at the first SIGINT or SIGTERM, and exits at the second.
    pub fn stop_on_signals(&self) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
        let stop = self.stop.clone();
        // This task is not waited for: it listens until the process exits.
        TaskTracker::new().spawn(async move {
            let mut next = async || tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} };
            tokio::select! { () = next() => {} () = stop.cancelled() => {} }
            tracing::info!("stopping; a second signal exits at once");
            stop.cancel();
            next().await;
            abandon();
        });
        Ok(())
    }

    pub fn failed(&self) -> bool {
        self.failed.is_cancelled()
    }

    /// Waits until every task has ended.
    pub async fn finish(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the second signal requests an immediate exit")]
fn abandon() {
    std::process::exit(130);
}

/// An error with its causes. A cause that is already part of the message is omitted.
pub fn error_chain(error: &anyhow::Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if messages.last().is_none_or(|last| !last.ends_with(&cause)) {
            messages.push(cause);
        }
    }
    messages.join(": ")
}

/// The name of this host.
pub fn host() -> String {
    variable("HOSTNAME")
        .or_else(|| {
            std::fs::read_to_string("/etc/hostname")
                .ok()
                .map(|name| name.trim().to_owned())
        })
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_not_repeated() {
        let cause = || std::io::Error::other("the disk is full");
        let error = anyhow::Error::new(cause()).context("failed to write");
        assert_eq!(error_chain(&error), "failed to write: the disk is full");
        let error = anyhow::Error::new(sqlx::Error::Io(cause())).context("failed to query");
        let sqlx_message = "error communicating with database: the disk is full";
        assert_eq!(error_chain(&error), format!("failed to query: {sqlx_message}"));
    }
}
