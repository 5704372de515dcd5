//! The third line: ends what supervisors have left that were killed before they could do it themselves.
//!
//! The attendant and the keeper end everything as long as one of them lives. When both are killed, the worker does it
//! here; when the worker is killed as well, its sweeper does; and when that is gone too, the next worker of the same
//! installation on this host. A predecessor is dead when nobody holds the lock on its scratch root, so nothing of a live
//! worker or of another installation is touched.

use super::{
    COMMAND,
    mark::{Mark, is_below_ours},
    tree::{self, Process},
};
use crate::runner::scratch;
use nix::{
    sys::{
        signal::Signal,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::{Pid, getpid, getsid},
};
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long a supervisor whose worker is dead may take to end everything by itself.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(1);

/// SIGKILL is final, but a process may wait in the kernel longer than anybody should wait for it.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a sweep found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The scratch roots of dead supervisors.
    pub roots: usize,
    /// Processes that survived SIGKILL. Their roots are left for the next sweep.
    pub immortal: Vec<i32>,
}

/// Ends what dead workers of this installation have left: first their processes, then their scratch directories.
pub fn sweep(base: &Path, installation: &str) -> Swept {
    let roots = scratch::dead_roots(base, installation);
    if roots.is_empty() {
        return Swept::default();
    }
    let leftovers = Leftovers::of(&roots);
    let since = Instant::now();
    while since.elapsed() < SUPERVISOR_PATIENCE && leftovers.have_an_attendant() {
        thread::sleep(LOOK_AGAIN);
    }
    let immortal: Vec<i32> = leftovers.end().into_iter().map(Pid::as_raw).collect();
    if immortal.is_empty() {
        for root in &roots {
            if let Err(error) = scratch::remove_root(root) {
                tracing::warn!(%error, root = %root.display(), "failed to remove the scratch directories of a dead worker");
            }
        }
    }
    Swept {
        roots: roots.len(),
        immortal,
    }
}

/// Ends everything that the supervisor of this scratch root has left. Returns the processes that survived SIGKILL.
pub(crate) fn end(root: &Path) -> Vec<Pid> {
    Leftovers::of(&[root.to_owned()]).end()
}

struct Leftovers<'a> {
    roots: &'a [PathBuf],
    marks: HashSet<Mark>,
}

impl<'a> Leftovers<'a> {
    fn of(roots: &'a [PathBuf]) -> Self {
        Self {
            roots,
            marks: roots.iter().filter_map(|root| Mark::of(root)).collect(),
        }
    }

    /// Kills, again until nothing is left. What fell to this process is reaped.
    fn end(&self) -> Vec<Pid> {
        let since = Instant::now();
        let mut killed = HashSet::new();
        loop {
            let processes = tree::snapshot();
            for child in processes
                .iter()
                .filter(|process| process.parent == getpid() && process.zombie)
            {
                if killed.contains(&child.pid) || self.marks(child.pid) {
                    let _ = waitpid(child.pid, Some(WaitPidFlag::WNOHANG));
                }
            }
            let alive = processes.iter().filter(|process| !process.zombie);
            let roots: Vec<Pid> = alive
                .filter(|process| self.own(process))
                .map(|process| process.pid)
                .collect();
            let left = tree::members(&processes, &roots);
            if left.is_empty() || since.elapsed() > KILL_PATIENCE {
                return left;
            }
            tree::signal_each(&left, Signal::SIGKILL);
            killed.extend(left);
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// By its mark, by its environment, or because it fell to this process and has been below a supervisor.
    fn own(&self, process: &Process) -> bool {
        let own = getpid();
        let pid = process.pid;
        if pid == own {
            return false;
        }
        self.marks(pid)
            || (process.parent == own && is_below_ours(pid))
            || tree::scratch_of(pid).is_some_and(|scratch| self.roots.iter().any(|root| scratch.starts_with(root)))
    }

    fn marks(&self, pid: Pid) -> bool {
        Mark::on(pid).is_some_and(|mark| self.marks.contains(&mark))
    }

    fn have_an_attendant(&self) -> bool {
        let all = tree::snapshot();
        let mut alive = all.iter().filter(|process| !process.zombie);
        alive.any(|process| is_a_supervisor(process.pid) && self.marks(process.pid))
    }
}

fn is_a_supervisor(pid: Pid) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name.trim_end().as_bytes() == COMMAND.to_bytes())
}

/// Reaps zombies that fell to this process, a subreaper, and that nobody waits for. What this process started itself is in
/// its session, except for the keeper.
pub(crate) fn reap_adopted() {
    let session = getsid(None).ok();
    for pid in tree::adopted_children().unwrap_or_default() {
        let adopted = Process::look_up(pid).is_some_and(|child| child.zombie && Some(child.session) != session);
        if adopted && !is_a_supervisor(pid) {
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}
