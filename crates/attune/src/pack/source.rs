//! Where the files of a pack come from.

use super::git;
use crate::failure::Failure;
use anyhow::Context as _;
use attune_common::packs::{Archive, Refused};
use std::{fs, path::Path};

/// The files, and what is recorded as their source.
pub struct Opened {
    pub archive: Archive,
    pub source: String,
}

/// Reads a folder, a `.tar.gz` or `.zip` archive, or a git repository.
pub fn open(text: &str) -> anyhow::Result<Opened> {
    if let Some(address) = git::Address::parse(text)? {
        let git::Fetched { archive, source } = address.fetch()?;
        return Ok(Opened { archive, source });
    }
    let path = Path::new(text);
    let read = if path.is_dir() {
        Archive::of_folder(path)
    } else {
        Archive::of_bytes(&fs::read(path).with_context(|| format!("failed to read {text}"))?)
    };
    match read {
        Ok(archive) => Ok(Opened {
            archive,
            source: text.to_owned(),
        }),
        Err(Refused::Io(error)) => Err(error).with_context(|| format!("failed to read the pack in {text}")),
        Err(refused) => Err(Failure::new(6, format!("{text} is not a pack: {refused}")).into()),
    }
}
