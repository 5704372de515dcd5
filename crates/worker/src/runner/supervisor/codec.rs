//! The encoding of messages: little-endian numbers and length-prefixed byte strings, in length-prefixed frames.

use attune_common::saturating;
use std::{
    io::{self, ErrorKind},
    time::Duration,
};

/// No valid frame is longer: parameters, environment and output are bounded well below it.
const FRAME_MAX: usize = 64 << 20;

/// Bytes received and not decoded yet.
#[derive(Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    taken: usize,
}

impl Inbox {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.extend_from_slice(bytes);
    }

    /// The body of the next complete frame, if there is one.
    pub fn take(&mut self) -> io::Result<Option<&[u8]>> {
        let rest = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > FRAME_MAX {
            return Err(malformed(&format!("frame of {length} bytes")));
        }
        let body = rest.get(..length);
        self.taken += body.map_or(0, |body| 4 + body.len());
        Ok(body)
    }
}

pub(super) fn framed(into: &mut Vec<u8>, write: impl FnOnce(&mut Encoder)) {
    let start = into.len();
    into.extend_from_slice(&[0; 4]);
    write(&mut Encoder(into));
    let length = saturating::u32(into.len() - start - 4);
    if let Some(place) = into.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

pub(super) struct Encoder<'a>(&'a mut Vec<u8>);

impl Encoder<'_> {
    pub fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub fn duration(&mut self, duration: Duration) {
        self.number(saturating::u64(duration.as_micros()));
    }

    pub fn optional(&mut self, value: Option<i32>) {
        self.number(value.map_or(u64::MAX, |value| u64::from(value.cast_unsigned())));
    }
}

pub(super) struct Decoder<'a>(pub &'a [u8]);

impl Decoder<'_> {
    pub fn number(&mut self) -> io::Result<u64> {
        let (number, rest) = self
            .0
            .split_first_chunk::<8>()
            .ok_or_else(|| malformed("short frame"))?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = saturating::usize(self.number()?);
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| malformed("short frame"))?;
        self.0 = rest;
        Ok(bytes.to_vec())
    }

    pub fn text(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| malformed("text that is not UTF-8"))
    }

    pub fn duration(&mut self) -> io::Result<Duration> {
        self.number().map(Duration::from_micros)
    }

    pub fn optional(&mut self) -> io::Result<Option<i32>> {
        Ok(u32::try_from(self.number()?).ok().map(u32::cast_signed))
    }

    pub fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        let count = self.number()?;
        (0..count).map(|_| one(self)).collect()
    }
}

pub(super) fn malformed(what: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("malformed message between worker and supervisor: {what}"),
    )
}
