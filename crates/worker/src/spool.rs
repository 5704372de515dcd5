//! Results on disk, while the database is away: one file each, on the disk before it has its name.
//!
//! A file may be offered again and by anyone, because results are fenced by their attempt. So several workers may share
//! a folder, and a file is removed only after the database has answered for exactly that attempt. What no database here
//! knows stays: it may belong to another one.

use crate::prepare::Report;
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

/// More than this is kept in memory only.
const FILES_MAX: usize = 20_000;
/// Nobody waits for results of so long ago: executions are kept for 90 days, and none runs longer than 7.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
const ENDING: &str = ".json";

/// How many results are on disk, for whoever reports it.
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
    /// Found at the start and not yet read.
    leftovers: VecDeque<PathBuf>,
    /// What is on disk and in the caller's memory.
    kept: HashMap<AttemptKey, PathBuf>,
    depth: Depth,
}

impl Spool {
    /// Opens the folder, which is made when it is missing, and looks for what a predecessor left.
    pub fn open(folder: PathBuf) -> anyhow::Result<Self> {
        own_folder(&folder).with_context(|| {
            format!(
                "failed to open {}, where results wait while the database is away; set worker.spool_dir to another folder",
                folder.display()
            )
        })?;
        let mut leftovers = Vec::new();
        for entry in fs::read_dir(&folder).context("failed to look for results that were left behind")? {
            let path = entry?.path();
            if !path.to_string_lossy().ends_with(ENDING) {
                continue;
            }
            let old = path.metadata().and_then(|metadata| metadata.modified());
            if old.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > KEPT)) {
                tracing::warn!(file = %path.display(), "a result that no database wanted for a month is removed");
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
            kept: HashMap::new(),
            depth,
        })
    }

    pub fn depth(&self) -> Depth {
        self.depth.clone()
    }

    /// The next results of a predecessor, at most `limit`.
    pub async fn take_leftovers(&mut self, limit: usize) -> Vec<Report> {
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(path) = self.leftovers.pop_front()
        {
            let read = {
                let path = path.clone();
                blocking(move || fs::read(path)).await
            };
            match read.and_then(|bytes| serde_json::from_slice::<Report>(&bytes).map_err(io::Error::other)) {
                Ok(report) => {
                    self.kept.insert(report.held(), path);
                    found.push(report);
                }
                Err(error) => {
                    self.depth.0.fetch_sub(1, Ordering::Relaxed);
                    // Another worker has delivered it meanwhile.
                    if error.kind() != io::ErrorKind::NotFound {
                        set_aside(&path, &error);
                    }
                }
            }
        }
        found
    }

    pub fn holds(&self, report: &Report) -> bool {
        self.kept.contains_key(&report.held())
    }

    /// Writes what is not on disk yet. When this returns without an error, it is there for good.
    pub async fn keep(&mut self, reports: impl Iterator<Item = &Report>) -> io::Result<()> {
        let room = FILES_MAX.saturating_sub(self.depth.get());
        let mut files = Vec::new();
        for report in reports.filter(|report| !self.holds(report)).take(room) {
            let held = report.held();
            let name = format!("{}-{}{ENDING}", held.id, held.attempt);
            files.push((held, self.folder.join(name), serde_json::to_vec(report)?));
        }
        if files.is_empty() {
            return Ok(());
        }
        let folder = self.folder.clone();
        let (written, outcome) = blocking(move || Ok(write_all(&folder, files))).await?;
        self.depth.0.fetch_add(written.len(), Ordering::Relaxed);
        self.kept.extend(written);
        outcome
    }

    /// The database has answered: the file is not needed any more.
    pub fn forget(&mut self, held: AttemptKey) {
        let Some(path) = self.kept.remove(&held) else {
            return;
        };
        self.depth.0.fetch_sub(1, Ordering::Relaxed);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                // It would be offered again by the next worker, and refused.
                tracing::warn!(%error, file = %path.display(), "a delivered result could not be removed");
            }
            _ => {}
        }
    }

    /// It stays on disk for whoever knows it, and is not offered again by this worker.
    pub fn leave(&mut self, held: AttemptKey) {
        if let Some(path) = self.kept.remove(&held) {
            tracing::warn!(file = %path.display(), "the database does not know this execution; its result stays on disk");
        }
    }
}

/// Writes files until one fails. Says which are on the disk.
fn write_all(
    folder: &Path,
    files: Vec<(AttemptKey, PathBuf, Vec<u8>)>,
) -> (Vec<(AttemptKey, PathBuf)>, io::Result<()>) {
    let mut written = Vec::with_capacity(files.len());
    let mut outcome = Ok(());
    for (held, path, bytes) in files {
        outcome = write(&path, &bytes);
        if outcome.is_err() {
            break;
        }
        written.push((held, path));
    }
    // One flush of the folder gives all of them their names for good.
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
    tracing::error!(%error, file = %path.display(), "a result on disk cannot be read; it is set aside as .unreadable");
    let _ = fs::rename(path, path.with_extension("unreadable"));
}

/// Results tell much, and decide over executions: the folder must be ours, and nobody else's.
fn own_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::other(
            "it must be a folder that belongs to this user and that nobody else may write to",
        ));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Where results wait, by the configuration.
pub fn folder(config: &attune_common::config::Worker) -> PathBuf {
    match (&config.spool_dir, &config.work_dir) {
        (Some(folder), _) => folder.clone(),
        (None, Some(work_dir)) => work_dir.join("spool"),
        (None, None) => std::env::temp_dir().join(format!("attune-spool-{}", nix::unistd::geteuid())),
    }
}
