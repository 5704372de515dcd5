//! Checks the paths of files, and collects the files within the limits.

use super::{
    Archive, DEPTH_MAX, FILES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX, PackFile, Refused, UNPACKED_BYTES_MAX,
    limited::is_over,
};
use std::{
    collections::HashMap,
    io::{self, Read},
    path::Path,
};

#[derive(Debug, Default)]
pub(super) struct Gather {
    archive: Archive,
    entries: usize,
    bytes: u64,
}

impl Gather {
    /// Checks the path of an entry. None for the root.
    pub fn path(&mut self, raw: &[u8]) -> Result<Option<String>, Refused> {
        self.entries += 1;
        // Folders count as well.
        if self.entries > 2 * FILES_MAX {
            return Err(too_many());
        }
        checked(raw)
    }

    /// Reads a file, except those that are left out of every pack.
    pub fn file(&mut self, path: String, executable: bool, reader: impl Read) -> Result<(), Refused> {
        if is_ignored(&path) {
            return Ok(());
        }
        if self.archive.files.contains_key(&path) {
            return Err(Refused::entry(&path, "is in the archive twice"));
        }
        if self.archive.files.len() == FILES_MAX {
            return Err(too_many());
        }
        let left = UNPACKED_BYTES_MAX - self.bytes;
        let mut bytes = Vec::new();
        reader
            .take(left + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| unreadable(&path, &error))?;
        let length = bytes.len() as u64;
        if length > left {
            return Err(too_much());
        }
        self.bytes += length;
        self.archive.files.insert(path, PackFile { executable, bytes });
        Ok(())
    }

    /// All files, without a single folder around them.
    pub fn finish(self) -> Result<Archive, Refused> {
        let mut files = self.archive.files;
        if !files.contains_key("pack.yaml")
            && let Some(top) = files.keys().next().and_then(|path| path.split_once('/'))
        {
            let top = format!("{}/", top.0);
            if files.contains_key(&format!("{top}pack.yaml")) && files.keys().all(|path| path.starts_with(&top)) {
                files = files
                    .into_iter()
                    .map(|(path, file)| (path[top.len()..].to_owned(), file))
                    .collect();
            }
        }
        check_together(files.keys().map(String::as_str))?;
        Ok(Archive { files })
    }
}

fn too_many() -> Refused {
    Refused::TooLarge(format!("the pack has more than {FILES_MAX} files"))
}

pub(super) fn too_much() -> Refused {
    Refused::TooLarge(format!(
        "the files of the pack have more than {UNPACKED_BYTES_MAX} bytes together"
    ))
}

fn unreadable(path: &str, error: &io::Error) -> Refused {
    if is_over(error) {
        too_much()
    } else {
        Refused::entry(path, format!("cannot be read: {error}"))
    }
}

/// The path of an entry, without `./` and a final `/`. None for the root.
pub(super) fn checked(raw: &[u8]) -> Result<Option<String>, Refused> {
    let shown = || {
        let text = String::from_utf8_lossy(raw);
        text.chars().take(200).flat_map(char::escape_debug).collect::<String>()
    };
    let refuse = |message: &str| Err(Refused::entry(&shown(), message));
    let Ok(path) = str::from_utf8(raw) else {
        return refuse("the name is not UTF-8");
    };
    if path.len() > PATH_BYTES_MAX {
        return refuse(&format!("the path is longer than {PATH_BYTES_MAX} bytes"));
    }
    if path.starts_with('/') {
        return refuse("the path is absolute; it must be relative to the pack's folder");
    }
    if path.contains('\\') || path.chars().any(char::is_control) {
        return refuse("the name contains a backslash or a control character");
    }
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => return refuse("the path contains `..`; it must stay inside the pack's folder"),
            step if step.len() > NAME_BYTES_MAX => {
                return refuse(&format!("a name is longer than {NAME_BYTES_MAX} bytes"));
            }
            step => steps.push(step),
        }
    }
    // One more for the folder around everything, which is removed later.
    if steps.len() > DEPTH_MAX + 1 {
        return refuse(&format!("the path is deeper than {DEPTH_MAX} folders"));
    }
    Ok((!steps.is_empty()).then(|| steps.join("/")))
}

/// Exactly this extension: on most file systems, `.PYC` is another.
pub(in crate::packs) fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

/// Hidden files belong to editors, file systems and git; the others are generated.
pub(super) fn is_ignored(path: &str) -> bool {
    has_extension(path, "pyc")
        || path
            .split('/')
            .any(|step| step.starts_with('.') || step == "__pycache__" || step == "node_modules")
}

/// No two paths may be the same on a file system that ignores case, and no file may be the folder of another.
fn check_together<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), Refused> {
    let mut seen = HashMap::<String, (&str, bool)>::new();
    for path in paths {
        if path.split('/').count() > DEPTH_MAX {
            return Err(Refused::entry(
                path,
                format!("the path is deeper than {DEPTH_MAX} folders"),
            ));
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let (step, is_file) = (&path[..end], end == path.len());
            let (first, first_is_file) = *seen.entry(step.to_lowercase()).or_insert((step, is_file));
            if first != step {
                let message = format!("differs from {first} only in upper and lower case");
                return Err(Refused::entry(path, message));
            }
            if first_is_file != is_file {
                return Err(Refused::entry(step, "is both a file and a folder"));
            }
        }
    }
    Ok(())
}
