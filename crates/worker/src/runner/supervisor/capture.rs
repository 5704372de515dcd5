//! One output stream of an action, or its result: read without blocking, captured up to a limit, and discarded beyond it.
//!
//! An unread stream would block the action at a full pipe, so bytes are always read; head and tail are captured and the bytes
//! between them are only counted.

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

/// How much of a stream is captured: half from its start, half from its end.
pub(crate) const CAPTURE_BYTES: usize = 1 << 20;

/// The largest result that an action can write to its descriptor 3.
pub(crate) const RESULT_BYTES: usize = 8 << 20;

/// The last read of a pipe takes at most this: a pipe holds no more, and remaining writers are not waited for.
const LAST_READ_BYTES: usize = 1 << 20;

pub(super) struct Stream {
    pipe: Option<PipeReader>,
    head_max: usize,
    tail_max: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    omitted: u64,
}

impl Stream {
    /// An output stream.
    pub fn new(pipe: PipeReader) -> nix::Result<Self> {
        Self::with_limits(pipe, CAPTURE_BYTES / 2, CAPTURE_BYTES / 2)
    }

    /// The result: only its beginning is captured, because a part of a value is of no use.
    pub fn of_result(pipe: PipeReader) -> nix::Result<Self> {
        Self::with_limits(pipe, RESULT_BYTES, 0)
    }

    fn with_limits(pipe: PipeReader, head_max: usize, tail_max: usize) -> nix::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            pipe: Some(pipe),
            head_max,
            tail_max,
            head: Vec::new(),
            tail: VecDeque::new(),
            omitted: 0,
        })
    }

    /// The pipe to poll, until the last writer is gone.
    pub fn open(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Reads at most one buffer. True if there may be more.
    pub fn pump(&mut self, buffer: &mut [u8]) -> bool {
        let Some(pipe) = &self.pipe else { return false };
        match read(pipe, buffer) {
            Ok(0) => self.pipe = None,
            Ok(length) => {
                self.capture(buffer.get(..length).unwrap_or_default());
                return length == buffer.len();
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.pipe = None,
        }
        false
    }

    /// The captured head, so far.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Reads what an ended process left in the pipe, and closes it.
    pub fn close(&mut self, buffer: &mut [u8]) {
        let mut taken = 0;
        while taken < LAST_READ_BYTES && self.pump(buffer) {
            taken += buffer.len();
        }
        self.pipe = None;
    }

    /// Everything captured.
    pub fn take(&mut self) -> Captured {
        Captured {
            head: std::mem::take(&mut self.head),
            omitted: self.omitted,
            tail: std::mem::take(&mut self.tail).into(),
        }
    }

    fn capture(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.head_max - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.tail_max);
        self.tail.drain(..excess);
        self.omitted += excess as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn captures_both_ends_and_counts_the_middle() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut stream = Stream::new(reader).unwrap();
        let mut buffer = vec![0; 1 << 16];
        let written = 3 * CAPTURE_BYTES;
        for block in 0..written / 4096 {
            writer.write_all(&[u8::try_from(block % 251).unwrap(); 4096]).unwrap();
            stream.pump(&mut buffer);
        }
        writer.write_all(b"end").unwrap();
        stream.close(&mut buffer);
        let captured = stream.take();
        assert_eq!(captured.head.len(), CAPTURE_BYTES / 2);
        assert_eq!(captured.tail.len(), CAPTURE_BYTES / 2);
        assert_eq!(captured.omitted, (written + 3 - CAPTURE_BYTES) as u64);
        assert!(captured.tail.ends_with(b"end"));
    }

    #[test]
    fn a_result_is_captured_up_to_its_limit_and_not_beyond() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut stream = Stream::of_result(reader).unwrap();
        let mut buffer = vec![0; 1 << 16];
        for _ in 0..RESULT_BYTES / 4096 {
            writer.write_all(&[1; 4096]).unwrap();
            stream.pump(&mut buffer);
        }
        writer.write_all(b"more").unwrap();
        stream.close(&mut buffer);
        let captured = stream.take();
        assert_eq!(
            (captured.head.len(), captured.omitted, captured.tail.len()),
            (RESULT_BYTES, 4, 0)
        );
    }

    #[test]
    fn does_not_wait_for_remaining_writers() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut stream = Stream::new(reader).unwrap();
        writer.write_all(b"so far").unwrap();
        stream.close(&mut [0; 64]);
        let captured = stream.take();
        assert_eq!(captured.head, b"so far");
        assert_eq!(captured.omitted, 0);
    }
}
