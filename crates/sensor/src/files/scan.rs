//! Reads directories. Everything here blocks.

use super::Limits;
use attune_domain::file_watch::{FileWatchConfig, Tracker, Version};
use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::{
        ffi::{OsStrExt as _, OsStringExt as _},
        fs::MetadataExt as _,
    },
    path::{Path, PathBuf},
};

/// Files and folders of any kind that one scan visits, for each file that it may find.
const ENTRIES_PER_FILE: usize = 10;
/// A longer path does not fit into an index.
const PATH_BYTES_MAX: usize = 2_000;
/// Bytes of names that are not UTF-8 are the characters from here on, which are for private use.
const BYTES_FROM: u32 = 0x10_FF00;

/// A directory that may be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub device: u64,
    pub inode: u64,
}

/// What a scan has found besides unchanged files.
#[derive(Debug)]
pub struct Found {
    pub root: Root,
    pub changed: Vec<(String, Version)>,
    /// Known files that no longer exist.
    pub missing: Vec<String>,
    /// What could not be read. The files there count as unchanged.
    pub unreadable: Vec<String>,
}

/// What a single path is.
#[derive(Debug)]
pub enum Entry {
    File(Version),
    Folder,
    /// It does not exist, or is something else.
    Nothing,
    /// It could not be read.
    Unknown,
}

/// Why a directory cannot be watched.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    TooMany(String),
}

/// Checks that the directory exists, and that this sensor may watch it.
pub fn open(config: &FileWatchConfig, limits: &Limits) -> Result<Root, Failure> {
    find(config, limits).map_err(Failure::Unavailable)
}

fn find(config: &FileWatchConfig, limits: &Limits) -> Result<Root, String> {
    let path = Path::new(&config.path);
    if limits.roots.is_empty() {
        return Err(
            "config.path: this sensor may not watch files; list the directories that it may read in sensor.file_roots"
                .to_owned(),
        );
    }
    // Before anything else, so that the error does not show what exists elsewhere.
    let is_named = limits.roots.iter().any(|root| path.starts_with(root));
    let outside = || {
        let roots: Vec<String> = limits.roots.iter().map(|root| root.display().to_string()).collect();
        format!(
            "config.path: {} is outside sensor.file_roots ({})",
            config.path,
            roots.join(", ")
        )
    };
    if !is_named {
        return Err(outside());
    }
    let failed = |error: &io::Error| match error.kind() {
        ErrorKind::NotFound => format!("config.path: {} does not exist", config.path),
        _ => format!("config.path: failed to read {}: {error}", config.path),
    };
    let actual = fs::canonicalize(path).map_err(|error| failed(&error))?;
    if !is_inside(&actual, limits) {
        return Err(outside());
    }
    let metadata = fs::metadata(&actual).map_err(|error| failed(&error))?;
    if !metadata.is_dir() {
        return Err(format!("config.path: {} is not a directory", config.path));
    }
    fs::read_dir(&actual).map_err(|error| failed(&error))?;
    Ok(Root {
        device: metadata.dev(),
        inode: metadata.ino(),
    })
}

/// Whether a path without symbolic links is below a root.
fn is_inside(actual: &Path, limits: &Limits) -> bool {
    let actual_roots = limits.roots.iter().filter_map(|root| fs::canonicalize(root).ok());
    actual_roots.into_iter().any(|root| actual.starts_with(root))
}

/// Compares the directory with the known files.
pub fn walk(config: &FileWatchConfig, limits: &Limits, tracker: &mut Tracker) -> Result<Found, Failure> {
    tracker.begin_scan();
    let mut walk = Walk {
        config,
        limits,
        tracker,
        files: 0,
        entries: 0,
        visited: HashSet::new(),
        changed: Vec::new(),
        unreadable: Vec::new(),
    };
    let root = open(config, limits)?;
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        walk.folder(&folder, &mut folders)?;
    }
    let Walk {
        changed, unreadable, ..
    } = walk;
    let is_readable = |path: &String| !unreadable.iter().any(|folder| is_below(path, folder));
    let missing = tracker.not_found().into_iter().filter(is_readable).collect();
    Ok(Found {
        root,
        changed,
        missing,
        unreadable,
    })
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

struct Walk<'a> {
    config: &'a FileWatchConfig,
    limits: &'a Limits,
    tracker: &'a mut Tracker,
    files: usize,
    entries: usize,
    /// Folders behind symbolic links, which may be cycles.
    visited: HashSet<(u64, u64)>,
    changed: Vec<(String, Version)>,
    unreadable: Vec<String>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &str, folders: &mut Vec<String>) -> Result<(), Failure> {
        let absolute = absolute(self.config, folder);
        let entries = match fs::read_dir(&absolute) {
            Ok(entries) => entries,
            Err(error) if folder.is_empty() => {
                let error = format!("config.path: failed to read {}: {error}", self.config.path);
                return Err(Failure::Unavailable(error));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => {
                self.unreadable.push(folder.to_owned());
                return Ok(());
            }
        };
        let mut path = folder.to_owned();
        if !folder.is_empty() {
            path.push('/');
        }
        let prefix = path.len();
        for entry in entries {
            let Ok(entry) = entry else {
                self.unreadable.push(folder.to_owned());
                return Ok(());
            };
            self.entries += 1;
            if self.entries / ENTRIES_PER_FILE > self.limits.files_max {
                return Err(Failure::TooMany(format!(
                    "config.path: {} has more than {} entries; watch a smaller directory",
                    self.config.path,
                    self.limits.files_max.saturating_mul(ENTRIES_PER_FILE)
                )));
            }
            path.truncate(prefix);
            push_name(&mut path, &entry.file_name());
            self.entry(&path, &entry, folders)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, entry: &fs::DirEntry, folders: &mut Vec<String>) -> Result<(), Failure> {
        let Ok(kind) = entry.file_type() else {
            self.tracker.keep(path);
            return Ok(());
        };
        if kind.is_symlink() {
            match behind_link(self.config, self.limits, &entry.path()) {
                Entry::File(version) => return self.file(path, &version),
                Entry::Folder => {
                    let place = fs::metadata(entry.path()).map(|metadata| (metadata.dev(), metadata.ino()));
                    if place.is_ok_and(|place| self.visited.insert(place)) {
                        self.enter(path, folders);
                    }
                }
                Entry::Nothing => {}
                Entry::Unknown => self.tracker.keep(path),
            }
            return Ok(());
        }
        if kind.is_dir() {
            self.enter(path, folders);
        } else if kind.is_file() {
            match entry.metadata() {
                Ok(metadata) => return self.file(path, &version(&metadata)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(_) => self.tracker.keep(path),
            }
        }
        Ok(())
    }

    fn enter(&self, path: &str, folders: &mut Vec<String>) {
        if self.config.recursive && !self.config.excludes(path) {
            folders.push(path.to_owned());
        }
    }

    fn file(&mut self, path: &str, version: &Version) -> Result<(), Failure> {
        // Every known file is covered: the others are forgotten when the configuration changes.
        let is_unchanged = self.tracker.is_unchanged(path, version);
        if !is_unchanged {
            if !self.config.includes(path) || self.config.excludes(path) {
                return Ok(());
            }
            if path.len() > PATH_BYTES_MAX {
                self.unreadable.push(path.to_owned());
                return Ok(());
            }
            self.changed.push((path.to_owned(), *version));
        }
        self.files += 1;
        if self.files > self.limits.files_max {
            return Err(Failure::TooMany(format!(
                "config.path: more than {} files match in {}; watch fewer, or raise sensor.files_max",
                self.limits.files_max, self.config.path
            )));
        }
        Ok(())
    }
}

/// What a path is now.
pub fn entry(config: &FileWatchConfig, limits: &Limits, path: &str) -> Entry {
    let absolute = absolute(config, path);
    match fs::symlink_metadata(&absolute) {
        Ok(metadata) if metadata.is_symlink() => behind_link(config, limits, &absolute),
        metadata => what(metadata),
    }
}

/// What a symbolic link leads to, if links are followed. A target outside the roots does not exist for this sensor.
fn behind_link(config: &FileWatchConfig, limits: &Limits, link: &Path) -> Entry {
    if !config.follow_symlinks {
        return Entry::Nothing;
    }
    match fs::canonicalize(link) {
        Ok(target) if is_inside(&target, limits) => what(fs::metadata(target)),
        Ok(_) => Entry::Nothing,
        Err(error) => what(Err(error)),
    }
}

fn what(metadata: io::Result<Metadata>) -> Entry {
    match metadata {
        Ok(metadata) if metadata.is_file() => Entry::File(version(&metadata)),
        Ok(metadata) if metadata.is_dir() => Entry::Folder,
        Ok(_) => Entry::Nothing,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Entry::Nothing,
        Err(_) => Entry::Unknown,
    }
}

fn version(metadata: &Metadata) -> Version {
    Version {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        mtime_ns: metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec()),
    }
}

/// The path below the watched directory. None: it is the directory itself, or outside.
pub fn relative(config: &FileWatchConfig, path: &Path) -> Option<String> {
    let below = path.strip_prefix(&config.path).ok()?;
    let mut relative = String::new();
    push_name(&mut relative, below.as_os_str());
    (!relative.is_empty()).then_some(relative)
}

fn absolute(config: &FileWatchConfig, path: &str) -> PathBuf {
    Path::new(&config.path).join(os_path(path))
}

/// Appends a name. The tricky thing is a name that is not UTF-8: its text must lead back to the file.
fn push_name(path: &mut String, name: &OsStr) {
    if let Some(text) = name.to_str() {
        path.push_str(text);
        return;
    }
    for chunk in name.as_bytes().utf8_chunks() {
        path.push_str(chunk.valid());
        path.extend(
            chunk
                .invalid()
                .iter()
                .filter_map(|byte| char::from_u32(BYTES_FROM + u32::from(*byte))),
        );
    }
}

fn os_path(path: &str) -> OsString {
    let byte = |c: char| {
        u32::from(c)
            .checked_sub(BYTES_FROM)
            .and_then(|byte| u8::try_from(byte).ok())
    };
    if !path.chars().any(|c| byte(c).is_some()) {
        return path.into();
    }
    let mut bytes = Vec::with_capacity(path.len());
    for c in path.chars() {
        match byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf8_lead_back_to_the_file() {
        for bytes in [
            &b"plain.csv"[..],
            "größe.csv".as_bytes(),
            b"gr\xF6\xDFe.csv",
            b"\xFF\xFE",
        ] {
            let mut path = String::from("folder/");
            push_name(&mut path, OsStr::from_bytes(bytes));
            assert_eq!(os_path(&path).as_bytes(), [b"folder/", bytes].concat());
        }
    }
}
