//! Reads a folder.

use super::{
    Archive, Refused,
    gather::{Gather, is_ignored},
    packed,
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

pub(super) fn read(folder: &Path) -> Result<Archive, Refused> {
    let mut gather = Gather::default();
    walk(folder, "", &mut |path, found| {
        let checked = gather.path(path.as_bytes())?.unwrap_or_default();
        let file = File::open(&found.path)?;
        gather.file(checked, found.executable, file)
    })?;
    gather.finish()
}

struct Found {
    path: PathBuf,
    executable: bool,
}

/// Calls `each` for every file that belongs to the pack.
fn walk(
    folder: &Path,
    prefix: &str,
    each: &mut impl FnMut(String, Found) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(Refused::entry(
                &format!("{prefix}{}", name.to_string_lossy()),
                "the name is not UTF-8",
            ));
        };
        let path = format!("{prefix}{name}");
        if is_ignored(&path) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            let message = "is a symbolic link, and links are not followed: put the file or folder itself there";
            return Err(Refused::entry(&path, message));
        }
        if kind.is_dir() {
            walk(&entry.path(), &format!("{path}/"), each)?;
        } else if kind.is_file() {
            let executable = entry.metadata()?.permissions().mode() & 0o100 != 0;
            let found = Found {
                path: entry.path(),
                executable,
            };
            each(path, found)?;
        } else {
            return Err(Refused::entry(&path, "is not a regular file"));
        }
    }
    Ok(())
}

/// The identity of what a folder contains, without holding more than one file in memory.
pub fn hash_of_folder(folder: &Path) -> Result<String, Refused> {
    let mut found = Vec::new();
    walk(folder, "", &mut |path, file| {
        found.push((path, file));
        Ok(())
    })?;
    // As in an archive: by the whole path, not folder by folder.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut tar = packed::Normal::new(io::sink());
    for (path, file) in found {
        tar.add(&path, file.executable, &fs::read(&file.path)?)?;
    }
    Ok(tar.finish()?.0)
}
