//! Writes the normal form of a pack.

use super::{Archive, PACKED_BYTES_MAX, Refused};
use crate::hex;
use attune_domain::definition::FileEntry;
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};
use std::io::{self, Write};

/// The content of a pack in its normal form, compressed.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The sha256 of the normal form, in hexadecimal digits.
    pub hash: String,
    /// `.tar.gz`
    pub content: Vec<u8>,
    pub files: Vec<FileEntry>,
}

pub(super) fn pack(archive: &Archive) -> Result<Packed, Refused> {
    let mut tar = Normal::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (path, file) in &archive.files {
        tar.add(path, file.executable, &file.bytes)?;
    }
    let (hash, content) = tar.finish()?;
    let content = content.finish()?;
    if content.len() > PACKED_BYTES_MAX {
        return Err(Refused::TooLarge(format!(
            "the pack has {} bytes after compression; at most {PACKED_BYTES_MAX} are allowed",
            content.len()
        )));
    }
    let entry = |(path, file): (&String, &super::PackFile)| FileEntry {
        path: path.clone(),
        bytes: file.bytes.len() as u64,
        executable: file.executable,
        sha256: hex::encode(&Sha256::digest(&file.bytes)),
    };
    Ok(Packed {
        hash,
        content,
        files: archive.files.iter().map(entry).collect(),
    })
}

/// Writes files in the order of their paths.
pub(super) struct Normal<W: Write>(tar::Builder<Hashing<W>>);

impl<W: Write> Normal<W> {
    pub fn new(writer: W) -> Self {
        Self(tar::Builder::new(Hashing {
            inner: writer,
            hash: Sha256::new(),
        }))
    }

    pub fn add(&mut self, path: &str, executable: bool, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        self.0.append_data(&mut header, path, bytes)
    }

    /// The hash, and the writer.
    pub fn finish(self) -> io::Result<(String, W)> {
        let Hashing { inner, hash } = self.0.into_inner()?;
        Ok((hex::encode(&hash.finalize()), inner))
    }
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
