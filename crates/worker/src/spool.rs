//! Results on disk while the database is unavailable: one file each, flushed before it gets its final name.
//!
//! Any worker may write a file's result to the database, any number of times, because results are fenced by their attempt. So
//! several workers may share a folder, and a file is removed only after the database has answered for exactly that attempt. A
//! result that this database has no execution for stays on disk: it may belong to another database.

mod file;

pub(crate) use file::{decode, encode};

use crate::conclude::AttemptResult;
use anyhow::Context as _;
use attune_common::{failpoint, store::execution_queue::AttemptKey};
use std::{
    collections::{HashMap, VecDeque},
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Further results wait in memory only.
const FILES_MAX: usize = 20_000;
/// Older files are deleted: no execution runs longer than 7 days.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);
const EXTENSION: &str = ".json";

/// The number of results on disk.
#[derive(Debug, Clone, Default)]
pub struct Depth(Arc<AtomicUsize>);

impl Depth {
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// Files found at the start and not read yet.
    leftovers: VecDeque<PathBuf>,
    /// Results that are both on disk and in the caller's memory.
    stored: HashMap<AttemptKey, PathBuf>,
    depth: Depth,
}

impl Spool {
    /// Opens the folder, creating it if necessary, and lists the results that a predecessor left.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        ensure_private_folder(&folder).with_context(|| {
            format!(
                "failed to open the spool folder {}; set worker.spool_dir to another folder",
                folder.display()
            )
        })?;
        let mut leftovers = Vec::new();
        for entry in fs::read_dir(&folder).context("failed to list the spool folder")? {
            let path = entry?.path();
            if !path.to_string_lossy().ends_with(EXTENSION) {
                continue;
            }
            let old = path.metadata().and_then(|metadata| metadata.modified());
            if old.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > RETENTION)) {
                tracing::warn!(file = %path.display(), "dropping a spooled result older than 30 days");
                let _ = fs::remove_file(&path);
            } else {
                leftovers.push(path);
            }
        }
        leftovers.sort();
        let depth = Depth::default();
        depth.0.store(leftovers.len(), Ordering::Relaxed);
        Ok(Self {
            folder,
            leftovers: leftovers.into(),
            stored: HashMap::new(),
            depth,
        })
    }

    pub fn depth(&self) -> Depth {
        self.depth.clone()
    }

    /// Reads the next results of a predecessor, at most `limit`.
    pub async fn take_leftovers(&mut self, limit: usize) -> Vec<AttemptResult> {
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(path) = self.leftovers.pop_front()
        {
            let read = {
                let path = path.clone();
                blocking(move || fs::read(path)).await
            };
            match read.and_then(|bytes| file::decode(&bytes).map_err(io::Error::other)) {
                Ok(result) => {
                    self.stored.insert(result.key(), path);
                    found.push(result);
                }
                Err(error) => {
                    self.depth.0.fetch_sub(1, Ordering::Relaxed);
                    // Another worker may have written it meanwhile.
                    if error.kind() != io::ErrorKind::NotFound {
                        set_aside(&path, &error);
                    }
                }
            }
        }
        found
    }

    pub fn contains(&self, result: &AttemptResult) -> bool {
        self.stored.contains_key(&result.key())
    }

    /// Writes the results that are not on disk yet. On success they are durable.
    pub async fn store(&mut self, results: impl Iterator<Item = &AttemptResult>) -> io::Result<()> {
        let room = FILES_MAX.saturating_sub(self.depth.get());
        let mut files = Vec::new();
        for result in results.filter(|result| !self.contains(result)).take(room) {
            let key = result.key();
            let name = format!("{}-{}{EXTENSION}", key.id, key.attempt);
            files.push((key, self.folder.join(name), file::encode(result)?));
        }
        if files.is_empty() {
            return Ok(());
        }
        let folder = self.folder.clone();
        let (written, outcome) = blocking(move || Ok(write_all(&folder, files))).await?;
        self.depth.0.fetch_add(written.len(), Ordering::Relaxed);
        self.stored.extend(written);
        outcome
    }

    /// Removes the file of a result that the database has answered.
    pub fn remove(&mut self, key: AttemptKey) {
        let Some(path) = self.stored.remove(&key) else {
            return;
        };
        self.depth.0.fetch_sub(1, Ordering::Relaxed);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // Harmless: the next worker writes it again, and the database refuses it.
                tracing::warn!(%error, file = %path.display(), "failed to remove a spooled result");
            }
            _ => {}
        }
    }

    /// Leaves the file on disk; this worker does not write its result again.
    pub fn leave_on_disk(&mut self, key: AttemptKey) {
        if let Some(path) = self.stored.remove(&key) {
            tracing::warn!(file = %path.display(), "the database does not accept this result; it stays on disk");
        }
    }
}

/// Writes files until one fails. Returns those that are durable.
fn write_all(
    folder: &Path,
    files: Vec<(AttemptKey, PathBuf, Vec<u8>)>,
) -> (Vec<(AttemptKey, PathBuf)>, io::Result<()>) {
    let mut written = Vec::with_capacity(files.len());
    let mut outcome = Ok(());
    for (key, path, bytes) in files {
        outcome = write(&path, &bytes);
        if outcome.is_err() {
            break;
        }
        written.push((key, path));
    }
    // One flush of the folder makes all names durable.
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Ok(()) => (written, outcome),
        Err(error) => (Vec::new(), Err(error)),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{:016x}.part", rand::random::<u64>()));
    let written = File::create_new(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        failpoint::hit_blocking("spool.before_fsync");
        file.sync_all()?;
        failpoint::hit_blocking("spool.after_fsync");
        Ok(())
    });
    let done = written.and_then(|()| fs::rename(&unfinished, path));
    if done.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    done
}

fn set_aside(path: &Path, error: &io::Error) {
    tracing::error!(%error, file = %path.display(), "failed to read a spooled result; renaming it to .unreadable");
    let _ = fs::rename(path, path.with_extension("unreadable"));
}

/// Results are confidential and determine the end of executions, so only this user may have access to the folder.
fn ensure_private_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "must be a folder that this user owns and no other user can write to",
        ));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The spool folder of a configuration.
pub fn folder(config: &attune_common::config::Worker) -> PathBuf {
    match (&config.spool_dir, &config.work_dir) {
        (Some(folder), _) => folder.clone(),
        (None, Some(work_dir)) => work_dir.join("spool"),
        (None, None) => std::env::temp_dir().join(format!("attune-spool-{}", nix::unistd::geteuid())),
    }
}
