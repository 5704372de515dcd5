//! Requests that the HTTP parser refuses. It answers them itself, before any handler, with a bare head. This stream replaces
//! that head with a problem like every other.
//!
//! The tricky part: bytes of an earlier answer may come with it in one write. The head is recognized by its exact form, which
//! no answer of a handler has, and only while no request runs.

use super::connections::Waiting;
use crate::{headers, problem::Problem, request_id::RequestId};
use attune_common::clock;
use axum::http::StatusCode;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use uuid::Uuid;

/// The parser's answers are shorter.
const HEAD_BYTES_MAX: usize = 256;

/// Whether bytes have arrived since the last request began to run.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<AtomicBool>);

impl Heard {
    pub fn set(&self, heard: bool) {
        self.0.store(heard, Ordering::Relaxed);
    }

    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection whose refusals are problems.
#[derive(Debug)]
pub struct Explained {
    pub stream: TcpStream,
    waiting: Waiting,
    heard: Heard,
    /// What replaces a refusal, and how much of it was sent.
    replacement: Vec<u8>,
    sent: usize,
}

impl Explained {
    pub fn new(stream: TcpStream, waiting: Waiting, heard: Heard) -> Self {
        Self {
            stream,
            waiting,
            heard,
            replacement: Vec::new(),
            sent: 0,
        }
    }

    /// Where a refusal begins in what is about to be sent.
    fn refusal(&self, buffer: &[u8]) -> Option<(usize, StatusCode)> {
        refusal(buffer).filter(|_| self.waiting.is_waiting())
    }

    fn poll_replacement(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.replacement.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.sent += sent,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Explained {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.heard.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Explained {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buffer)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_replacement(cx))?;
        let last = buffers.iter().rposition(|buffer| !buffer.is_empty());
        if let Some((last, (begin, status))) = last.and_then(|last| Some((last, self.refusal(&buffers[last])?))) {
            let mut bytes: Vec<u8> = buffers[..last].iter().flat_map(|buffer| buffer.to_vec()).collect();
            let length = bytes.len() + buffers[last].len();
            bytes.extend_from_slice(&buffers[last][..begin]);
            bytes.extend(answer(status));
            (self.replacement, self.sent) = (bytes, 0);
            return Poll::Ready(Ok(length));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_replacement(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_replacement(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The place and the status of an answer of the parser at the end of a buffer.
fn refusal(buffer: &[u8]) -> Option<(usize, StatusCode)> {
    const VERSION: &[u8] = b"HTTP/1.1 ";
    if !buffer.ends_with(b"\r\n\r\n") {
        return None;
    }
    let start = buffer.len().saturating_sub(HEAD_BYTES_MAX);
    let begin = start
        + buffer[start..]
            .windows(VERSION.len())
            .rposition(|part| part == VERSION)?;
    let mut lines = std::str::from_utf8(&buffer[begin + VERSION.len()..])
        .ok()?
        .split("\r\n");
    let status: StatusCode = lines.next()?.get(..3)?.parse().ok()?;
    let is_bare = lines.next()? == "connection: close"
        && lines.next()? == "content-length: 0"
        && lines.next()?.starts_with("date: ")
        && lines.eq(["", ""]);
    (is_bare && status.is_client_error()).then_some((begin, status))
}

/// The whole answer to a request that no handler sees.
pub fn answer(status: StatusCode) -> Vec<u8> {
    let detail = match status {
        StatusCode::REQUEST_TIMEOUT => "the request was not received in time",
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE | StatusCode::URI_TOO_LONG => {
            "the request line and the headers together are larger than 16 KiB, or there are more than 100 headers"
        }
        _ => "the request is not valid HTTP/1.1; check the request line and the headers",
    };
    let kind = match status {
        StatusCode::REQUEST_TIMEOUT => "timeout",
        StatusCode::BAD_REQUEST => "refused",
        _ => "too_large",
    };
    let id = RequestId(Uuid::now_v7().to_string());
    let secure = headers::DEFAULTS.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    let date = clock::now().format("%a, %d %b %Y %H:%M:%S GMT");
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nx-request-id: {}\r\n{}connection: close\r\ndate: {date}\r\n",
        id.0,
        secure.concat()
    );
    let body = Problem::new(status, kind, detail).body(id);
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_head_at_the_end_is_a_refusal() {
        let bare = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Mon, 30 Nov 2026 16:17:35 GMT\r\n\r\n";
        let found = |text: &str| refusal(text.as_bytes());
        assert_eq!(found(bare), Some((0, StatusCode::BAD_REQUEST)));
        assert_eq!(
            found(&format!("{{\"a\": 1}}{bare}")),
            Some((8, StatusCode::BAD_REQUEST))
        );
        let long = "x".repeat(10_000) + bare;
        assert_eq!(found(&long), Some((10_000, StatusCode::BAD_REQUEST)));
        for other in [
            &format!("{bare}x"),
            &bare.replace("400 Bad Request", "200 OK"),
            &bare.replace("content-length: 0", "content-length: 1"),
            &bare.replace("connection: close\r\n", ""),
            &bare.replace("date: ", "x-request-id: 1\r\ndate: "),
            "\r\n\r\n",
            "",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
