//! Reads the files of a pack's folder.

use super::pack::{Files, Pack};
use anyhow::{Context as _, ensure};
use attune_domain::text::Charset;
use std::{fs, path::Path};

/// The folders that hold definitions.
pub(super) const FOLDERS: [&str; 4] = ["runtimes", "triggers", "actions", "rules"];
/// The maximum size of a file.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

impl Pack {
    /// Reads and validates the pack in `folder`.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let files = read_folder(folder).with_context(|| format!("failed to read the pack in {}", folder.display()))?;
        Self::parse(&files).with_context(|| format!("the pack in {} is not valid", folder.display()))
    }
}

/// Every YAML file of the pack. Other files (scripts, a README) are ignored here.
pub(super) fn read_folder(folder: &Path) -> anyhow::Result<Files> {
    let mut files = Files::new();
    collect(folder, "", &mut files)?;
    for entry in list(folder)? {
        let name = entry.file_name();
        let kind = entry.file_type()?;
        ensure!(
            !kind.is_symlink() || !FOLDERS.iter().any(|folder| name == *folder),
            "{} is a symbolic link, and links are not followed: put the folder itself there",
            name.to_string_lossy()
        );
        if kind.is_dir() {
            collect(&entry.path(), &format!("{}/", name.to_string_lossy()), &mut files)?;
        }
    }
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Files) -> anyhow::Result<()> {
    for entry in list(folder)? {
        // Hidden files are created by editors and file systems, such as `._action.yaml`.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let is_yaml = path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml");
        let kind = entry.file_type()?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        ensure!(
            !(is_yaml && kind.is_symlink()),
            "{name} is a symbolic link, and links are not followed: put the file itself there"
        );
        ensure!(!is_yaml || kind.is_file(), "{name} is not a file");
        if is_yaml {
            let bytes = entry.metadata()?.len();
            ensure!(
                bytes <= FILE_BYTES_MAX,
                "{name} has {bytes} bytes, at most {FILE_BYTES_MAX} are allowed"
            );
            let bytes = fs::read(&path).with_context(|| format!("failed to read {name}"))?;
            // A byte order mark decides: YAML may also be UTF-16.
            let text = Charset::Utf8
                .decode(&bytes)
                .with_context(|| format!("failed to read {name}"))?;
            files.insert(name, text.into_owned());
        }
    }
    Ok(())
}

fn list(folder: &Path) -> anyhow::Result<Vec<fs::DirEntry>> {
    let entries = fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    Ok(entries.collect::<Result<_, _>>()?)
}
