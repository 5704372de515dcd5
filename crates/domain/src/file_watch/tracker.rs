//! Compares what is observed of files with what is accounted for.
//!
//! A difference is pending until it has not changed for `stable_for`. Then it becomes a [`Change`], and when its event and its
//! row are committed, [`Tracker::accept`] makes it the version that is accounted for. Instants are those of a clock that never
//! goes back, since any origin.

use super::{Change, ChangeKind, FileWatchConfig, Version};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

/// A missing file is reported after this time at the earliest: a program may be replacing it, or renaming it.
const MISSING_FOR_MIN: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
struct Known {
    version: Version,
    /// The last scan that found it.
    scan: u32,
}

#[derive(Debug, Clone)]
struct Pending {
    /// None: the file is missing.
    found: Option<Version>,
    first_seen: Duration,
    /// Since when it has not changed.
    since: Duration,
    /// When it was observed last.
    checked: Duration,
}

/// The files of one trigger.
#[derive(Debug, Default)]
pub struct Tracker {
    known: HashMap<Box<str>, Known>,
    pending: BTreeMap<String, Pending>,
    scan: u32,
}

impl Tracker {
    /// Continues from the versions that are accounted for.
    pub fn new(known: impl IntoIterator<Item = (String, Version)>) -> Self {
        let entry = |(path, version): (String, Version)| (path.into_boxed_str(), Known { version, scan: 0 });
        Self {
            known: known.into_iter().map(entry).collect(),
            ..Self::default()
        }
    }

    /// How many files are accounted for.
    pub fn files(&self) -> usize {
        self.known.len()
    }

    pub fn begin_scan(&mut self) {
        self.scan = self.scan.wrapping_add(1);
    }

    /// Records that the scan has found a known file, and returns whether it is as it was. Cheap, because nearly every file is.
    pub fn is_unchanged(&mut self, path: &str, version: &Version) -> bool {
        let Some(known) = self.known.get_mut(path) else {
            return false;
        };
        known.scan = self.scan;
        known.version.is_same(version)
    }

    /// Records that a file exists although its version could not be read.
    pub fn keep(&mut self, path: &str) {
        if let Some(known) = self.known.get_mut(path) {
            known.scan = self.scan;
        }
    }

    /// The known files that the scan has not found.
    pub fn not_found(&self) -> Vec<String> {
        let missing = self.known.iter().filter(|(_, known)| known.scan != self.scan);
        missing.map(|(path, _)| path.to_string()).collect()
    }

    /// The known files that a configuration does not cover.
    pub fn not_covered(&self, config: &FileWatchConfig) -> Vec<String> {
        let uncovered = self.known.keys().filter(|path| !config.covers(path));
        uncovered.map(ToString::to_string).collect()
    }

    /// Whether a known file is in this folder.
    pub fn has_below(&self, folder: &str) -> bool {
        if self.known.contains_key(folder) {
            return false;
        }
        let is_below = |path: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        self.known.keys().any(|path| is_below(path))
    }

    /// The pending files that are not known: a scan that does not find them must report that, too.
    pub fn pending_new(&self) -> Vec<String> {
        let new = self
            .pending
            .keys()
            .filter(|path| !self.known.contains_key(path.as_str()));
        new.cloned().collect()
    }

    /// Records what a file is at `now`.
    pub fn observe(&mut self, path: String, found: Option<Version>, now: Duration) {
        let is_accounted = match (self.known.get(path.as_str()), &found) {
            (Some(known), Some(found)) => known.version.is_same(found),
            (known, found) => known.is_none() && found.is_none(),
        };
        if is_accounted {
            self.pending.remove(&path);
            return;
        }
        let pending = self.pending.entry(path).or_insert(Pending {
            found,
            first_seen: now,
            since: now,
            checked: now,
        });
        let is_same = match (&pending.found, &found) {
            (Some(before), Some(found)) => before.is_same(found),
            (before, found) => before.is_none() && found.is_none(),
        };
        if !is_same {
            pending.since = now;
        }
        pending.found = found;
        pending.checked = now;
    }

    /// When a pending file is to be checked again.
    pub fn next_check(&self, config: &FileWatchConfig) -> Option<Duration> {
        self.pending.values().map(|pending| pending.ripe_at(config)).min()
    }

    /// The pending files that must be checked at `now`.
    pub fn due(&self, config: &FileWatchConfig, now: Duration) -> Vec<String> {
        let due = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.ripe_at(config) <= now);
        due.map(|(path, _)| path.clone()).collect()
    }

    /// The differences that are stable.
    pub fn changes(&self, config: &FileWatchConfig) -> Vec<Change> {
        let identity = |version: &Version| (version.device, version.inode, version.size, version.mtime_ns);
        // A file that is missing here and new there was renamed.
        let mut missing = HashMap::new();
        let mut arriving = HashSet::new();
        if config.on.contains(&ChangeKind::Moved) {
            for (path, pending) in &self.pending {
                match (&pending.found, self.known.get(path.as_str())) {
                    (None, Some(known)) => drop(missing.insert(identity(&known.version), path)),
                    (Some(found), None) if !pending.is_ripe(config) => drop(arriving.insert(identity(found))),
                    _ => {}
                }
            }
        }
        let mut changes = Vec::new();
        let mut moved = HashSet::new();
        let ripe = || self.pending.iter().filter(|(_, pending)| pending.is_ripe(config));
        for (path, pending) in ripe() {
            let Some(version) = pending.found else { continue };
            let from = match self.known.get(path.as_str()) {
                Some(_) => None,
                None => missing.remove(&identity(&version)).cloned(),
            };
            moved.extend(from.clone());
            let kind = match (&from, self.known.contains_key(path.as_str())) {
                (Some(_), _) => ChangeKind::Moved,
                (None, true) => ChangeKind::Modified,
                (None, false) => ChangeKind::Created,
            };
            changes.push((kind, path, version, from, pending.first_seen));
        }
        for (path, pending) in ripe() {
            let Some(known) = self.known.get(path.as_str()).filter(|_| pending.found.is_none()) else {
                continue;
            };
            if !moved.contains(path) && !arriving.contains(&identity(&known.version)) {
                changes.push((ChangeKind::Deleted, path, known.version, None, pending.first_seen));
            }
        }
        let change =
            |(kind, path, version, from, first_seen): (ChangeKind, &String, Version, Option<String>, Duration)| {
                Change {
                    kind,
                    path: path.clone(),
                    version,
                    from,
                    first_seen,
                    is_reported: config.on.contains(&kind),
                }
            };
        changes.into_iter().map(change).collect()
    }

    /// A file whose present state is recorded without an event.
    pub fn record(&self, path: String, found: Option<Version>, now: Duration) -> Option<Change> {
        let known = self.known.get(path.as_str()).map(|known| known.version);
        Some(Change {
            kind: match (known, found) {
                (None, _) => ChangeKind::Created,
                (Some(_), Some(_)) => ChangeKind::Modified,
                (Some(_), None) => ChangeKind::Deleted,
            },
            path,
            version: found.or(known)?,
            from: None,
            first_seen: now,
            is_reported: false,
        })
    }

    /// Applies changes that are committed.
    pub fn accept(&mut self, changes: &[Change]) {
        for change in changes {
            self.pending.remove(&change.path);
            if let Some(from) = &change.from {
                self.pending.remove(from);
                self.known.remove(from.as_str());
            }
            if change.kind == ChangeKind::Deleted {
                self.known.remove(change.path.as_str());
            } else {
                let known = Known {
                    version: change.version,
                    scan: self.scan,
                };
                self.known.insert(change.path.as_str().into(), known);
            }
        }
    }
}

impl Pending {
    fn wait(&self, config: &FileWatchConfig) -> Duration {
        match self.found {
            Some(_) => config.stable_for,
            None => config.stable_for.max(MISSING_FOR_MIN),
        }
    }

    fn ripe_at(&self, config: &FileWatchConfig) -> Duration {
        self.since + self.wait(config)
    }

    /// It was observed again after it had not changed for long enough.
    fn is_ripe(&self, config: &FileWatchConfig) -> bool {
        self.checked >= self.ripe_at(config)
    }
}

#[cfg(test)]
mod tests;
