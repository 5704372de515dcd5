//! `attune up`, in a data folder of the test.

use super::{
    Api, Process,
    surroundings::{environment, program},
};
use attune_common::{
    store::{PgPool, db},
    testing::eventually,
};
use nix::sys::signal::Signal;
use std::{fs, path::Path, time::Duration};

#[derive(Debug)]
pub struct Embedded {
    pub process: Process,
    pub api: Api,
    pub pool: PgPool,
}

impl Embedded {
    /// Starts it on a private PostgreSQL in `folder/data`. Each start has its own `log`.
    pub async fn up(folder: &Path, log: &str) -> Self {
        let process = start(folder, log, &[]);
        let look = async || ready(&process.said());
        let (url, database) = eventually("`attune up` is ready", Duration::from_secs(60), look).await;
        let database = database.expect("it says how to look at its database");
        let password = fs::read_to_string(folder.join("data/admin-password")).expect("the password is in its file");
        let api = Api::sign_in(&url, password.trim()).await;
        let pool = db::pool(&database.into(), "attune-test", 4).expect("the address is well formed");
        Self { process, api, pool }
    }

    /// Ctrl-C, and everything ends in order within seconds.
    pub async fn interrupt(mut self, within: Duration) {
        self.pool.close().await;
        self.process.signal(Signal::SIGINT);
        assert_eq!(self.process.ended(within).await, 0, "the exit code after SIGINT");
    }
}

/// Starts `attune up` with further arguments. Leases are short, so that a test does not wait long for a rescue.
pub fn start(folder: &Path, log: &str, more: &[&str]) -> Process {
    let data = folder.join("data");
    let program = program("attune");
    let mut command = vec![
        program.as_str(),
        "up",
        "--data-dir",
        data.to_str().expect("the path is text"),
        "--log",
        "info",
    ];
    if !more.contains(&"--listen") {
        command.extend(["--listen", "127.0.0.1:0"]);
    }
    command.extend(more);
    let mut environment = environment();
    environment.extend([
        ("ATTUNE__WORKER__KILL_GRACE_SECONDS", "1".to_owned()),
        ("ATTUNE__API__REQUESTS_PER_SECOND", "1000".to_owned()),
    ]);
    Process::start("attune up", &command, &environment, &folder.join(log))
}

/// The addresses of the API and of the database, as the welcome tells them.
fn ready(said: &str) -> Option<(String, Option<String>)> {
    let after = |label: &str| {
        let line = said.lines().find_map(|line| line.trim().strip_prefix(label))?;
        Some(line.trim().to_owned())
    };
    said.contains("Ctrl-C stops everything").then_some(())?;
    let api = after("API")?.split_whitespace().next()?.to_owned();
    let database = after("database").and_then(|line| Some(line.strip_prefix("psql '")?.strip_suffix('\'')?.to_owned()));
    Some((api, database))
}
