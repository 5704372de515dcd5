//! A child process that cannot outlive the test.
//!
//! The child is started by a shell that reads from a pipe which the test holds. Whatever ends the test, be it a panic
//! or SIGKILL, closes the pipe, and the shell kills the child. (The kernel's own signal at a parent's death would fire
//! when the starting *thread* ends, and with a runtime's threads nobody knows when that is.)

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

/// `$1` is the file for the child's output; the rest is the child.
const GUARD: &str = r#"
    log=$1; shift
    exec 3<&0
    "$@" </dev/null >>"$log" 2>&1 3<&- &
    echo $!
    read -r never <&3
    kill -9 $! 2>/dev/null
    wait $!
"#;

#[derive(Debug)]
pub struct Guarded {
    guard: Child,
    pipe: Option<ChildStdin>,
    pid: Pid,
}

impl Guarded {
    /// Starts `program` with nothing but `environment`; its output is appended to `log`.
    pub fn start(program: &[&str], environment: &[(&str, String)], log: &Path) -> io::Result<Self> {
        File::options().create(true).append(true).open(log)?;
        #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
        let mut guard = Command::new("/bin/sh")
            .args(["-c", GUARD, "guard"])
            .arg(log)
            .args(program)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = guard.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = guard.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let pid = line.trim().parse().map(Pid::from_raw).map_err(io::Error::other)?;
        Ok(Self { guard, pipe, pid })
    }

    /// Runs `program` to its end. Did it succeed?
    pub fn run(program: &[&str], environment: &[(&str, String)]) -> io::Result<bool> {
        #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
        let mut command = Command::new("/usr/bin/env");
        command
            .args(program)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value)));
        Ok(command.stdin(Stdio::null()).output()?.status.success())
    }

    /// Asks whether the child runs, without holding it. (Until its guard ends, a dead one is a zombie.)
    pub fn liveness(&self) -> impl Fn() -> bool + use<> {
        let stat = format!("/proc/{}/stat", self.pid);
        move || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The exit code of a child that has ended, or 128 and the signal's number. One that has not ended is killed.
    pub fn exit_code(mut self) -> Option<i32> {
        drop(self.pipe.take());
        self.guard.wait().ok()?.code()
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill(self.pid, signal)?)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // The guard ends when the child is dead and gone.
        let _ = self.guard.wait();
    }
}

/// Processes that stand still until this is dropped, or until the test ends, however it does.
#[derive(Debug)]
pub struct Frozen(Child);

const FREEZE: &str = r#"
    kill -STOP "$@"
    echo
    read -r never
    kill -CONT "$@"
"#;

impl Frozen {
    pub fn all(processes: &[Pid]) -> io::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
        let mut shell = Command::new("/bin/sh")
            .args(["-c", FREEZE, "freeze"])
            .args(processes.iter().map(ToString::to_string))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        if let Some(stdout) = shell.stdout.take() {
            BufReader::new(stdout).read_line(&mut String::new())?;
        }
        Ok(Self(shell))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
