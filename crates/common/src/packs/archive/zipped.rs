//! Reads a `.zip`.

use super::{Archive, FILES_MAX, Refused, gather::Gather};
use std::io::Cursor;
use zip::{ZipArchive, result::ZipError};

/// The type in a file's mode.
const TYPE_MASK: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// The end of a zip archive, and where it has the number of entries.
const END: [u8; 4] = [b'P', b'K', 5, 6];
const END_BYTES: usize = 22;
const COUNT_AT: usize = 10;

pub(super) fn read(bytes: &[u8]) -> Result<Archive, Refused> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| refused(&error))?;
    // The reader keeps one entry of each name.
    let declared = declared_entries(bytes).unwrap_or(zip.len());
    if declared > 2 * FILES_MAX {
        return Err(Refused::TooLarge(format!(
            "the archive has {declared} entries, which is more than {FILES_MAX} files"
        )));
    }
    if declared != zip.len() {
        return Err(Refused::Malformed(format!(
            "the archive has {declared} entries with only {} different names",
            zip.len()
        )));
    }
    let mut gather = Gather::default();
    for index in 0..zip.len() {
        let entry = zip.by_index(index).map_err(|error| refused(&error))?;
        let path = gather.path(entry.name_raw())?;
        let mode = entry.unix_mode().unwrap_or(0);
        let shown = || String::from_utf8_lossy(entry.name_raw()).into_owned();
        match mode & TYPE_MASK {
            0 | REGULAR | FOLDER => {}
            LINK => {
                let message = "is a symbolic link; a pack contains only regular files and folders";
                return Err(Refused::entry(&shown(), message));
            }
            _ => {
                let message = "is not a regular file; a pack contains only regular files and folders";
                return Err(Refused::entry(&shown(), message));
            }
        }
        let is_folder = entry.is_dir() || mode & TYPE_MASK == FOLDER;
        if let Some(path) = path.filter(|_| !is_folder) {
            gather.file(path, mode & 0o100 != 0, entry)?;
        }
    }
    gather.finish()
}

fn declared_entries(bytes: &[u8]) -> Option<usize> {
    let from = bytes.len().saturating_sub(END_BYTES + usize::from(u16::MAX));
    let at = from + bytes[from..].windows(END.len()).rposition(|window| window == END)?;
    let count = bytes.get(at + COUNT_AT..at + COUNT_AT + 2)?;
    Some(usize::from(u16::from_le_bytes(count.try_into().ok()?)))
}

fn refused(error: &ZipError) -> Refused {
    Refused::Malformed(format!("the .zip archive is damaged or not supported: {error}"))
}
