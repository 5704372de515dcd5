//! Which process descends from which, read from /proc.
//!
//! A process group is not a process tree: `setsid` leaves it. Parents are not enough either: a double fork breaks the chain.
//! But the supervisor is a subreaper: every process that loses its parent becomes the supervisor's own child, and only the
//! supervisor reaps its children, so a pid from that list still refers to the same process when it is killed.

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpid},
};
use std::{collections::HashSet, ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::PathBuf, thread, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: Pid,
    pub parent: Pid,
    pub group: Pid,
    pub session: Pid,
    pub zombie: bool,
}

impl Process {
    pub fn read(pid: Pid) -> Option<Self> {
        parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }
}

/// Every process of this machine (of this pid namespace), including zombies.
pub(super) fn snapshot() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Process::read(Pid::from_raw(pid)))
        .collect()
}

/// The children of this process.
pub(super) fn children() -> Vec<Pid> {
    let own = getpid();
    snapshot()
        .into_iter()
        .filter(|process| process.parent == own)
        .map(|process| process.pid)
        .collect()
}

/// The children of this process's main thread. Other threads start actions, so these are the orphans that the kernel assigned
/// to the subreaper. None if the kernel does not list them.
pub(super) fn adopted_children() -> Option<Vec<Pid>> {
    let own = getpid();
    let list = fs::read_to_string(format!("/proc/self/task/{own}/children")).ok()?;
    Some(
        list.split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .map(Pid::from_raw)
            .collect(),
    )
}

/// The roots and all their descendants, by parent, or by a group or session that one of them leads.
pub(super) fn members(processes: &[Process], roots: &[Pid]) -> Vec<Pid> {
    let mut found: HashSet<Pid> = roots.iter().copied().collect();
    loop {
        let before = found.len();
        for process in processes {
            if [process.parent, process.group, process.session]
                .iter()
                .any(|one| found.contains(one))
            {
                found.insert(process.pid);
            }
        }
        if found.len() == before {
            break;
        }
    }
    let own = getpid();
    let alive = processes
        .iter()
        .filter(|process| !process.zombie)
        .map(|process| process.pid);
    alive.filter(|pid| *pid != own && found.contains(pid)).collect()
}

/// The execution in the environment of a process, which it inherited from its ancestors.
pub(super) fn execution_of(pid: Pid) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = environment
        .split(|byte| *byte == 0)
        .find_map(|line| line.strip_prefix(b"ATTUNE_EXECUTION_ID="))?;
    String::from_utf8(value.to_vec()).ok()
}

/// The scratch directory in the environment of a process.
pub(super) fn scratch_of(pid: Pid) -> Option<PathBuf> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let variable = |name: &[u8]| {
        let mut lines = environment.split(|byte| *byte == 0);
        lines.find_map(|line| line.strip_prefix(name))
    };
    variable(b"ATTUNE_EXECUTION_ID=")?;
    variable(b"TMPDIR=").map(|path| OsStr::from_bytes(path).into())
}

/// The user that a process runs as, which every process may read of every other.
pub(super) fn user_of(pid: Pid) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Sends a signal to each process. One that is gone already is no error.
pub(super) fn signal_each(pids: &[Pid], signal: Signal) {
    for pid in pids {
        let _ = kill(*pid, signal);
    }
}

/// Sends a signal to a whole group at once, so that no process can escape by forking.
pub(super) fn signal_group(leader: Pid, signal: Signal) {
    let _ = killpg(leader, signal);
}

/// Kills and reaps all descendants of this process until none is left.
pub(super) fn kill_all_descendants() {
    loop {
        let own = getpid();
        let processes = snapshot();
        let children: Vec<_> = processes
            .iter()
            .filter(|process| process.parent == own)
            .map(|process| process.pid)
            .collect();
        for child in &children {
            signal_group(*child, Signal::SIGKILL);
        }
        signal_each(&members(&processes, &children), Signal::SIGKILL);
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return,
                Ok(WaitStatus::StillAlive) => break,
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// The number of fields between the session and the number of threads.
const THREADS_AFTER_SESSION: usize = 13;

/// The second field is the program's name in parentheses, which may itself contain blanks and parentheses.
fn parse_stat(pid: Pid, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    let mut next = || fields.next()?.parse().ok().map(Pid::from_raw);
    let (parent, group, session) = (next()?, next()?, next()?);
    // A process whose first thread has ended looks like a zombie while its other threads run.
    let threads = fields.nth(THREADS_AFTER_SESSION);
    Some(Process {
        pid,
        parent,
        group,
        session,
        zombie: matches!(state, "Z" | "X") && matches!(threads, None | Some("0" | "1")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process([pid, parent, group, session]: [i32; 4]) -> Process {
        Process {
            pid: Pid::from_raw(pid),
            parent: Pid::from_raw(parent),
            group: Pid::from_raw(group),
            session: Pid::from_raw(session),
            zombie: false,
        }
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 3 4 5 0 -1 4194560";
        assert_eq!(parse_stat(Pid::from_raw(7), stat), Some(process([7, 3, 4, 5])));
        assert_eq!(parse_stat(Pid::from_raw(7), "7 (sh"), None);
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_is_no_zombie() {
        let zombie = |threads| {
            let stat = format!("7 (a) Z 3 4 5 0 -1 4 0 0 0 0 0 0 0 0 20 0 {threads} 0 99 0 0");
            parse_stat(Pid::from_raw(7), &stat).unwrap().zombie
        };
        assert!(zombie(1) && !zombie(2));
    }

    #[test]
    fn the_tree_follows_parents_groups_and_sessions_only() {
        let others = 1_000_000_000;
        let all = [
            process([others + 1, others, others + 1, others]), // the main process
            process([others + 2, others + 1, others + 2, others + 2]), // its child, which called setsid
            process([others + 3, others, others + 3, others + 2]), // orphan of that session
            process([others + 4, others, others + 1, others]), // orphan of the main process's group
            process([others + 5, others, others + 5, others]), // another action
        ];
        let mut found = members(&all, &[Pid::from_raw(others + 1)]);
        found.sort();
        assert_eq!(
            found.iter().map(|pid| pid.as_raw() - others).collect::<Vec<_>>(),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn this_process_finds_itself() {
        assert!(snapshot().iter().any(|process| process.pid == getpid()));
        assert_eq!(Process::read(getpid()).unwrap().pid, getpid());
    }
}
