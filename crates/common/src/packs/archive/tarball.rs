//! Reads a `.tar.gz`.

use super::{
    Archive, Refused,
    gather::{Gather, too_much},
    limited::{Limited, is_over},
};
use flate2::read::MultiGzDecoder;
use std::io;
use tar::EntryType;

pub(super) fn read(bytes: &[u8]) -> Result<Archive, Refused> {
    let mut gather = Gather::default();
    let mut tar = tar::Archive::new(Limited::new(MultiGzDecoder::new(bytes)));
    for entry in tar.entries().map_err(|error| refused(&error))? {
        let entry = entry.map_err(|error| refused(&error))?;
        let kind = entry.header().entry_type();
        // What `git archive` puts in front: the commit.
        if kind == EntryType::XGlobalHeader {
            continue;
        }
        let raw = entry.path_bytes().into_owned();
        let path = gather.path(&raw)?;
        check_kind(kind, &raw)?;
        let mode = entry.header().mode().map_err(|error| refused(&error))?;
        if let Some(path) = path
            && kind != EntryType::Directory
            && !raw.ends_with(b"/")
        {
            gather.file(path, mode & 0o100 != 0, entry)?;
        }
    }
    // The checksum is at the end.
    io::copy(&mut tar.into_inner(), &mut io::sink()).map_err(|error| refused(&error))?;
    gather.finish()
}

/// Only regular files and folders.
pub(super) fn check_kind(kind: EntryType, path: &[u8]) -> Result<(), Refused> {
    let what = match kind {
        EntryType::Regular | EntryType::Directory => return Ok(()),
        EntryType::Symlink => "a symbolic link",
        EntryType::Link => "a hard link",
        EntryType::Char | EntryType::Block => "a device",
        EntryType::Fifo => "a named pipe",
        _ => "not a regular file",
    };
    let message = format!("is {what}; a pack contains only regular files and folders");
    Err(Refused::entry(&String::from_utf8_lossy(path), message))
}

pub(super) fn refused(error: &io::Error) -> Refused {
    if is_over(error) {
        too_much()
    } else {
        Refused::Malformed(format!("the .tar.gz archive is damaged or incomplete: {error}"))
    }
}
