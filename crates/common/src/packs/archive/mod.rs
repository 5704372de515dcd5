//! The files of a pack: read from a folder, a `.tar.gz` or a `.zip`, within limits, and packed into one normal form.
//!
//! The normal form is a tar archive of regular files: sorted by path, without times and owners, with the modes 0644 and 0755.
//! The sha256 of this tar is the identity of the pack's content, whatever it came from and however it is compressed.

mod folder;
mod gather;
mod limited;
mod packed;
mod tarball;
mod unpack;
mod zipped;

pub use folder::hash_of_folder;
pub(super) use gather::has_extension;
pub use packed::Packed;
pub use unpack::unpack;

use std::{collections::BTreeMap, io, path::Path};

/// The most bytes of an archive that is uploaded or stored.
pub const PACKED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most bytes of all files of a pack together.
pub const UNPACKED_BYTES_MAX: u64 = 128 * 1024 * 1024;
pub const FILES_MAX: usize = 10_000;
pub const DEPTH_MAX: usize = 16;
pub const NAME_BYTES_MAX: usize = 255;
pub const PATH_BYTES_MAX: usize = 1_024;

/// Why files cannot be a pack.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    TooLarge(String),
    /// One of the files.
    #[error("{path}: {message}")]
    Entry { path: String, message: String },
    /// Not an archive, or damaged.
    #[error("{0}")]
    Malformed(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Refused {
    fn entry(path: &str, message: impl Into<String>) -> Self {
        Self::Entry {
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

/// What an archive is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    TarGz,
    Zip,
}

impl Format {
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1f, 0x8b, ..] => Some(Self::TarGz),
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Some(Self::Zip),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFile {
    pub executable: bool,
    pub bytes: Vec<u8>,
}

/// The files of a pack, by their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Archive {
    pub files: BTreeMap<String, PackFile>,
}

impl Archive {
    /// Reads a folder. Hidden files and what programs generate (`__pycache__`, `node_modules`) are left out.
    pub fn of_folder(folder: &Path) -> Result<Self, Refused> {
        folder::read(folder)
    }

    /// Reads an archive. A single folder around everything is removed.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > PACKED_BYTES_MAX {
            return Err(Refused::TooLarge(format!(
                "the archive has {} bytes; at most {PACKED_BYTES_MAX} are allowed",
                bytes.len()
            )));
        }
        match Format::of(bytes) {
            Some(Format::TarGz) => tarball::read(bytes),
            Some(Format::Zip) => zipped::read(bytes),
            None => Err(Refused::Malformed(
                "the file is neither a .tar.gz nor a .zip archive".to_owned(),
            )),
        }
    }

    /// Compresses the normal form.
    pub fn pack(&self) -> Result<Packed, Refused> {
        packed::pack(self)
    }
}

#[cfg(test)]
mod tests;
