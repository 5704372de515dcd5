//! A child process that cannot outlive the test.
//!
//! A shell starts the child and reads from a pipe that the test holds. However the test ends, by a panic or by SIGKILL, the pipe
//! closes, and the shell kills the child. (The kernel's parent-death signal fires when the starting *thread* ends, which is
//! unpredictable with the threads of a runtime.)

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
    /// Starts `program` with exactly this environment. Its output is appended to `log`.
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

    /// Runs `program` to its end. True if it succeeded.
    pub fn run(program: &[&str], environment: &[(&str, String)]) -> io::Result<bool> {
        #[expect(clippy::disallowed_methods, reason = "tests start their own servers")]
        let mut command = Command::new("/usr/bin/env");
        command
            .args(program)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (*name, value)));
        Ok(command.stdin(Stdio::null()).output()?.status.success())
    }

    /// A function that checks whether the child runs, without borrowing it. (Until its guard exits, a dead child is a zombie.)
    pub fn liveness(&self) -> impl Fn() -> bool + use<> {
        let stat = format!("/proc/{}/stat", self.pid);
        move || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The exit code of the child, or 128 plus the signal's number. Kills it if it has not exited.
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
        // The guard exits when the child has been reaped.
        let _ = self.guard.wait();
    }
}

/// Processes that are frozen until this is dropped, or until the test ends for any reason.
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
