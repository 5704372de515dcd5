//! Attributes ended processes to their actions, and finds what they left behind.
//!
//! The tricky thing is an action that ends before the thread that started it has reported it. While starts are in progress, an
//! unknown child that has ended is left alone: the next SIGCHLD finds it again.

use super::{
    super::{children::ENDED, tree},
    Attendant,
};
use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};

impl Attendant {
    /// Reaps every child that has ended, and attributes the orphans that became children of this process.
    pub(super) fn reap(&mut self) {
        let mut reaped = false;
        loop {
            let ended = match waitid(Id::All, ENDED) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => break,
                Ok(status) => status.pid(),
                // A real-time signal killed it: nix cannot represent that status.
                Err(_) => None,
            };
            let ended = ended.filter(|pid| self.is_known(*pid)).or_else(|| self.find_ended());
            let Some(pid) = ended else { break };
            self.reap_one(pid);
            reaped = true;
        }
        if reaped {
            self.refresh_orphans();
        }
    }

    fn reap_one(&mut self, pid: Pid) {
        let Some(action) = self.actions.values_mut().find(|action| action.pid == pid) else {
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            self.orphans.forget(pid);
            self.template_ended(pid);
            return;
        };
        if !action.stopped && !action.timed_out {
            // Before it is reaped, while no other group can have the same number.
            tree::signal_group(pid, Signal::SIGKILL);
        }
        action.reap();
    }

    /// False if the child may be an action whose start has not been reported yet.
    fn is_known(&mut self, pid: Pid) -> bool {
        if self.starting.is_empty() || self.forks.has(pid) || self.actions.values().any(|action| action.pid == pid) {
            return true;
        }
        if !self.orphans.contains(pid) {
            self.refresh_orphans();
        }
        self.orphans.contains(pid)
    }

    /// Checks each known child: `waitid` for any child may keep returning an unknown one.
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
        running
            .chain(self.forks.templates())
            .chain(self.orphans.all())
            .find(has_ended)
    }

    pub(super) fn refresh_orphans(&mut self) {
        let templates: Vec<Pid> = self.forks.templates().collect();
        self.orphans
            .refresh(&self.actions, &templates, self.newest, !self.starting.is_empty());
    }
}
