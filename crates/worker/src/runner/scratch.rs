//! Scratch directories: one per action, private to the user that the action runs as, wiped afterwards.
//!
//! Most actions leave theirs untouched, and on a disk, creating and removing a directory costs more than everything else that
//! is done for an action. So a directory that is provably unchanged is reused by the next action.

use super::{
    invocation::SecretFile,
    isolation::{shared::SharedObjects, users::Users},
};
use attune_common::sync;
use nix::unistd::geteuid;
use std::{
    collections::{BTreeSet, VecDeque, hash_map::RandomState},
    fs::{self, DirBuilder, File, Metadata, Permissions},
    hash::{BuildHasher, Hasher},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

const PREFIX: &str = "attune-actions-";
/// In each root: contains the installation it belongs to, and is locked while its worker lives.
const LOCK: &str = "worker.lock";

/// How many other directories are used before one is reused, if each has a user: see [`Users`].
const RESTING: usize = 16;

/// The scratch directories of one supervisor's actions. The supervisor removes `root` when it exits.
pub(super) struct Scratches {
    pub root: PathBuf,
    _lock: File,
    last: AtomicU64,
    /// Untouched directories, the longest unused first.
    spare: Mutex<VecDeque<Scratch>>,
    users: Option<Arc<Users>>,
}

/// One action's directory, and its metadata at creation.
pub(super) struct Scratch {
    pub path: PathBuf,
    /// The user that its action runs as. None is the worker's own user.
    pub user: Option<u32>,
    /// Its user has other directories, so it is neither reused nor does it release its user.
    shared: bool,
    created: Metadata,
}

impl Scratches {
    pub fn new(base: &Path, installation: &str, users: Option<Arc<Users>>) -> io::Result<Self> {
        let random = RandomState::new().build_hasher().finish();
        let root = base.join(format!("{PREFIX}{random:016x}"));
        create_private(&root)?;
        let lock = take_lock(&root, installation).inspect_err(|_| drop(fs::remove_dir_all(&root)))?;
        if users.is_some() {
            // Each user can enter its own directory, and cannot list the others.
            fs::set_permissions(&root, Permissions::from_mode(0o711))?;
        }
        Ok(Self {
            root,
            _lock: lock,
            last: AtomicU64::new(0),
            spare: Mutex::default(),
            users,
        })
    }

    pub fn take(&self) -> io::Result<Scratch> {
        let resting = if self.users.is_some() { RESTING } else { 0 };
        {
            let mut spare = self.spare();
            if spare.len() > resting
                && let Some(spare) = spare.pop_front()
            {
                return Ok(spare);
            }
        }
        let user = self.users.as_ref().map(|users| users.take()).transpose()?;
        let created = self.create_next(user, false);
        if created.is_err() {
            self.release_user(user);
        }
        created
    }

    /// One more directory for the user of a template. Other runs of the same user cannot guess its name.
    pub fn take_shared(&self, user: Option<u32>) -> io::Result<Scratch> {
        self.create_next(user, true)
    }

    fn create_next(&self, user: Option<u32>, shared: bool) -> io::Result<Scratch> {
        let name = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let secret = if shared {
            format!("-{:032x}", rand::random::<u128>())
        } else {
            String::new()
        };
        let path = self.root.join(format!("{name}{secret}"));
        create_private(&path)?;
        if user.is_some() {
            lchown(&path, user, user)?;
        }
        let created = fs::symlink_metadata(&path)?;
        Ok(Scratch {
            path,
            user,
            shared,
            created,
        })
    }

    /// Takes back the directory of an action that has ended.
    pub async fn wipe(&self, scratch: Scratch) {
        // Shared memory of a template's user may belong to another run. It is removed with the template.
        let user = scratch.user.filter(|_| !scratch.shared);
        let shared = SharedObjects::of(&user.into_iter().collect());
        if !scratch.shared && shared.is_empty() && scratch.is_untouched() {
            return self.spare().push_back(scratch);
        }
        let removed = tokio::task::spawn_blocking(move || shared.remove().and_then(|()| remove(&scratch.path))).await;
        match removed {
            Ok(Ok(())) => self.release_user(user),
            // Its user is not reused: the next action could read what is left.
            Ok(Err(error)) => tracing::warn!(%error, "failed to wipe a scratch directory"),
            Err(_) => {}
        }
    }

    fn release_user(&self, user: Option<u32>) {
        if let (Some(users), Some(user)) = (&self.users, user) {
            users.release(user);
        }
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, VecDeque<Scratch>> {
        sync::lock(&self.spare)
    }
}

impl Drop for Scratches {
    fn drop(&mut self) {
        let spare = std::mem::take(&mut *self.spare());
        for scratch in spare {
            self.release_user(scratch.user);
        }
    }
}

impl Scratch {
    /// Writes files that only the user of the directory can read.
    pub fn store_secrets(&self, files: &[SecretFile]) -> io::Result<()> {
        for file in files {
            let path = self.path.join(file.file_name());
            let mut opened = File::options().write(true).create_new(true).mode(0o400).open(&path)?;
            opened.write_all(file.text.as_bytes())?;
            if self.user.is_some() {
                lchown(&path, self.user, self.user)?;
            }
        }
        Ok(())
    }

    /// True if it is the same directory, is empty, and its content, permissions and name have never changed. Emptiness is
    /// checked as well, because the clock of a file system may be too coarse for a short action.
    fn is_untouched(&self) -> bool {
        let facts = |of: &Metadata| (of.dev(), of.ino(), of.mode(), of.ctime(), of.ctime_nsec());
        fs::symlink_metadata(&self.path).is_ok_and(|now| facts(&now) == facts(&self.created))
            && fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
    }
}

/// The roots of this installation whose worker is dead. Never includes a root that another user created.
pub(super) fn dead_roots(base: &Path, installation: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(base) else {
        return Vec::new();
    };
    let roots = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| name.starts_with(PREFIX))
    });
    roots.filter(|root| is_dead(root, installation)).collect()
}

fn is_dead(root: &Path, installation: &str) -> bool {
    let is_ours = fs::symlink_metadata(root).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw());
    let lock = root.join(LOCK);
    // Shared, so that two sweeps do not mistake each other for a worker.
    is_ours
        && fs::read_to_string(&lock).is_ok_and(|text| text == owner(installation))
        && File::open(&lock).is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// The users that own a directory in these roots: those of the actions that used them, if each had its own.
pub(super) fn users_of(roots: &[PathBuf]) -> BTreeSet<u32> {
    let entries = roots.iter().filter_map(|root| fs::read_dir(root).ok()).flatten();
    let owners = entries.filter_map(|entry| {
        let metadata = entry.ok()?.metadata().ok()?;
        metadata.is_dir().then(|| metadata.uid())
    });
    owners.filter(|owner| *owner != geteuid().as_raw()).collect()
}

/// The owner is written under the lock, so a root that is being created has no owner yet.
fn take_lock(root: &Path, installation: &str) -> io::Result<File> {
    let path = root.join(LOCK);
    let take = || -> io::Result<File> {
        // The mode prevents actions from locking it.
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        file.lock()?;
        file.write_all(owner(installation).as_bytes())?;
        Ok(file)
    };
    take().map_err(|error| io::Error::new(error.kind(), format!("failed to lock {}: {error}", path.display())))
}

fn owner(installation: &str) -> String {
    format!("{installation}\n")
}

/// Removes a root. Its lock is removed last, so that the next worker can finish an interrupted removal.
pub(super) fn remove_root(root: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name() != LOCK {
            if entry.file_type()?.is_dir() {
                remove(&entry.path())?;
            } else {
                ignore_missing(fs::remove_file(entry.path()))?;
            }
        }
    }
    ignore_missing(fs::remove_dir_all(root))
}

/// Another process may be removing the same files.
fn ignore_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn create_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("failed to create directory {}: {error}", directory.display()),
        )
    })
}

/// Removes a tree, even if its directories were made unreadable.
fn remove(directory: &Path) -> io::Result<()> {
    match ignore_missing(fs::remove_dir_all(directory)) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            make_accessible(directory)?;
            fs::remove_dir_all(directory)
        }
        other => other,
    }
}

fn make_accessible(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_accessible(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_used_directory_is_wiped_even_if_it_is_unreadable() {
        let base = tempfile::tempdir().unwrap();
        let scratches = Scratches::new(base.path(), "here", None).unwrap();
        let scratch = scratches.take().unwrap();
        let path = scratch.path.clone();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir_all(path.join("a/b")).unwrap();
        fs::write(path.join("a/b/c"), "d").unwrap();
        fs::set_permissions(path.join("a"), Permissions::from_mode(0o000)).unwrap();
        scratches.wipe(scratch).await;
        assert!(!path.exists());
        assert_ne!(scratches.take().unwrap().path, path);
    }

    #[tokio::test]
    async fn only_an_untouched_directory_is_reused() {
        let base = tempfile::tempdir().unwrap();
        let scratches = Scratches::new(base.path(), "here", None).unwrap();
        let first = scratches.take().unwrap();
        let path = first.path.clone();
        scratches.wipe(first).await;
        let again = scratches.take().unwrap();
        assert_eq!(again.path, path);
        // Replaced by a symbolic link.
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/", &path).unwrap();
        scratches.wipe(again).await;
        assert!(fs::symlink_metadata(&path).is_err() && fs::exists("/").unwrap());
        // With other permissions.
        let other = scratches.take().unwrap();
        fs::set_permissions(&other.path, Permissions::from_mode(0o755)).unwrap();
        let path = other.path.clone();
        scratches.wipe(other).await;
        assert!(!path.exists());
    }

    #[test]
    fn only_the_roots_of_dead_workers_of_this_installation_are_swept() {
        let base = tempfile::tempdir().unwrap();
        let live = Scratches::new(base.path(), "here", None).unwrap();
        let foreign = Scratches::new(base.path(), "elsewhere", None).unwrap().root.clone();
        let dead = Scratches::new(base.path(), "here", None).unwrap().root.clone();
        fs::create_dir_all(dead.join("1/closed")).unwrap();
        fs::write(dead.join("1/closed/file"), "").unwrap();
        fs::set_permissions(dead.join("1/closed"), Permissions::from_mode(0o000)).unwrap();
        // Created by an older version, or being created.
        create_private(&base.path().join("attune-actions-1")).unwrap();
        create_private(&base.path().join("attune-actions-2")).unwrap();
        fs::write(base.path().join("attune-actions-2").join(LOCK), "").unwrap();
        // A symbolic link, and paths that are not scratch roots.
        std::os::unix::fs::symlink(&foreign, base.path().join("attune-actions-3")).unwrap();
        fs::write(base.path().join("attune-actions-4"), "").unwrap();
        create_private(&base.path().join("spool")).unwrap();
        assert_eq!(dead_roots(base.path(), "here"), std::slice::from_ref(&dead));
        assert_eq!(dead_roots(base.path(), "elsewhere"), std::slice::from_ref(&foreign));
        assert_eq!(dead_roots(base.path(), ""), Vec::<PathBuf>::new());
        remove_root(&dead).unwrap();
        remove_root(&dead).unwrap();
        assert!(!dead.exists() && live.root.exists() && foreign.exists());
        let root = live.root.clone();
        drop(live);
        assert_eq!(dead_roots(base.path(), "here"), [root], "its worker has ended");
    }

    #[test]
    fn a_missing_base_is_reported_with_its_path() {
        let error = Scratches::new(Path::new("/nowhere/at/all"), "here", None)
            .err()
            .unwrap();
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
