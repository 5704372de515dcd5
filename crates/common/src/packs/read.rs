//! Reads the files of a pack's folder.

use super::{
    archive::{Archive, Refused, has_extension},
    pack::{FOLDERS, Files, OTHER_FOLDERS, Pack, Unusable},
    parse::parse,
};
use anyhow::Context as _;
use attune_domain::{FieldErrors, text::Charset};
use std::{
    fs::{self, DirEntry},
    path::Path,
};

/// The maximum size of a file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The files of a folder, and those that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub files: Files,
    pub unreadable: FieldErrors,
}

impl Pack {
    /// Reads and validates the pack in `folder`. A file that cannot be read does not hide what is wrong with the others.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let Found { files, mut unreadable } =
            read_folder(folder).with_context(|| format!("failed to list {}", folder.display()))?;
        let invalid = || format!("the pack in {} is not valid", folder.display());
        let archive = match Archive::of_folder(folder) {
            Ok(archive) => archive,
            Err(Refused::Entry { path, message }) => {
                if !unreadable.has(&path) {
                    unreadable.add(path, message);
                }
                return parse(&files, unreadable, |_| true).with_context(invalid);
            }
            Err(_) if !unreadable.is_empty() => return parse(&files, unreadable, |_| true).with_context(invalid),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read the pack in {}", folder.display()));
            }
        };
        let mut pack = parse(&files, unreadable, |path| archive.files.contains_key(path)).with_context(invalid)?;
        pack.packed = Some(archive.pack()?);
        Ok(pack)
    }

    /// Parses and validates all files of a pack. `load` makes the checks that need the database.
    pub fn of(archive: &Archive) -> Result<Self, Unusable> {
        let Found { files, unreadable } = definitions(archive);
        let mut pack = parse(&files, unreadable, |path| archive.files.contains_key(path))?;
        pack.packed = Some(archive.pack()?);
        Ok(pack)
    }
}

fn definitions(archive: &Archive) -> Found {
    let mut found = Found::default();
    for (path, file) in &archive.files {
        let place = path.split_once('/');
        let may_be = place.is_none_or(|(folder, rest)| !rest.contains('/') && !OTHER_FOLDERS.contains(&folder));
        if may_be && ["yaml", "yml"].iter().any(|one| has_extension(path, one)) {
            found.add(path.clone(), decoded(&file.bytes));
        }
    }
    found
}

/// Every YAML file of the pack. Other files (scripts, a README) are ignored here.
pub(super) fn read_folder(folder: &Path) -> std::io::Result<Found> {
    let mut found = Found::default();
    let entries = list(folder)?;
    for entry in &entries {
        found.collect("", entry);
    }
    for entry in &entries {
        found.collect_folder(entry);
    }
    Ok(found)
}

impl Found {
    fn collect_folder(&mut self, entry: &DirEntry) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type();
        if OTHER_FOLDERS.contains(&name.as_str()) {
            return;
        }
        if FOLDERS.contains(&name.as_str()) && kind.as_ref().is_ok_and(fs::FileType::is_symlink) {
            let message = "is a symbolic link, and links are not followed: put the folder itself there";
            return self.unreadable.add(name, message);
        }
        if !kind.is_ok_and(|kind| kind.is_dir()) {
            return;
        }
        match list(&entry.path()) {
            Ok(entries) => {
                for entry in entries {
                    self.collect(&format!("{name}/"), &entry);
                }
            }
            Err(error) if FOLDERS.contains(&name.as_str()) => {
                self.unreadable.add(name, format!("cannot be listed: {error}"));
            }
            Err(_) => {}
        }
    }

    fn collect(&mut self, prefix: &str, entry: &DirEntry) {
        // Hidden files are created by editors and file systems, such as `._action.yaml`.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            return;
        }
        let path = entry.path();
        if !path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            return;
        }
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        self.add(name, text_of(entry));
    }

    fn add(&mut self, name: String, text: Result<String, String>) {
        match text {
            Ok(text) => drop(self.files.insert(name, text)),
            Err(problem) => self.unreadable.add(name, problem),
        }
    }
}

fn text_of(entry: &DirEntry) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let kind = entry.file_type().map_err(unreadable)?;
    if kind.is_symlink() {
        return Err("is a symbolic link, and links are not followed: put the file itself there".to_owned());
    }
    if !kind.is_file() {
        return Err("is not a file".to_owned());
    }
    let bytes = entry.metadata().map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("has {bytes} bytes, at most {FILE_BYTES_MAX} are allowed"));
    }
    decoded(&fs::read(entry.path()).map_err(unreadable)?)
}

fn decoded(bytes: &[u8]) -> Result<String, String> {
    let length = bytes.len() as u64;
    if length > FILE_BYTES_MAX {
        return Err(format!("has {length} bytes, at most {FILE_BYTES_MAX} are allowed"));
    }
    // A byte order mark decides: YAML may also be UTF-16.
    let text = Charset::Utf8
        .decode(bytes)
        .map_err(|error| format!("cannot be read: it {error}"))?;
    Ok(text.into_owned())
}

/// In the order of their names, so that messages always come in one order.
fn list(folder: &Path) -> std::io::Result<Vec<DirEntry>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(DirEntry::file_name);
    Ok(entries)
}
