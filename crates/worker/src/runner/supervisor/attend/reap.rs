//! Whose end was it, and what did it leave behind?
//!
//! The tricky thing is an action that is over before the thread that started it has told of it. As long as starts are
//! under way, a child that has ended and that nobody knows is left alone: the next SIGCHLD finds it again.

use super::{super::tree, Attendant};
use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

/// Which child has ended, without reaping it yet.
pub(in crate::runner::supervisor) const ENDED: WaitPidFlag = WaitPidFlag::WEXITED
    .union(WaitPidFlag::WNOHANG)
    .union(WaitPidFlag::WNOWAIT);

impl Attendant {
    /// Takes the exit of every child that has ended, and looks whose children came here by that.
    pub(super) fn reap(&mut self) {
        let mut reaped = false;
        loop {
            let ended = match waitid(Id::All, ENDED) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(status) => status.pid(),
                // A real-time signal ended it: nix has no name for that.
                Err(_) => None,
            };
            let ended = ended.filter(|pid| self.is_known(*pid)).or_else(|| self.find_ended());
            let Some(pid) = ended else { break };
            self.reap_one(pid);
            reaped = true;
        }
        if reaped {
            self.look_for_orphans();
        }
    }

    fn reap_one(&mut self, pid: Pid) {
        let Some(action) = self.actions.values_mut().find(|action| action.pid == pid) else {
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            self.orphans.forget(pid);
            return;
        };
        if !action.stopped && !action.timed_out {
            // Before it is reaped, while the number of its group cannot be anybody else's.
            tree::signal_group(pid, Signal::SIGKILL);
        }
        action.reap();
    }

    /// False when the child may be an action whose start has not been told of.
    fn is_known(&mut self, pid: Pid) -> bool {
        if self.starting.is_empty() || self.actions.values().any(|action| action.pid == pid) {
            return true;
        }
        if !self.orphans.know(pid) {
            self.look_for_orphans();
        }
        self.orphans.know(pid)
    }

    /// Asks each known child whether it has ended: an unknown one may hide the others.
    fn find_ended(&self) -> Option<Pid> {
        let running = self
            .actions
            .values()
            .filter(|action| action.exit.is_none())
            .map(|action| action.pid);
        let has_ended = |pid: &Pid| {
            !matches!(
                waitid(Id::Pid(*pid), ENDED),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD)
            )
        };
        running.chain(self.orphans.all()).find(has_ended)
    }

    pub(super) fn look_for_orphans(&mut self) {
        self.orphans
            .refresh(&self.actions, self.newest, !self.starting.is_empty());
    }
}
