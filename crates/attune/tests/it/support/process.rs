//! A program under test.

use attune_common::testing::{Guarded, eventually};
use nix::{sys::signal::Signal, unistd::Pid};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How much of a log is shown when a test fails.
const LINES_SHOWN: usize = 60;

/// A child process that ends when this is dropped, at the latest with the test.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    guarded: Option<Guarded>,
}

impl Process {
    /// Starts a command and appends its output to the log.
    pub fn start(name: &str, command: &[&str], environment: &[(&str, String)], log: &Path) -> Self {
        let guarded = Guarded::start(command, environment, log);
        Self {
            name: name.to_owned(),
            log: log.to_owned(),
            guarded: Some(guarded.unwrap_or_else(|error| panic!("{name} cannot be started: {error}"))),
        }
    }

    fn guarded(&self) -> &Guarded {
        self.guarded.as_ref().expect("it has not been waited for")
    }

    pub fn pid(&self) -> Pid {
        self.guarded().pid()
    }

    pub fn is_alive(&self) -> bool {
        self.guarded().liveness()()
    }

    pub fn signal(&self, signal: Signal) {
        self.guarded()
            .signal(signal)
            .unwrap_or_else(|error| panic!("{} cannot be sent {signal}: {error}", self.name));
    }

    /// Waits for its end and returns the exit code, or 128 plus the number of the signal that ended it.
    pub async fn ended(&mut self, within: Duration) -> i32 {
        let alive = self.guarded().liveness();
        let what = format!("{} ends", self.name);
        eventually(&what, within, async || (!alive()).then_some(())).await;
        let guarded = self.guarded.take().expect("it is waited for once");
        guarded.exit_code().expect("the guard returns the exit code")
    }

    /// Sends SIGTERM. The process must shut down properly and in time.
    pub async fn terminate(&mut self, within: Duration) {
        self.signal(Signal::SIGTERM);
        assert_eq!(
            self.ended(within).await,
            0,
            "the exit code of {} after SIGTERM",
            self.name
        );
    }

    pub async fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(
            self.ended(Duration::from_secs(10)).await,
            137,
            "{} was killed",
            self.name
        );
    }

    /// Its output so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        eprintln!("--- the last words of {}:", self.name);
        for line in lines.iter().skip(lines.len().saturating_sub(LINES_SHOWN)) {
            eprintln!("    {line}");
        }
    }
}
