//! A reader that fails instead of unpacking without end.

use super::{FILES_MAX, UNPACKED_BYTES_MAX};
use std::{
    error::Error,
    fmt,
    io::{self, Read},
};

/// What a tar archive adds to each file: its header, the header and blocks of a long name, and padding.
const ENTRY_BYTES_MAX: u64 = 4 * 1024;

pub(super) struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R> Limited<R> {
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            left: UNPACKED_BYTES_MAX + FILES_MAX as u64 * ENTRY_BYTES_MAX,
        }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(Over))?;
        Ok(read)
    }
}

#[derive(Debug)]
struct Over;

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the archive unpacks to too many bytes")
    }
}

impl Error for Over {}

/// Whether the limit was the reason of this error. Readers wrap errors into others.
pub(super) fn is_over(error: &io::Error) -> bool {
    let mut source: Option<&(dyn Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = source {
        if error.is::<Over>() {
            return true;
        }
        source = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}
