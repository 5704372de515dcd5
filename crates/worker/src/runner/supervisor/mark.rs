//! The mark on everything that one supervisor started: the limit on file locks, which Linux has not enforced since 2.4.25.
//!
//! Children inherit it through `setsid`, a double fork and an empty environment, and only root can raise a lowered limit
//! again. So the mark identifies the processes of a dead supervisor, and no others: its value is derived from the name of the
//! scratch root, which is random.

use nix::{
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
    unistd::{Pid, getpid},
};
use std::{fs, io, path::Path};

/// Every mark is larger than any limit that is set on purpose.
const LEAST: u64 = 1 << 62;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark(u64);

impl Mark {
    /// The mark of the supervisor that uses this scratch root.
    pub fn of_root(root: &Path) -> Option<Self> {
        let (_, number) = root.file_name()?.to_str()?.rsplit_once('-')?;
        let number = u64::from_str_radix(number, 16).ok()?;
        Some(Self(LEAST | (number >> 2)))
    }

    /// Marks this process and everything that it starts from now on. A process that already has a mark, because an action of
    /// another Attune started it, keeps that mark.
    pub fn apply(self) -> io::Result<()> {
        let (_, hard) = getrlimit(Resource::RLIMIT_LOCKS)?;
        if hard == RLIM_INFINITY {
            setrlimit(Resource::RLIMIT_LOCKS, self.0, self.0)?;
        }
        Ok(())
    }

    pub fn of_process(pid: Pid) -> Option<Self> {
        let limit = limit_of(pid)?;
        (LEAST..RLIM_INFINITY).contains(&limit).then_some(Self(limit))
    }
}

/// True if the limit of `pid` is lower than that of this process, which means that it descends from a supervisor.
pub(super) fn descends_from_supervisor(pid: Pid) -> bool {
    match (limit_of(pid), limit_of(getpid())) {
        (Some(theirs), Some(ours)) => theirs < ours,
        _ => false,
    }
}

fn limit_of(pid: Pid) -> Option<u64> {
    hard_limit(pid, "Max file locks")
}

/// A hard limit of a process. Every process may read those of every other.
pub(super) fn hard_limit(pid: Pid, name: &str) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    let hard = line.split_whitespace().nth(1)?;
    Some(hard.parse().unwrap_or(RLIM_INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_derived_from_its_root_and_this_process_has_none() {
        let of = |name: &str| Mark::of_root(Path::new(name));
        assert_eq!(of("/tmp/attune-actions-00000000000000ff"), Some(Mark(LEAST | 0x3f)));
        assert_ne!(
            of("/tmp/attune-actions-ffffffffffffffff"),
            of("/tmp/attune-actions-0fffffffffffffff")
        );
        assert_eq!(
            of("/tmp/attune-actions-ffffffffffffffff").map(|mark| mark.0 < RLIM_INFINITY),
            Some(true)
        );
        assert_eq!(of("/tmp/other"), None);
        assert!(limit_of(getpid()).is_some());
        assert!(!descends_from_supervisor(getpid()));
    }
}
