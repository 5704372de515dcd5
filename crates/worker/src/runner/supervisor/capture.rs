//! One output stream of an action: read without waiting, kept up to a limit, read on beyond it.
//!
//! A stream that is not read would stop the action at a full pipe, so bytes are always taken; the beginning and the end
//! are kept and what lies between is only counted.

use super::protocol::Captured;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::read,
};
use std::{
    collections::VecDeque,
    io::PipeReader,
    os::fd::{AsFd, BorrowedFd},
};

/// How much of a stream is kept: half from its beginning, half from its end.
pub(crate) const KEPT_BYTES: usize = 1 << 20;

/// The last look into a pipe takes at most this: a pipe holds no more, and whoever still writes is not waited for.
const LAST_LOOK_BYTES: usize = 1 << 20;

pub(super) struct Stream {
    pipe: Option<PipeReader>,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    omitted: u64,
}

impl Stream {
    pub fn new(pipe: PipeReader) -> nix::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            pipe: Some(pipe),
            head: Vec::new(),
            tail: VecDeque::new(),
            omitted: 0,
        })
    }

    /// What to poll, until the last writer is gone.
    pub fn open(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what is there, at most one buffer full. True when there may be more.
    pub fn pump(&mut self, buffer: &mut [u8]) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        match read(pipe, buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                self.keep(buffer.get(..length).unwrap_or_default());
                return length == buffer.len();
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.pipe = None,
        }
        false
    }

    /// What is kept of the beginning, so far.
    pub fn beginning(&self) -> &[u8] {
        &self.head
    }

    /// Takes what a process that has ended left in the pipe, and closes it.
    pub fn close(&mut self, buffer: &mut [u8]) {
        let mut taken = 0;
        while taken < LAST_LOOK_BYTES && self.pump(buffer) {
            taken += buffer.len();
        }
        self.pipe = None;
    }

    /// All that was kept.
    pub fn take(&mut self) -> Captured {
        Captured {
            head: std::mem::take(&mut self.head),
            omitted: self.omitted,
            tail: std::mem::take(&mut self.tail).into(),
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let half = KEPT_BYTES / 2;
        let (first, rest) = bytes.split_at(bytes.len().min(half - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(half);
        self.tail.drain(..excess);
        self.omitted += excess as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn keeps_both_ends_and_counts_the_middle() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut stream = Stream::new(reader).unwrap();
        let mut buffer = vec![0; 1 << 16];
        let written = 3 * KEPT_BYTES;
        for block in 0..written / 4096 {
            writer.write_all(&[u8::try_from(block % 251).unwrap(); 4096]).unwrap();
            stream.pump(&mut buffer);
        }
        writer.write_all(b"end").unwrap();
        stream.close(&mut buffer);
        let captured = stream.take();
        assert_eq!(captured.head.len(), KEPT_BYTES / 2);
        assert_eq!(captured.tail.len(), KEPT_BYTES / 2);
        assert_eq!(captured.omitted, (written + 3 - KEPT_BYTES) as u64);
        assert!(captured.tail.ends_with(b"end"));
    }

    #[test]
    fn does_not_wait_for_who_holds_the_pipe_open() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut stream = Stream::new(reader).unwrap();
        writer.write_all(b"so far").unwrap();
        stream.close(&mut [0; 64]);
        let captured = stream.take();
        assert_eq!(captured.head, b"so far");
        assert_eq!(captured.omitted, 0);
    }
}
