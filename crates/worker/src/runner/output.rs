//! Converts a stream to the text that is stored: valid UTF-8 without NUL (the database requires both), at most 1 MiB.

use super::{
    invocation::OutputSink,
    supervisor::{
        CAPTURE_BYTES, RESULT_BYTES,
        protocol::{Captured, Channel, Piece},
    },
};

use crate::redact::{Redactor, Stream};
use attune_domain::output::{self, Flaw, Source};
use serde_json::Value;
use std::{borrow::Cow, sync::Arc};

/// Space for the line between head and tail. It is longer than any character, so cutting for it also removes a character that
/// the supervisor has cut in two.
const GAP_BYTES: usize = 64;
/// The length of the head, and of the tail, if the middle is left out.
const HALF: usize = (CAPTURE_BYTES - GAP_BYTES) / 2;

/// The first loss when a stream is converted to text.
pub(super) fn flaw(captured: &Captured) -> Option<Flaw> {
    if captured.omitted > 0 {
        return Some(Flaw::LeftOut(captured.omitted));
    }
    let whole = match captured.tail.as_slice() {
        [] => Cow::Borrowed(&captured.head),
        tail => Cow::Owned([captured.head.as_slice(), tail].concat()),
    };
    let invalid = std::str::from_utf8(&whole).err().map(|error| error.valid_up_to());
    let nul = whole.iter().position(|byte| *byte == 0);
    match (invalid, nul) {
        (Some(at), nul) if nul.is_none_or(|nul| at < nul) => Some(Flaw::NotUtf8 { at }),
        (_, Some(at)) => Some(Flaw::Nul { at }),
        _ => None,
    }
}

/// The result of an action, if it wrote one to its descriptor 3, with its secrets replaced.
pub(super) fn result(captured: &Captured, redactor: Option<&Redactor>) -> Option<Result<Value, String>> {
    if captured.head.is_empty() {
        return None;
    }
    if captured.omitted > 0 {
        let most = RESULT_BYTES >> 20;
        return Some(Err(format!("{} is larger than {most} MiB", Source::Result)));
    }
    let flaw = flaw(captured);
    let text = String::from_utf8_lossy(&captured.head);
    let parsed = output::json(&text, flaw, Source::Result);
    let Some(redactor) = redactor else {
        return Some(parsed);
    };
    // An error quotes the text, and might quote a part of a secret.
    let parsed = parsed.or_else(|_| output::json(&redactor.text(text.into_owned()), flaw, Source::Result));
    Some(parsed.map(|value| redactor.value(value)))
}

/// Replaces secrets, also where the middle of the stream was left out.
pub(super) fn redact(captured: Captured, redactor: &Redactor) -> Captured {
    let Captured {
        mut head,
        omitted,
        tail,
    } = captured;
    if omitted > 0 {
        return Captured {
            head: redactor.head(&head),
            omitted,
            tail: redactor.tail(&tail),
        };
    }
    head.extend_from_slice(&tail);
    Captured {
        head: redactor.bytes(head),
        omitted,
        tail: Vec::new(),
    }
}

pub(super) fn text(captured: Captured) -> String {
    let Captured {
        mut head,
        mut omitted,
        tail,
    } = captured;
    let (mut head, mut tail) = if omitted == 0 {
        head.extend_from_slice(&tail);
        let mut whole = clean(head);
        if whole.len() <= CAPTURE_BYTES {
            return whole;
        }
        // Replacement characters are longer than the bytes they replace.
        let tail = whole.split_off(boundary_before(&whole, whole.len() / 2));
        (whole, tail)
    } else {
        (clean(head), clean(tail))
    };
    let head_end = boundary_before(&head, HALF);
    omitted += (head.len() - head_end) as u64;
    head.truncate(head_end);
    let tail_start = boundary_after(&tail, tail.len().saturating_sub(HALF));
    omitted += tail_start as u64;
    tail.drain(..tail_start);
    format!("{head}\n[{omitted} bytes left out]\n{tail}")
}

/// Converts both streams to text while they arrive. Each result is always a prefix of what [`text`] returns for the whole
/// stream.
#[derive(Default)]
pub(super) struct Decoders([Decoder; 2]);

#[derive(Default)]
struct Decoder {
    redaction: Option<Stream>,
    /// The first bytes of a character whose rest has not arrived yet.
    partial: Vec<u8>,
    length: usize,
    full: bool,
}

impl Decoders {
    pub fn new(redactor: Option<&Arc<Redactor>>) -> Self {
        let decoder = || Decoder {
            redaction: redactor.map(|redactor| Stream::new(Arc::clone(redactor))),
            ..Decoder::default()
        };
        Self([decoder(), decoder()])
    }

    pub fn pass_on(&mut self, pieces: Vec<Piece>, sink: Option<&OutputSink>) {
        let Some(sink) = sink else { return };
        let [stdout, stderr] = &mut self.0;
        for Piece { channel, bytes } in pieces {
            let decoder = match channel {
                Channel::Stdout => &mut *stdout,
                Channel::Stderr => &mut *stderr,
            };
            let text = decoder.push(&bytes);
            if !text.is_empty() {
                sink(channel, &text);
            }
        }
    }
}

impl Decoder {
    fn push(&mut self, bytes: &[u8]) -> String {
        if self.full {
            return String::new();
        }
        match &mut self.redaction {
            Some(redaction) => self.partial.extend(redaction.push(bytes)),
            None => self.partial.extend_from_slice(bytes),
        }
        let whole = self.partial.len() - unfinished(&self.partial);
        let rest = self.partial.split_off(whole);
        let mut text = clean(std::mem::replace(&mut self.partial, rest));
        let room = HALF - self.length;
        if text.len() > room {
            text.truncate(boundary_before(&text, room));
            self.full = true;
        }
        self.length += text.len();
        text
    }
}

/// How many of the last bytes start a character that may still be completed.
fn unfinished(bytes: &[u8]) -> usize {
    (1..=3.min(bytes.len()))
        .find(|length| {
            let last = bytes.get(bytes.len() - length..).unwrap_or_default();
            let begins = last.first().is_some_and(|first| *first >= 0xc0);
            begins && std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none())
        })
        .unwrap_or(0)
}

fn clean(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn boundary_before(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

fn boundary_after(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn captured(head: &[u8], omitted: u64, tail: &[u8]) -> Captured {
        Captured {
            head: head.to_vec(),
            omitted,
            tail: tail.to_vec(),
        }
    }

    #[test]
    fn valid_text_is_unchanged() {
        assert_eq!(text(captured("grüße\n".as_bytes(), 0, b"")), "grüße\n");
        // A character that spans the two halves is joined again.
        assert_eq!(text(captured(b"a\xc3", 0, b"\xa4b")), "aäb");
    }

    #[test]
    fn invalid_bytes_are_replaced() {
        assert_eq!(text(captured(b"a\xffb\0c", 0, b"")), "a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn a_loss_is_reported() {
        assert_eq!(flaw(&captured("grüße".as_bytes(), 0, b"")), None);
        assert_eq!(flaw(&captured(b"a\xc3", 0, b"\xa4b")), None);
        assert_eq!(flaw(&captured(b"ab\xff\0", 0, b"")), Some(Flaw::NotUtf8 { at: 2 }));
        assert_eq!(flaw(&captured(b"a", 0, b"\0\xff")), Some(Flaw::Nul { at: 1 }));
        assert_eq!(flaw(&captured(b"\0", 9, b"")), Some(Flaw::LeftOut(9)));
    }

    #[test]
    fn a_result_is_redacted_once_it_is_parsed() {
        let (long, number) = (json!("correct horse battery staple, and 12 more"), json!(1_234_567));
        let secrets = [("a.long", &long), ("a.number", &number)];
        let redactor = Redactor::new(secrets.into_iter()).unwrap().unwrap();
        let result = |written: &[u8]| result(&captured(written, 0, b""), Some(&redactor)).unwrap();
        let text = long.as_str().unwrap();
        let written = json!({"n": 1_234_567, text: format!("<{text}>"), "other": 7});
        assert_eq!(
            result(written.to_string().as_bytes()),
            Ok(json!({"n": "[secret a.number]", "[secret a.long]": "<[secret a.long]>", "other": 7}))
        );
        // The error quotes what is around the place, which is a part of the value.
        let error = result(format!("{{\"token\": {text}").as_bytes()).unwrap_err();
        assert!(!error.contains("correct") && !error.contains("horse"), "{error}");
    }

    #[test]
    fn omitted_bytes_are_counted_and_the_limit_holds() {
        let half = CAPTURE_BYTES / 2;
        let head = ["ä".repeat(half / 2 - 1).as_bytes(), b"x\xc3"].concat();
        let tail = [b"\xa4x".as_slice(), "ö".repeat(half / 2 - 1).as_bytes()].concat();
        let shown = text(captured(&head, 1000, &tail));
        assert!(shown.len() <= CAPTURE_BYTES);
        assert!(!shown.contains('\u{fffd}'));
        let (head, rest) = shown.split_once("\n[").unwrap();
        let (count, tail) = rest.split_once(" bytes left out]\n").unwrap();
        assert!(head.ends_with('ä') && tail.starts_with('ö'));
        let left_out: usize = count.parse().unwrap();
        assert!((1000..1100).contains(&left_out), "{left_out}");
    }

    #[test]
    fn live_text_is_a_prefix_of_the_whole_however_it_is_split() {
        let mixed = [
            "grüße €\n😀".as_bytes(),
            b"a\xff\xfeb\0\xe2\x82",
            b"\xf0\x9f\x98",
            "ü".as_bytes(),
            b"\xed\xa0\x80\xc3",
        ]
        .concat();
        let long = ["ä€\0".repeat(CAPTURE_BYTES / 8).as_bytes(), b"\xff\xf0\x9f"].concat();
        for bytes in [&mixed, &long] {
            let kept = bytes.len().min(CAPTURE_BYTES / 2);
            let whole = text(captured(&bytes[..kept], 0, &bytes[kept..]));
            for size in [1, 2, 3, 5, 4096] {
                let mut decoder = Decoder::default();
                let live: String = bytes[..kept].chunks(size).map(|piece| decoder.push(piece)).collect();
                assert!(whole.starts_with(&live), "in pieces of {size}");
                assert!(
                    live.len() + 8 > whole.len().min(HALF),
                    "in pieces of {size}: {}",
                    live.len()
                );
            }
        }
    }

    #[test]
    fn a_megabyte_of_nul_stays_within_the_limit() {
        let half = vec![0; CAPTURE_BYTES / 2];
        for omitted in [0, 7] {
            let shown = text(captured(&half, omitted, &half));
            assert!(shown.len() <= CAPTURE_BYTES && shown.contains(" bytes left out]"));
        }
    }
}
