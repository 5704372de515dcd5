//! The folder of unpacked packs, which several workers of a machine may share.
//!
//! ```text
//! packs/<sha256>/       unpacked, read-only
//! packs/.part-<random>  being unpacked or removed, whose process holds a lock
//! pack_locks/           one file for each of them
//! ```
//!
//! A pack is in use while a worker holds a shared lock on its file, which also contains its size; its time of change is the last
//! use. Actions must not be able to lock these files, so they are not inside the folder that actions may read.

use attune_common::{
    clock, config,
    packs::{Refused, archive},
    sync,
};
use std::{
    collections::HashSet,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Mutex,
};

const UNFINISHED: &str = ".part-";

/// The folder of unpacked packs of a configuration.
pub fn folder(config: &config::Worker) -> PathBuf {
    base(config).join("packs")
}

fn base(config: &config::Worker) -> PathBuf {
    match &config.work_dir {
        Some(work_dir) => work_dir.clone(),
        None => std::env::temp_dir().join(format!("attune-packs-{}", nix::unistd::geteuid())),
    }
}

/// Unpacked files in use.
#[derive(Debug)]
pub struct PackDir {
    pub path: PathBuf,
    _lock: File,
}

pub struct Cache {
    packs: PathBuf,
    locks: PathBuf,
    bytes_max: u64,
    /// What this process has unpacked or compared with its hash.
    checked: Mutex<HashSet<String>>,
}

impl Cache {
    pub fn open(config: &config::Worker) -> io::Result<Self> {
        let cache = Self {
            packs: folder(config),
            locks: base(config).join("pack_locks"),
            bytes_max: config.pack_cache_mb.saturating_mul(1 << 20),
            checked: Mutex::default(),
        };
        if config.work_dir.is_none() {
            own_folder(&base(config), 0o755)?;
        }
        own_folder(&cache.packs, 0o755)?;
        own_folder(&cache.locks, 0o700)?;
        cache.remove_unfinished()?;
        Ok(cache)
    }

    /// Files that are there already and complete.
    pub fn find(&self, hash: &str) -> Result<Option<PackDir>, Refused> {
        let path = self.packs.join(hash);
        let lock = self.use_lock(hash)?;
        if !path.is_dir() {
            return Ok(None);
        }
        if !sync::lock(&self.checked).contains(hash) {
            let found = archive::hash_of_folder(&path);
            if !found.is_ok_and(|found| found == hash) {
                tracing::warn!(hash, "the unpacked files of a pack are damaged; fetching them again");
                self.discard(&path)?;
                return Ok(None);
            }
            sync::lock(&self.checked).insert(hash.to_owned());
        }
        Ok(Some(PackDir { path, _lock: lock }))
    }

    /// Unpacks content that has this hash.
    pub fn unpack(&self, hash: &str, content: &[u8]) -> Result<PackDir, Refused> {
        let mut lock = self.use_lock(hash)?;
        let path = self.packs.join(hash);
        let unfinished = Unfinished::new(self)?;
        own_folder(&unfinished.path, 0o755)?;
        let bytes = archive::unpack(content, hash, &unfinished.path)?;
        lock.set_len(0)?;
        lock.write_all(bytes.to_string().as_bytes())?;
        match fs::rename(&unfinished.path, &path) {
            // Another worker was faster.
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {}
            renamed => renamed?,
        }
        sync::lock(&self.checked).insert(hash.to_owned());
        Ok(PackDir { path, _lock: lock })
    }

    /// Removes what was not used for the longest time, until the rest is small enough. What is in use stays.
    pub fn evict(&self) {
        if let Err(error) = self.try_evict() {
            tracing::warn!(%error, "failed to remove unpacked packs");
        }
    }

    fn try_evict(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.packs)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let lock = self.locks.join(&name);
            if !name.starts_with(UNFINISHED)
                && let Ok(mut file) = File::open(&lock)
            {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                kept.push((
                    file.metadata()?.modified()?,
                    name,
                    text.trim().parse::<u64>().unwrap_or(0),
                ));
            }
        }
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, name, bytes) in kept {
            if total <= self.bytes_max {
                break;
            }
            if self.remove_unused(&name)? {
                tracing::info!(
                    hash = name,
                    bytes,
                    "removed the unpacked files of a pack that was not used lately"
                );
                total -= bytes;
            }
        }
        Ok(())
    }

    fn remove_unused(&self, hash: &str) -> io::Result<bool> {
        let path = self.locks.join(hash);
        let lock = File::open(&path)?;
        if lock.try_lock().is_err() || lock.metadata()?.nlink() == 0 {
            return Ok(false);
        }
        self.discard(&self.packs.join(hash))?;
        // A worker that waits for this lock finds that the file is gone, and creates a new one.
        fs::remove_file(&path)?;
        Ok(true)
    }

    /// A shared lock on the file of a pack, and this moment as its last use.
    fn use_lock(&self, hash: &str) -> io::Result<File> {
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).mode(0o600);
            let lock = options.open(self.locks.join(hash))?;
            lock.lock_shared()?;
            if lock.metadata()?.nlink() > 0 {
                lock.set_modified(clock::now().into())?;
                return Ok(lock);
            }
        }
    }

    /// Takes a folder away at once and removes it.
    fn discard(&self, path: &Path) -> io::Result<()> {
        let unfinished = Unfinished::new(self)?;
        fs::rename(path, &unfinished.path)
    }

    /// What a dead process was unpacking or removing. Its lock is free.
    fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.locks)? {
            let name = entry?.file_name();
            let path = self.locks.join(&name);
            if name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
                && File::open(&path).is_ok_and(|lock| lock.try_lock().is_ok())
            {
                remove(&self.packs.join(&name))?;
                ignore_missing(fs::remove_file(&path))?;
            }
        }
        Ok(())
    }
}

/// A place for a folder that is not complete. Removed when dropped, and by the next worker if this process dies.
struct Unfinished {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl Unfinished {
    fn new(cache: &Cache) -> io::Result<Self> {
        loop {
            let name = format!("{UNFINISHED}{:016x}", rand::random::<u64>());
            let lock_path = cache.locks.join(&name);
            let mut options = OpenOptions::new();
            let lock = options.write(true).create_new(true).mode(0o600).open(&lock_path)?;
            lock.lock()?;
            // A worker that starts may have taken it for that of a dead process before it was locked.
            if lock.metadata()?.nlink() > 0 {
                return Ok(Self {
                    path: cache.packs.join(name),
                    lock_path,
                    _lock: lock,
                });
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let removed = remove(&self.path).and_then(|()| ignore_missing(fs::remove_file(&self.lock_path)));
        if let Err(error) = removed {
            tracing::warn!(%error, path = %self.path.display(), "failed to remove a folder");
        }
    }
}

/// Creates a folder with this mode, whatever the umask is. It must belong to this user, and no other user may write to it.
fn own_folder(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(io::Error::new(
                error.kind(),
                format!("failed to create {}: {error}", path.display()),
            ));
        }
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        let message = "must be a folder that this user owns and no other user can write to";
        return Err(io::Error::other(format!("{} {message}", path.display())));
    }
    Ok(())
}

/// Removes a tree whose folders are read-only.
fn remove(folder: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(folder) else {
        return Ok(());
    };
    if metadata.is_dir() {
        make_writable(folder)?;
    }
    ignore_missing(fs::remove_dir_all(folder))
}

fn make_writable(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
