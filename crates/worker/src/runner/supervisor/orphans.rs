//! The supervisor's children that it did not start: processes of actions that lost their parent. Which action owns each?
//!
//! The action that runs as their user, if each has its own. Otherwise the action that has their mark, otherwise the action whose
//! process group they are in, otherwise the execution that their environment contains. A process that left all of these behind
//! is a stray: it may belong to any action that ran when it was first seen, so it lives until those have ended.

use super::{action::Action, action_mark::ActionMark, tree};
use nix::unistd::Pid;
use std::collections::{BTreeMap, HashMap};

#[derive(Default)]
pub(super) struct Orphans(HashMap<Pid, Owner>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Action(u64),
    /// Unknown. The number is that of the newest action when the process was first seen.
    Stray(u64),
    /// An action that has ended.
    Ended,
}

impl Orphans {
    /// Updates the list from this process's children. `starting`: some may be actions whose start is not reported yet.
    /// `others`: children that this process started, other than actions.
    pub fn refresh(&mut self, actions: &BTreeMap<u64, Action>, others: &[Pid], newest: u64, starting: bool) {
        let children = match tree::adopted_children() {
            Some(adopted) => adopted,
            None if starting => return,
            None => tree::children(),
        };
        for pid in children {
            if others.contains(&pid) || actions.values().any(|action| action.pid == pid) {
                continue;
            }
            match self.0.get(&pid) {
                Some(Owner::Action(_) | Owner::Ended) => {}
                Some(Owner::Stray(seen)) => {
                    let owner = attribute(pid, actions, *seen, starting);
                    self.0.insert(pid, owner);
                }
                None => {
                    self.0.insert(pid, attribute(pid, actions, newest, starting));
                }
            }
        }
    }

    pub fn contains(&self, pid: Pid) -> bool {
        self.0.contains_key(&pid)
    }

    pub fn all(&self) -> impl Iterator<Item = Pid> {
        self.0.keys().copied()
    }

    pub fn forget(&mut self, pid: Pid) {
        self.0.remove(&pid);
    }

    pub fn of(&self, action: u64) -> Vec<Pid> {
        self.select(|owner| owner == Owner::Action(action))
    }

    /// The processes that cannot belong to a running action.
    pub fn abandoned(&self, actions: &BTreeMap<u64, Action>) -> Vec<Pid> {
        let oldest = actions.keys().next().copied().unwrap_or(u64::MAX);
        self.select(|owner| match owner {
            Owner::Action(action) => !actions.contains_key(&action),
            Owner::Stray(seen) => seen < oldest,
            Owner::Ended => true,
        })
    }

    fn select(&self, wanted: impl Fn(Owner) -> bool) -> Vec<Pid> {
        self.0
            .iter()
            .filter(|(_, owner)| wanted(**owner))
            .map(|(pid, _)| *pid)
            .collect()
    }
}

fn attribute(pid: Pid, actions: &BTreeMap<u64, Action>, seen: u64, starting: bool) -> Owner {
    if let Some(user) = tree::user_of(pid)
        && let Some(action) = actions.values().find(|action| action.user == Some(user))
    {
        return Owner::Action(action.id);
    }
    if let Some(mark) = ActionMark::of_process(pid) {
        let mut marked = actions.values().filter(|action| action.mark == Some(mark));
        match (marked.next(), marked.next()) {
            (Some(action), None) => return Owner::Action(action.id),
            // It may belong to an action whose start is not reported yet.
            (None, _) if starting => return Owner::Stray(seen),
            (None, _)
                if actions
                    .values()
                    .all(|action| action.user.is_some() || action.mark.is_some()) =>
            {
                return Owner::Ended;
            }
            // Actions that were started at the same time have the same mark.
            _ => {}
        }
    }
    let group = tree::Process::read(pid).map(|process| process.group);
    if let Some(action) = actions.values().find(|action| Some(action.pid) == group) {
        return Owner::Action(action.id);
    }
    let Some(execution) = tree::execution_of(pid) else {
        return Owner::Stray(seen);
    };
    match actions.values().find(|action| action.execution == execution) {
        Some(action) => Owner::Action(action.id),
        None => Owner::Ended,
    }
}
