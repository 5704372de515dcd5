//! The third line of defense: kills what supervisors left that were killed before they could clean up.
//!
//! The attendant and the keeper clean up as long as one of them lives. If both are killed, the worker calls this module; if
//! the worker is killed as well, its sweeper does; and if that is killed too, the next worker of the same installation on this
//! host. A predecessor is dead when no process holds the lock on its scratch root, so nothing of a live worker or of another
//! installation is touched.

use super::{
    mark::{Mark, descends_from_supervisor},
    role::COMMAND,
    tree::{self, Process},
};
use crate::runner::{isolation::users, scratch};
use nix::{
    sys::{
        signal::Signal,
        wait::{WaitPidFlag, waitpid},
    },
    unistd::{Pid, getpid, getsid},
};
use std::{
    collections::{BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// How long a supervisor whose worker is dead may take to clean up by itself.
const SUPERVISOR_TIMEOUT: Duration = Duration::from_secs(1);

/// How long killed processes are waited for. SIGKILL is final, but a process may hang in the kernel.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

const RECHECK_INTERVAL: Duration = Duration::from_millis(5);

/// The result of a sweep.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The scratch roots of dead supervisors.
    pub roots: usize,
    /// Processes that survived SIGKILL. Their scratch roots are left for the next sweep.
    pub unkillable: Vec<i32>,
}

/// Kills the processes that dead workers of this installation left, then removes their scratch directories.
pub fn sweep(base: &Path, installation: &str) -> Swept {
    let roots = scratch::dead_roots(base, installation);
    if roots.is_empty() {
        return Swept::default();
    }
    let (users, _locks) = users::abandoned(&scratch::users_of(&roots));
    let leftovers = Leftovers::of(&roots, users);
    let since = Instant::now();
    while since.elapsed() < SUPERVISOR_TIMEOUT && leftovers.have_an_attendant() {
        thread::sleep(RECHECK_INTERVAL);
    }
    let unkillable: Vec<i32> = leftovers.kill().into_iter().map(Pid::as_raw).collect();
    if unkillable.is_empty() {
        for root in &roots {
            if let Err(error) = scratch::remove_root(root) {
                tracing::warn!(%error, root = %root.display(), "failed to remove the scratch directories of a dead worker");
            }
        }
    }
    Swept {
        roots: roots.len(),
        unkillable,
    }
}

/// Kills everything that the supervisor of this scratch root left. Returns the processes that survived SIGKILL. This process
/// must own the root, and with it the users of its directories.
pub(crate) fn kill(root: &Path) -> Vec<Pid> {
    let roots = [root.to_owned()];
    Leftovers::of(&roots, scratch::users_of(&roots)).kill()
}

struct Leftovers<'a> {
    roots: &'a [PathBuf],
    marks: HashSet<Mark>,
    /// The users that only actions of these supervisors ran as.
    users: BTreeSet<u32>,
}

impl<'a> Leftovers<'a> {
    fn of(roots: &'a [PathBuf], users: BTreeSet<u32>) -> Self {
        Self {
            roots,
            marks: roots.iter().filter_map(|root| Mark::of_root(root)).collect(),
            users,
        }
    }

    /// Kills until nothing is left, and reaps the processes that became children of this one.
    fn kill(&self) -> Vec<Pid> {
        let since = Instant::now();
        let mut killed = HashSet::new();
        loop {
            let processes = tree::snapshot();
            for child in processes
                .iter()
                .filter(|process| process.parent == getpid() && process.zombie)
            {
                if killed.contains(&child.pid) || self.have_marked(child.pid) {
                    let _ = waitpid(child.pid, Some(WaitPidFlag::WNOHANG));
                }
            }
            let alive = processes.iter().filter(|process| !process.zombie);
            let roots: Vec<Pid> = alive
                .filter(|process| self.include(process))
                .map(|process| process.pid)
                .collect();
            let left = tree::members(&processes, &roots);
            if left.is_empty() || since.elapsed() > KILL_TIMEOUT {
                return left;
            }
            tree::signal_each(&left, Signal::SIGKILL);
            killed.extend(left);
            thread::sleep(RECHECK_INTERVAL);
        }
    }

    /// True by its mark, its user or its environment, or because it became a child of this process and descends from a supervisor.
    fn include(&self, process: &Process) -> bool {
        let own = getpid();
        let pid = process.pid;
        if pid == own {
            return false;
        }
        self.have_marked(pid)
            || (!self.users.is_empty() && users::user_among(&self.users, pid).is_some())
            || (process.parent == own && descends_from_supervisor(pid))
            || tree::scratch_of(pid).is_some_and(|scratch| self.roots.iter().any(|root| scratch.starts_with(root)))
    }

    fn have_marked(&self, pid: Pid) -> bool {
        Mark::of_process(pid).is_some_and(|mark| self.marks.contains(&mark))
    }

    fn have_an_attendant(&self) -> bool {
        let all = tree::snapshot();
        let mut alive = all.iter().filter(|process| !process.zombie);
        alive.any(|process| is_a_supervisor(process.pid) && self.have_marked(process.pid))
    }
}

fn is_a_supervisor(pid: Pid) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name.trim_end().as_bytes() == COMMAND.to_bytes())
}

/// Reaps orphaned zombies that became children of this process, a subreaper. Children that this process started itself are in
/// its session, except for the keeper.
pub(crate) fn reap_adopted() {
    let session = getsid(None).ok();
    for pid in tree::adopted_children().unwrap_or_default() {
        let adopted = Process::read(pid).is_some_and(|child| child.zombie && Some(child.session) != session);
        if adopted && !is_a_supervisor(pid) {
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}
