//! `attune.lock`: which packs a folder of packs consists of, exactly.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::{fs, io, path::Path};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    pub r#ref: String,
    /// A folder or an archive relative to the file, or a git repository with its commit.
    pub source: String,
    pub version: String,
    /// Of the files in their normal form.
    pub sha256: String,
}

/// Nothing if there is no file yet.
pub fn read(path: &Path) -> anyhow::Result<Vec<Locked>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    serde_norway::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
}

/// Adds or replaces packs.
pub fn record(path: &Path, packs: &[Locked]) -> anyhow::Result<()> {
    let mut all = read(path)?;
    all.retain(|old| packs.iter().all(|new| new.r#ref != old.r#ref));
    all.extend_from_slice(packs);
    all.sort_by(|one, other| one.r#ref.cmp(&other.r#ref));
    let text = serde_norway::to_string(&all).context("failed to write the lock file")?;
    let text = format!("# Written by `attune pack apply --lock`.\n{text}");
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}
