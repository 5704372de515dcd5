//! What this worker started and how it ended, on disk, so that the next worker on this machine can resolve it after a crash.
//!
//! Nothing is flushed: the marks survive the death of the process, and a reboot makes the journal invalid. A worker locks its
//! journal while it lives, and the kernel releases the lock however it dies. Three marks: `started` before an action's
//! process is requested, `ended` with the result, and `answered` when the database has answered for the result.
//!
//! The tricky thing is what a missing mark means. Recovery starts an execution again if it has no mark, so an action must
//! not start if its mark cannot be written: then the journal is removed, and leases expire as they do without one.

use crate::{
    conclude::AttemptResult,
    spool::{decode, encode},
};
use attune_common::{clock, store::execution_queue::AttemptKey, sync};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use uuid::Uuid;

const EXTENSION: &str = "journal";
/// A larger journal is written again with the open attempts only.
const BYTES_MAX: u64 = 8 << 20;

/// Whose journal it is. Another worker recovers it only if everything but the worker is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub worker: Uuid,
    /// The database.
    pub installation: String,
    /// Where its actions run: there, the next worker kills what is left of them.
    pub base: PathBuf,
    pub boot_id: Option<String>,
}

impl Owner {
    pub fn new(worker: Uuid, installation: &str, base: &Path) -> Self {
        Self {
            worker,
            installation: installation.to_owned(),
            base: base.to_owned(),
            boot_id: clock::boot_id(),
        }
    }

    fn is_predecessor_of(&self, me: &Self) -> bool {
        let worker = me.worker;
        self.boot_id.is_some() && *me == Self { worker, ..self.clone() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    Owner(Owner),
    Started(AttemptKey),
    Answered(AttemptKey),
}

const ENDED: &[u8] = b"ended ";

/// The default writes nothing.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Option<Open>>>);

#[derive(Debug)]
struct Open {
    path: PathBuf,
    file: File,
    bytes: u64,
    owner: Owner,
    /// The marks of the attempts that the database has not answered for.
    attempts: HashMap<AttemptKey, Vec<u8>>,
}

impl Journal {
    /// Creates the journal of this worker in an existing private folder.
    pub fn create(folder: &Path, owner: Owner) -> io::Result<Self> {
        let path = folder.join(format!("{}.{EXTENSION}", owner.worker));
        let (file, bytes) = write_new(&path, &owner, [].iter())?;
        Ok(Self(Arc::new(Mutex::new(Some(Open {
            path,
            file,
            bytes,
            owner,
            attempts: HashMap::new(),
        })))))
    }

    /// Must be called before the process of the attempt is requested.
    pub fn started(&self, key: AttemptKey) {
        if let Ok(mark) = line(&Mark::Started(key)) {
            self.write(|open| {
                open.attempts.insert(key, mark.clone());
                mark
            });
        }
    }

    /// The result of an attempt whose start is marked.
    pub fn ended(&self, result: &AttemptResult) {
        let key = result.key();
        let Ok(result) = encode(result) else { return };
        self.write(|open| {
            if !open.attempts.contains_key(&key) {
                return Vec::new();
            }
            let mark = [ENDED, &result, b"\n"].concat();
            open.attempts.insert(key, mark.clone());
            mark
        });
    }

    /// The database has answered for these attempts, or their results are on disk elsewhere.
    pub fn answered(&self, keys: impl IntoIterator<Item = AttemptKey>) {
        self.write(|open| {
            let known = keys.into_iter().filter(|key| open.attempts.remove(key).is_some());
            known
                .filter_map(|key| line(&Mark::Answered(key)).ok())
                .flatten()
                .collect()
        });
    }

    /// Removes the journal of a worker that has nothing left to resolve.
    pub fn remove(&self) {
        let mut journal = sync::lock(&self.0);
        if let Some(open) = journal.take_if(|open| open.attempts.is_empty()) {
            // The next worker finds nothing in it.
            let _ = fs::remove_file(&open.path);
        }
    }

    fn write(&self, mark: impl FnOnce(&mut Open) -> Vec<u8>) {
        let mut journal = sync::lock(&self.0);
        let Some(open) = journal.as_mut() else { return };
        let bytes = mark(open);
        if let Err(error) = open.append(&bytes) {
            tracing::warn!(%error, file = %open.path.display(), "failed to write the journal; removing it");
            // Without its first line it is not recovered, even if it cannot be removed.
            let _ = open.file.set_len(0).and_then(|()| fs::remove_file(&open.path));
            *journal = None;
        }
    }
}

impl Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > BYTES_MAX {
            let live: usize = self.attempts.values().map(Vec::len).sum();
            // At least half of the journal is obsolete, so rewriting costs little per mark.
            if (live as u64) < self.bytes / 2 {
                (self.file, self.bytes) = write_new(&self.path, &self.owner, self.attempts.values())?;
            }
        }
        Ok(())
    }
}

/// Writes a journal under another name, locks it, and gives it its name.
fn write_new<'m>(path: &Path, owner: &Owner, marks: impl Iterator<Item = &'m Vec<u8>>) -> io::Result<(File, u64)> {
    let unfinished = path.with_extension("part");
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.lock()?;
    let mut bytes = line(&Mark::Owner(owner.clone()))?;
    for mark in marks {
        bytes.extend_from_slice(mark);
    }
    file.write_all(&bytes)?;
    fs::rename(&unfinished, path)?;
    Ok((file, bytes.len() as u64))
}

fn line(mark: &Mark) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(mark)?;
    line.push(b'\n');
    Ok(line)
}

/// The journal of a dead predecessor. It stays locked until this is dropped, so that no other worker recovers it too.
#[derive(Debug)]
pub struct Dead {
    path: PathBuf,
    #[expect(dead_code, reason = "dropping it unlocks the journal")]
    lock: File,
    pub worker: Uuid,
    /// Attempts that may have started and have no result.
    pub started: Vec<AttemptKey>,
    /// Results that the database may not have.
    pub ended: Vec<AttemptResult>,
}

impl Dead {
    pub fn remove(self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, file = %self.path.display(), "failed to remove the journal of a dead worker");
        }
    }
}

/// The journals of dead workers with the same database, folder and boot. Others are removed if they cannot be recovered.
pub fn find_dead(folder: &Path, me: &Owner) -> io::Result<Vec<Dead>> {
    let mut dead = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            match read_dead(&path, me) {
                Ok(found) => dead.extend(found),
                Err(error) => {
                    tracing::warn!(%error, file = %path.display(), "failed to read the journal of a worker");
                }
            }
        }
    }
    Ok(dead)
}

fn read_dead(path: &Path, me: &Owner) -> io::Result<Option<Dead>> {
    let lock = File::options().read(true).write(true).open(path)?;
    if lock.try_lock().is_err() {
        // Its worker lives.
        return Ok(None);
    }
    let bytes = fs::read(path)?;
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let Some(Ok(Mark::Owner(owner))) = lines.next().map(serde_json::from_slice) else {
        return Ok(None);
    };
    if owner.boot_id != me.boot_id {
        tracing::info!(file = %path.display(), "removing the journal of a worker that ran before the last boot");
        fs::remove_file(path)?;
        return Ok(None);
    }
    if !owner.is_predecessor_of(me) {
        return Ok(None);
    }
    let mut attempts = HashMap::<AttemptKey, Option<AttemptResult>>::new();
    // The last line may be incomplete.
    for line in lines.filter(|line| line.ends_with(b"\n")) {
        if let Some(result) = line.strip_prefix(ENDED) {
            let result = decode(result)?;
            attempts.insert(result.key(), Some(result));
            continue;
        }
        match serde_json::from_slice(line)? {
            Mark::Started(key) => drop(attempts.insert(key, None)),
            Mark::Answered(key) => drop(attempts.remove(&key)),
            Mark::Owner(_) => {}
        }
    }
    let (mut started, mut ended) = (Vec::new(), Vec::new());
    for (key, result) in attempts {
        match result {
            Some(result) => ended.push(result),
            None => started.push(key),
        }
    }
    Ok(Some(Dead {
        path: path.to_owned(),
        lock,
        worker: owner.worker,
        started,
        ended,
    }))
}
