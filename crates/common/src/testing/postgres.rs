//! A PostgreSQL for one test, which may stop, kill, freeze and restart it on the same data.

use super::guarded::Frozen;
use crate::postgres::{Postgres, Settings};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// Durable, so that committed rows survive a kill.
#[derive(Debug)]
pub struct PostgresNode {
    running: Option<Postgres>,
    data: PathBuf,
    #[expect(dead_code, reason = "dropping it removes the data")]
    folder: Option<TempDir>,
    counting: bool,
}

impl PostgresNode {
    /// A server that can count statements, with [`super::Statements`].
    pub async fn counting() -> Self {
        Self::with(true).await
    }

    pub async fn started() -> Self {
        Self::with(false).await
    }

    async fn with(counting: bool) -> Self {
        // Directly in /tmp: the path of a socket must be short.
        let folder = tempfile::Builder::new().prefix("attune-pg-").tempdir_in("/tmp");
        let folder = folder.expect("a folder can be made");
        let mut node = Self {
            running: None,
            data: folder.path().to_owned(),
            folder: Some(folder),
            counting,
        };
        node.start().await;
        node
    }

    /// Starts in the caller's folder.
    pub async fn started_in(data: &Path) -> Self {
        let mut node = Self {
            running: None,
            data: data.to_owned(),
            folder: None,
            counting: false,
        };
        node.start().await;
        node
    }

    pub async fn start(&mut self) {
        let settings = Settings {
            counting: self.counting,
            ..Settings::new(&self.data)
        };
        let started = Postgres::start(&settings, |_| {}).await;
        self.running = Some(started.expect("PostgreSQL starts"));
    }

    pub fn postgres(&self) -> &Postgres {
        self.running.as_ref().expect("PostgreSQL runs")
    }

    pub fn socket(&self) -> PathBuf {
        self.postgres().folder().join(".s.PGSQL.5432")
    }

    pub async fn stop(&mut self) {
        if let Some(postgres) = self.running.take() {
            postgres.stop().await;
        }
    }

    /// Sends SIGKILL to all its processes. Returns when they have exited.
    pub async fn kill(&mut self) {
        for process in self.processes() {
            // It may just have exited.
            let _ = kill(process, Signal::SIGKILL);
        }
        if let Some(postgres) = self.running.take() {
            postgres.ended().await;
        }
    }

    /// Sends SIGSTOP to all its processes, until the returned value is dropped.
    pub fn freeze(&self) -> io::Result<Frozen> {
        Frozen::all(&self.processes())
    }

    /// The postmaster and its children.
    fn processes(&self) -> Vec<Pid> {
        let file = self.postgres().folder().join("postmaster.pid");
        let text = fs::read_to_string(file).unwrap_or_default();
        let postmaster = text.lines().next().and_then(|line| line.trim().parse().ok());
        let postmaster = Pid::from_raw(postmaster.expect("a server that runs has written its number"));
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(postmaster).chain(children.map(Pid::from_raw)).collect()
    }
}
