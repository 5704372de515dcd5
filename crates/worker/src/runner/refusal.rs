//! The words for what went wrong: an action that could not be started, or one that ended badly.

use super::{
    invocation::{Outcome, Work},
    supervisor::protocol::{Refusal, Report},
};
use nix::{errno::Errno, sys::signal::Signal};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

pub(super) const TOO_LARGE: &str = "the parameters (or the script) are too large to be handed to a process: one \
     argument or variable may be 128 KiB long, all together 2 MiB, standard input 16 MiB";

/// A program as a path. A name without a slash is looked for here rather than by the operating system, because only a
/// path can be started the fast way.
pub(super) fn find_program(program: &str, search_path: &str) -> Result<PathBuf, String> {
    if program.contains('/') {
        return Ok(program.into());
    }
    let candidates = search_path.split(':').filter(|directory| directory.starts_with('/'));
    candidates
        .map(|directory| Path::new(directory).join(program))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| format!("program {program:?} is in none of the directories of PATH ({search_path})"))
}

/// Why the operating system did not start an action.
pub(super) fn explain(refusal: &Refusal, work: &Work) -> String {
    let program = work.words().map_or("", |(program, _)| program);
    match refusal.number.map(Errno::from_raw) {
        Some(Errno::E2BIG) => TOO_LARGE.into(),
        Some(Errno::ENOENT) if Path::new(program).exists() => {
            format!("program {program:?} names an interpreter or a loader that does not exist")
        }
        Some(Errno::ENOENT) => format!("program {program:?} does not exist"),
        Some(Errno::EACCES) => format!("program {program:?} is not an executable file, or may not be executed"),
        Some(Errno::ENOEXEC) => format!("program {program:?} is neither a binary nor does it begin with `#!`"),
        Some(Errno::EMFILE) => "the worker runs too many actions at once (open files)".into(),
        _ => format!("program {program:?} could not be started: {}", refusal.text),
    }
}

/// Why an action that was started did not succeed.
pub(super) fn reason(outcome: Outcome, report: &Report, limit: Duration) -> Option<String> {
    let reason = match outcome {
        Outcome::Succeeded => return None,
        Outcome::TimedOut => format!("timed out after {}", seconds(limit)),
        Outcome::Canceled => "canceled".into(),
        Outcome::Failed => match (report.code, report.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {}", signal_name(signal)),
            (None, None) => "ended in an unknown way".into(),
        },
    };
    Some(match report.immortal {
        0 => reason,
        count => format!("{reason}; {count} of its processes could not be killed"),
    })
}

fn signal_name(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => format!("{number} ({signal})"),
        Err(_) => number.to_string(),
    }
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
