//! The wire format: <https://html.spec.whatwg.org/multipage/server-sent-events.html>.

use std::{collections::VecDeque, time::Duration};

/// A longer line is not from Attune.
const LINE_MAX: usize = 8 * 1024 * 1024;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Frame {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: String,
    pub retry: Option<Duration>,
}

#[derive(Debug, Default)]
pub struct Parser {
    /// The beginning of a line whose end has not arrived.
    rest: Vec<u8>,
    frame: Frame,
    ready: VecDeque<Frame>,
}

impl Parser {
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.rest);
                self.line(String::from_utf8_lossy(&line).trim_end_matches('\r'));
            } else if self.rest.len() < LINE_MAX {
                self.rest.push(*byte);
            }
        }
    }

    pub fn pop(&mut self) -> Option<Frame> {
        self.ready.pop_front()
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let frame = std::mem::take(&mut self.frame);
            if frame != Frame::default() {
                self.ready.push_back(frame);
            }
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.frame.id = Some(value.to_owned()),
            "event" => self.frame.event = Some(value.to_owned()),
            "retry" => self.frame.retry = value.parse().ok().map(Duration::from_millis),
            "data" => {
                if !self.frame.data.is_empty() {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            // An empty name is a comment.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_arrive_in_pieces() {
        let text = "retry: 2000\n: attune\n\nid: 7\r\nevent: event.created\r\ndata: {\"a\":\r\ndata: \"ü\"}\r\n\r\n: keep-alive\n\nid: 8\n";
        for size in [1, 2, 7, 1_000] {
            let mut parser = Parser::default();
            let mut frames = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                parser.push(piece);
                frames.extend(std::iter::from_fn(|| parser.pop()));
            }
            let opening = Frame {
                retry: Some(Duration::from_secs(2)),
                ..Frame::default()
            };
            let change = Frame {
                id: Some("7".to_owned()),
                event: Some("event.created".to_owned()),
                data: "{\"a\":\n\"ü\"}".to_owned(),
                retry: None,
            };
            assert_eq!(frames, [opening, change], "in pieces of {size}");
        }
    }
}
