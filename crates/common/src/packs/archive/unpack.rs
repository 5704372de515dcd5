//! Unpacks stored content into a folder, and compares it with its hash.

use super::{
    Refused,
    gather::checked,
    limited::Limited,
    tarball::{check_kind, refused},
};
use crate::hex;
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File, Permissions},
    io::{self, Read},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Unpacks `content` into the empty folder `into`. Fails if the content is not that of `hash`; the folder must then be removed.
/// Returns the bytes of all files.
///
/// The files are readable for all users and writable for none.
pub fn unpack(content: &[u8], hash: &str, into: &Path) -> Result<u64, Refused> {
    let hashing = Hashing {
        inner: Limited::new(GzDecoder::new(content)),
        hash: Sha256::new(),
    };
    let mut tar = tar::Archive::new(hashing);
    let mut total = 0;
    for entry in tar.entries().map_err(|error| refused(&error))? {
        let mut entry = entry.map_err(|error| refused(&error))?;
        let raw = entry.path_bytes().into_owned();
        check_kind(entry.header().entry_type(), &raw)?;
        let Some(path) = checked(&raw)? else { continue };
        let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
        let path = into.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(&path)?;
        total += io::copy(&mut entry, &mut file).map_err(|error| refused(&error))?;
        file.set_permissions(Permissions::from_mode(if executable { 0o555 } else { 0o444 }))?;
    }
    let mut hashing = tar.into_inner();
    io::copy(&mut hashing, &mut io::sink()).map_err(|error| refused(&error))?;
    let found = hex::encode(&hashing.hash.finalize());
    if found != hash {
        return Err(Refused::Malformed(format!(
            "the content has the sha256 {found} instead of {hash}"
        )));
    }
    close_folders(into)?;
    // A folder that its owner cannot write to cannot be moved.
    fs::set_permissions(into, Permissions::from_mode(0o755))?;
    Ok(total)
}

fn close_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            close_folders(&entry.path())?;
            fs::set_permissions(entry.path(), Permissions::from_mode(0o555))?;
        }
    }
    Ok(())
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
