//! The templates of one supervisor, and when an action runs in one.
//!
//! An action gets a template when it runs often. A template has a scratch directory, and with it a user of its own if actions
//! have users; all its runs have this user. So the user is released only when the template and its last run have ended.

use super::scratch::Scratch;
use attune_common::sync;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// An action gets a template with this run within the period.
const RUNS: u32 = 3;
const PERIOD: Duration = Duration::from_secs(300);
/// A template without a run for this long is ended.
const IDLE: Duration = Duration::from_secs(300);
/// A template is replaced after this many runs, so that what it accumulates is freed.
const FORKS_MAX: u32 = 1_000;
/// More keys are not remembered.
const SEEN_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Templates(Mutex<State>);

#[derive(Default)]
struct State {
    all: HashMap<u64, Entry>,
    seen: HashMap<String, Seen>,
}

struct Entry {
    key: String,
    scratch: Option<Scratch>,
    running: usize,
    forks: u32,
    used: Instant,
    /// It takes no more runs.
    closing: bool,
    /// Its process has ended.
    ended: bool,
}

struct Seen {
    since: Instant,
    runs: u32,
    /// It cannot have a template.
    cold: bool,
}

/// A run's share of a template. [`Templates::leave`] gives it back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub template: u64,
    pub user: Option<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Entered {
    Seat(Seat),
    /// It should get a template now.
    Open,
    /// It is started like other actions.
    Cold,
}

impl Templates {
    /// Counts a run, and decides how it is started.
    pub fn enter(&self, key: &str, most: usize) -> Entered {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some((id, entry)) = state
            .all
            .iter_mut()
            .find(|(_, entry)| entry.key == key && !entry.closing)
        {
            if entry.forks < FORKS_MAX {
                return Entered::Seat(entry.seat(*id, now));
            }
            entry.closing = true;
        } else if !state.is_frequent(key, now) {
            return Entered::Cold;
        }
        let open = state.all.values().filter(|entry| !entry.closing).count();
        if open < most {
            return Entered::Open;
        }
        let unused = state
            .all
            .values_mut()
            .filter(|entry| entry.running == 0 && !entry.closing);
        match unused.min_by_key(|entry| entry.used) {
            Some(oldest) => {
                oldest.closing = true;
                Entered::Open
            }
            None => Entered::Cold,
        }
    }

    /// Records a template that is being started, and its first run.
    pub fn open(&self, key: &str, id: u64, scratch: Scratch) -> Seat {
        let now = Instant::now();
        let mut entry = Entry {
            key: key.to_owned(),
            scratch: Some(scratch),
            running: 0,
            forks: 0,
            used: now,
            closing: false,
            ended: false,
        };
        let seat = entry.seat(id, now);
        self.lock().all.insert(id, entry);
        seat
    }

    pub fn leave(&self, id: u64) {
        if let Some(entry) = self.lock().all.get_mut(&id) {
            entry.running = entry.running.saturating_sub(1);
        }
    }

    /// A run was not started. `forever`: no template can run it.
    pub fn failed(&self, key: &str, id: Option<u64>, forever: bool) {
        let mut state = self.lock();
        if let Some(entry) = id.and_then(|id| state.all.get_mut(&id)) {
            entry.closing = true;
        }
        if let Some(seen) = state.seen.get_mut(key) {
            seen.cold |= forever;
            // The run that failed is started without a template, and so are the next ones for a while.
            seen.runs = 0;
        }
    }

    pub fn closed(&self, id: u64) {
        if let Some(entry) = self.lock().all.get_mut(&id) {
            (entry.closing, entry.ended) = (true, true);
        }
    }

    /// The templates to end now.
    pub fn idle(&self) -> Vec<u64> {
        let mut state = self.lock();
        for entry in state.all.values_mut() {
            entry.closing |= entry.running == 0 && entry.used.elapsed() > IDLE;
        }
        let closing = state
            .all
            .iter()
            .filter(|(_, entry)| entry.closing && !entry.ended && entry.running == 0);
        closing.map(|(id, _)| *id).collect()
    }

    /// The scratch directories of templates that ended with all their runs.
    pub fn ended(&self) -> Vec<Scratch> {
        let mut state = self.lock();
        let gone = state.all.extract_if(|_, entry| entry.ended && entry.running == 0);
        gone.filter_map(|(_, entry)| entry.scratch).collect()
    }

    /// All scratch directories. The supervisor has ended.
    pub fn all(&self) -> Vec<Scratch> {
        let gone = std::mem::take(&mut self.lock().all);
        gone.into_values().filter_map(|entry| entry.scratch).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        sync::lock(&self.0)
    }
}

impl State {
    fn is_frequent(&mut self, key: &str, now: Instant) -> bool {
        if self.seen.len() >= SEEN_MAX && !self.seen.contains_key(key) {
            self.seen.retain(|_, seen| now - seen.since < PERIOD);
        }
        let first = Seen {
            since: now,
            runs: 0,
            cold: false,
        };
        let seen = self.seen.entry(key.to_owned()).or_insert(first);
        if now - seen.since >= PERIOD {
            (seen.since, seen.runs) = (now, 0);
        }
        seen.runs += 1;
        seen.runs >= RUNS && !seen.cold
    }
}

impl Entry {
    fn seat(&mut self, id: u64, now: Instant) -> Seat {
        self.running += 1;
        self.forks += 1;
        self.used = now;
        Seat {
            template: id,
            user: self.scratch.as_ref().and_then(|scratch| scratch.user),
        }
    }
}
