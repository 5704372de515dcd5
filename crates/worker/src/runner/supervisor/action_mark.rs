//! The mark on everything that one action started: the limit on resident memory, which Linux has not enforced since 2.4.30.
//!
//! Like the [mark of the supervisor](super::mark), children inherit it however they leave their parents, and an ordinary user
//! can only lower it. Actions with a user of their own need no mark.
//!
//! The tricky thing is that a limit belongs to the whole attendant, while several threads start actions. Each lowers it by one
//! before its start, so actions that are started at the same time may inherit the same mark. An action that holds a slot is
//! started while no other is, so its mark is its own.

use super::{mark::hard_limit, protocol::StartError};
use attune_common::sync::lock;
use nix::{
    sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit},
    unistd::Pid,
};
use std::{
    io,
    sync::{Mutex, PoisonError, RwLock},
};

/// The marks are below this, in the order of the starts. Larger than any limit that is set on purpose.
const FIRST: u64 = 1 << 62;
const LAST: u64 = 1 << 61;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ActionMark(u64);

impl ActionMark {
    /// The value of the limit.
    pub fn value(self) -> u64 {
        self.0
    }

    pub fn of_process(pid: Pid) -> Option<Self> {
        let limit = hard_limit(pid, "Max resident set")?;
        (LAST..FIRST).contains(&limit).then_some(Self(limit))
    }
}

pub(super) struct ActionMarks {
    /// None if no action gets a mark, because this process has inherited one: an action of another Attune started it.
    last: Mutex<Option<u64>>,
    starting: RwLock<()>,
}

impl ActionMarks {
    pub fn new() -> io::Result<Self> {
        let (_, hard) = getrlimit(Resource::RLIMIT_RSS)?;
        Ok(Self {
            last: Mutex::new((hard == RLIM_INFINITY).then_some(FIRST)),
            starting: RwLock::new(()),
        })
    }

    /// Starts an action, which inherits a mark. `alone`: no other action has the same.
    pub fn start<A>(&self, alone: bool, start: impl FnOnce() -> Result<A, StartError>) -> Result<A, StartError> {
        let _no_other = alone.then(|| self.starting.write().unwrap_or_else(PoisonError::into_inner));
        let _others = (!alone).then(|| self.starting.read().unwrap_or_else(PoisonError::into_inner));
        self.lower()?;
        start()
    }

    /// A mark that a fork of a template sets for itself. No other action inherits it.
    pub fn next(&self) -> ActionMark {
        let mut last = lock(&self.last);
        // Without marks, this one lies above all of them and identifies nothing.
        let next = last.unwrap_or(FIRST + 1).saturating_sub(1).max(LAST);
        if let Some(last) = &mut *last {
            *last = next;
        }
        ActionMark(next)
    }

    fn lower(&self) -> io::Result<()> {
        let mut last = lock(&self.last);
        if let Some(last) = &mut *last
            && *last > LAST
        {
            *last -= 1;
            setrlimit(Resource::RLIMIT_RSS, *last, *last)?;
        }
        Ok(())
    }
}
