//! `attune up`, in a data directory of the test.

use super::{
    Api, Process,
    surroundings::{actions_as_the_test, environment, program},
};
use attune_common::{
    postgres::Neighbor,
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
        Self::ready(start(folder, log, &[]), folder).await
    }

    /// Waits until it is ready, and signs in.
    pub async fn ready(process: Process, folder: &Path) -> Self {
        let answer = async || ready(&process.printed());
        let url = eventually("`attune up` is ready", Duration::from_secs(60), answer).await;
        let data = folder.join("data");
        let database = Neighbor::on(&data).await.expect("the data directory can be read");
        let database = database.expect("its database answers").url();
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

/// Starts `attune up` with further arguments. Actions run as the test's own user.
pub fn start(folder: &Path, log: &str, more: &[&str]) -> Process {
    start_as(folder, log, &[], &[actions_as_the_test()], more)
}

/// Starts `attune up` with further arguments and variables. `before`: what starts it.
pub fn start_as(folder: &Path, log: &str, before: &[&str], variables: &[(&str, String)], more: &[&str]) -> Process {
    let data = folder.join("data");
    let program = program("attune");
    let mut command = before.to_vec();
    command.extend([
        program.as_str(),
        "up",
        "--data-dir",
        data.to_str().expect("the path is text"),
        "--log",
        "info",
    ]);
    if !more.contains(&"--listen") {
        command.extend(["--listen", "127.0.0.1:0"]);
    }
    command.extend(more);
    let mut environment = environment();
    environment.extend([
        ("ATTUNE__WORKER__KILL_GRACE_SECONDS", "1".to_owned()),
        ("ATTUNE__API__REQUESTS_PER_SECOND", "1000".to_owned()),
    ]);
    environment.extend(variables.iter().map(|(name, value)| (*name, value.clone())));
    Process::start("attune up", &command, &environment, &folder.join(log))
}

/// The address of the API, from the banner.
fn ready(printed: &str) -> Option<String> {
    printed.contains("Ctrl-C stops everything").then_some(())?;
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("API"))?;
    Some(line.split_whitespace().next()?.to_owned())
}
