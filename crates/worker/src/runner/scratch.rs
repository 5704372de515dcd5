//! Scratch directories: one of its own per action, private to the worker's user, wiped afterwards.
//!
//! Most actions leave theirs untouched, and on a disk making and removing a directory costs more than everything else
//! that is done for an action. So one that is provably as it was made goes to the next action.

use std::{
    collections::hash_map::RandomState,
    fs::{self, DirBuilder, Metadata, Permissions},
    hash::{BuildHasher, Hasher},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The scratch directories of one supervisor's actions. The supervisor removes `root` when it ends.
pub(super) struct Scratches {
    pub root: PathBuf,
    last: AtomicU64,
    spare: Mutex<Vec<Scratch>>,
}

/// One action's directory, and what it was like when it was made.
pub(super) struct Scratch {
    pub path: PathBuf,
    made: Metadata,
}

impl Scratches {
    pub fn new(base: &Path) -> io::Result<Self> {
        let random = RandomState::new().build_hasher().finish();
        let root = base.join(format!("attune-actions-{random:016x}"));
        make(&root)?;
        Ok(Self {
            root,
            last: AtomicU64::new(0),
            spare: Mutex::default(),
        })
    }

    pub fn take(&self) -> io::Result<Scratch> {
        if let Some(spare) = self.spare().pop() {
            return Ok(spare);
        }
        let name = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.root.join(name.to_string());
        make(&path)?;
        let made = fs::symlink_metadata(&path)?;
        Ok(Scratch { path, made })
    }

    /// Takes back the directory of an action that is over.
    pub async fn wipe(&self, scratch: Scratch) {
        if scratch.is_untouched() {
            return self.spare().push(scratch);
        }
        let removed = tokio::task::spawn_blocking(move || remove(&scratch.path)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "a scratch directory could not be wiped");
        }
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Scratch>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Scratch {
    /// The same directory, empty, and neither its content nor its rights nor its name ever changed. The emptiness is
    /// looked at too, because the clock of a file system may be coarser than an action is short.
    fn is_untouched(&self) -> bool {
        let facts = |of: &Metadata| (of.dev(), of.ino(), of.mode(), of.ctime(), of.ctime_nsec());
        fs::symlink_metadata(&self.path).is_ok_and(|now| facts(&now) == facts(&self.made))
            && fs::read_dir(&self.path).is_ok_and(|mut entries| entries.next().is_none())
    }
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(directory).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("the directory {} cannot be made: {error}", directory.display()),
        )
    })
}

/// Removes a tree, also one whose directories were made unreadable.
fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            open_up(directory)?;
            fs::remove_dir_all(directory)
        }
        other => other,
    }
}

fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_used_directory_is_wiped_even_if_it_was_closed() {
        let base = tempfile::tempdir().unwrap();
        let scratches = Scratches::new(base.path()).unwrap();
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
    async fn only_an_untouched_directory_is_used_again() {
        let base = tempfile::tempdir().unwrap();
        let scratches = Scratches::new(base.path()).unwrap();
        let first = scratches.take().unwrap();
        let path = first.path.clone();
        scratches.wipe(first).await;
        let again = scratches.take().unwrap();
        assert_eq!(again.path, path);
        // Swapped for a way to somewhere else.
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/", &path).unwrap();
        scratches.wipe(again).await;
        assert!(fs::symlink_metadata(&path).is_err() && fs::exists("/").unwrap());
        // With other rights.
        let other = scratches.take().unwrap();
        fs::set_permissions(&other.path, Permissions::from_mode(0o755)).unwrap();
        let path = other.path.clone();
        scratches.wipe(other).await;
        assert!(!path.exists());
    }

    #[test]
    fn a_missing_base_is_named() {
        let error = Scratches::new(Path::new("/nowhere/at/all")).err().unwrap();
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
