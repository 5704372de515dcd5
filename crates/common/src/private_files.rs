//! Modes of the files that hold secrets. An action that runs as the service's own user can change them, so they are set
//! again whenever a process starts.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

/// Gives a directory and what lies directly in it to their owner alone. What was open, or closed to its owner, is logged.
pub fn restrict_folder(folder: &Path) -> io::Result<()> {
    restrict(folder)?;
    for entry in fs::read_dir(folder)? {
        restrict(&entry?.path())?;
    }
    Ok(())
}

/// Gives a file or a directory to its owner alone.
pub fn restrict(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let kind = metadata.file_type();
    let owner = if kind.is_dir() {
        0o700
    } else if kind.is_file() {
        0o600
    } else {
        return Ok(());
    };
    let mode = metadata.mode() & 0o7777;
    let restricted = mode & 0o700 | owner;
    if mode == restricted {
        return Ok(());
    }
    tracing::warn!(
        path = %path.display(),
        "changed the mode {mode:04o} to {restricted:04o}: only the owner may use this"
    );
    fs::set_permissions(path, fs::Permissions::from_mode(restricted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_belongs_to_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let mode = |path: &Path| fs::symlink_metadata(path).expect("it is there").mode() & 0o7777;
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        for (name, before) in [("open", 0o777), ("closed", 0o000), ("private", 0o700)] {
            fs::create_dir(path(name)).expect("created");
            set(&path(name), before);
        }
        for (name, before) in [("secrets.json", 0o666), ("key", 0o000), ("program", 0o4755)] {
            fs::write(path(name), "x").expect("written");
            set(&path(name), before);
        }
        std::os::unix::fs::symlink("/etc/hostname", path("link")).expect("linked");
        let foreign = mode(Path::new("/etc/hostname"));
        set(folder.path(), 0o755);

        restrict_folder(folder.path()).expect("restricted");
        for name in ["", "open", "closed", "private", "program"] {
            assert_eq!(mode(&path(name)), 0o700, "{name}");
        }
        for name in ["secrets.json", "key"] {
            assert_eq!(mode(&path(name)), 0o600, "{name}");
        }
        assert_eq!(mode(Path::new("/etc/hostname")), foreign, "links are not followed");
    }
}
