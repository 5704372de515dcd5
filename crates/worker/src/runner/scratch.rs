//! Scratch directories: one of its own per action, private to the worker's user, wiped afterwards.
//!
//! Most actions leave theirs empty, so making and removing one are two system calls, done in place; only a directory
//! that was used is removed on a thread for blocking work.

use std::{
    collections::hash_map::RandomState,
    fs::{self, DirBuilder, Permissions},
    hash::{BuildHasher, Hasher},
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The directory that holds those of one supervisor's actions. The keeper removes it with whatever is left in it.
pub(super) fn make_root(base: &Path) -> io::Result<PathBuf> {
    let random = RandomState::new().build_hasher().finish();
    let root = base.join(format!("attune-actions-{random:016x}"));
    make(&root)?;
    Ok(root)
}

/// The scratch directory of one action; its name means nothing, it is only new.
pub(super) fn make_one(root: &Path, id: u64) -> io::Result<PathBuf> {
    let directory = root.join(id.to_string());
    make(&directory)?;
    Ok(directory)
}

/// Removes the directory of an action that is over.
pub(super) async fn wipe(directory: PathBuf) {
    match fs::remove_dir(&directory) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(_) => {
            let removed = tokio::task::spawn_blocking(move || remove(&directory)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, "a scratch directory could not be wiped");
            }
        }
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
        let root = make_root(base.path()).unwrap();
        let scratch = make_one(&root, 1).unwrap();
        assert_eq!(fs::metadata(&scratch).unwrap().permissions().mode() & 0o777, 0o700);
        fs::create_dir_all(scratch.join("a/b")).unwrap();
        fs::write(scratch.join("a/b/c"), "d").unwrap();
        fs::set_permissions(scratch.join("a"), Permissions::from_mode(0o000)).unwrap();
        wipe(scratch.clone()).await;
        assert!(!scratch.exists());
    }

    #[test]
    fn a_missing_base_is_named() {
        let error = make_root(Path::new("/nowhere/at/all")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
