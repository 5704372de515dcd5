//! A sensor as a process of its own, to be killed: this program once more.
//!
//! It ends with the process that started it, even when that is killed, because then its input ends.

use crate::options::Options;
use anyhow::Context as _;
use attune_common::{
    bus::InProcessBus,
    config::Config,
    service::{Context, Tasks},
    store::{db, timer},
    telemetry,
};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
};

const CONNECTIONS: u32 = 4;
const READY: &str = "ready";

/// What the process does.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut config = Config::default();
    config.log.level.clone_from(&options.log);
    config.database.url = options.database_url.as_deref().map(Into::into);
    telemetry::init(&config.log)?;
    let tasks = Tasks::default();
    let pool = db::pool(config.database_url()?, "attune-sensor", CONNECTIONS)?;
    timer::upcoming(&pool).await.context("the database does not respond")?;
    let stop = tasks.stop.clone();
    thread::Builder::new().name("input".to_owned()).spawn(move || {
        // Nothing is ever written to it. This waits for its end.
        let _ = std::io::stdin().read(&mut [0]);
        stop.cancel();
    })?;
    println!("{READY}");
    std::io::stdout().flush()?;
    let context = Context::new(Arc::new(config), pool, Arc::new(InProcessBus::new()), &tasks);
    attune_sensor::run(context).await
}

/// The process, seen from the benchmark.
pub struct Sensor(Child);

impl Sensor {
    /// Returns when it has found the database.
    pub async fn start(url: &str) -> anyhow::Result<Self> {
        let url = url.to_owned();
        tokio::task::spawn_blocking(move || Self::spawn(&url))
            .await
            .context("interrupted")?
    }

    fn spawn(url: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("this program cannot be found")?;
        #[expect(clippy::disallowed_methods, reason = "this module owns the processes of the sensors")]
        let mut command = Command::new(program);
        command
            .args(["--be-sensor", "--log", "error", "--database-url", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("a sensor could not be started")?;
        let stdout = child.stdout.take().context("a sensor has no output")?;
        let sensor = Self(child);
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        anyhow::ensure!(line.trim_end() == READY, "a sensor did not start");
        Ok(sensor)
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// SIGKILL, wherever it is.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.0.kill().context("a sensor could not be killed")?;
        let status = self.0.wait().context("a sensor did not end")?;
        anyhow::ensure!(status.code().is_none(), "a sensor had ended by itself: {status}");
        Ok(())
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // One that was killed already is not there any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
