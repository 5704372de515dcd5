//! Error messages of executions: why an action could not be started, or did not succeed.

use super::{
    invocation::{Command, Outcome},
    supervisor::protocol::{Report, StartError},
};
use nix::{errno::Errno, sys::signal::Signal};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) const TOO_LARGE: &str = "the parameters or the script are too large for a process: one argument or variable \
     may have at most 128 KiB, all together 2 MiB, and standard input 16 MiB";

/// Resolves a program to a path. A name without a slash is searched in `PATH` here and not by the operating system, because
/// only a path can be started the fast way.
pub(super) fn find_program(program: &str, search_path: &str) -> Result<PathBuf, String> {
    if program.contains('/') {
        return Ok(program.into());
    }
    let candidates = search_path.split(':').filter(|directory| directory.starts_with('/'));
    candidates
        .map(|directory| Path::new(directory).join(program))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| format!("program {program:?} not found in PATH ({search_path})"))
}

/// Why the operating system did not start an action.
pub(super) fn start_failed(error: &StartError, command: &Command) -> String {
    let program = command.argv().map_or("", |(program, _)| program);
    match error.number.map(Errno::from_raw) {
        Some(Errno::E2BIG) => TOO_LARGE.into(),
        Some(Errno::ENOENT) if Path::new(program).exists() => {
            format!("the interpreter or loader of program {program:?} does not exist")
        }
        Some(Errno::ENOENT) => format!("program {program:?} does not exist"),
        Some(Errno::EACCES) => {
            format!("program {program:?} is not an executable file, or this user may not execute it")
        }
        Some(Errno::ENOEXEC) => format!("program {program:?} is not a binary and does not start with `#!`"),
        Some(Errno::EMFILE) => "too many open files: the worker runs too many actions at once".into(),
        _ => format!("failed to start program {program:?}: {}", error.text),
    }
}

/// Why an action that was started did not succeed.
pub(super) fn ended(outcome: Outcome, report: &Report, limit: Duration) -> Option<String> {
    let reason = match outcome {
        Outcome::Succeeded => return None,
        Outcome::TimedOut => format!("timed out after {}", seconds(limit)),
        Outcome::Canceled => "canceled".into(),
        Outcome::Failed => match (report.code, report.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by {}", signal_name(signal)),
            (None, None) => "exited with an unknown status".into(),
        },
    };
    Some(match report.unkillable {
        0 => reason,
        count => format!("{reason}; {count} of its processes could not be killed"),
    })
}

fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => signal.to_string(),
        Err(_) => format!("signal {number}"),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
