//! The output of an action, as a value and for display: its result or standard output as JSON, or why it does not parse, and the
//! end of standard error.

use crate::json::Refused;
use serde_json::{Value, error::Category};
use std::fmt;

/// How much of the end of a stream is shown if it does not fit.
const END_BYTES: usize = 1024;
const END_LINES: usize = 10;

/// Characters of the line that does not parse, around the place.
const EXCERPT: usize = 30;

/// What was lost when a stream was converted to text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The number of bytes between the beginning and the end that were dropped.
    LeftOut(u64),
    /// This byte, counted from 0, is not UTF-8.
    NotUtf8 { at: usize },
    /// This byte, counted from 0, is NUL.
    Nul { at: usize },
}

/// Where an action wrote a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    StandardOutput,
    /// Descriptor 3.
    Result,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StandardOutput => "standard output",
            Self::Result => "the result on descriptor 3",
        })
    }
}

/// Parses what an action wrote as one JSON value. The error is a sentence. A byte order mark is skipped.
pub fn json(written: &str, flaw: Option<Flaw>, source: Source) -> Result<Value, String> {
    match flaw {
        Some(Flaw::LeftOut(bytes)) => {
            return Err(format!(
                "{source} is too long to be read as JSON: {bytes} bytes of it were left out"
            ));
        }
        Some(Flaw::NotUtf8 { at }) => return Err(format!("{source} is not UTF-8 at byte {at}")),
        Some(Flaw::Nul { at }) => {
            return Err(format!(
                "{source} has a NUL byte at byte {at}, which JSON does not allow"
            ));
        }
        None => {}
    }
    let text = written.strip_prefix('\u{feff}').unwrap_or(written);
    if text.is_empty() {
        return Err(format!("{source} is empty; write one JSON value, `null` for no result"));
    }
    if text.trim().is_empty() {
        return Err(format!(
            "{source} contains only blanks; write one JSON value, `null` for no result"
        ));
    }
    match crate::json::parse(text) {
        Ok(value) => Ok(value),
        Err(Refused::Fields(errors)) => {
            let first = errors.into_vec().into_iter().next();
            let (path, reason) = first.map(|error| (error.path, error.message)).unwrap_or_default();
            let path = if path.is_empty() {
                String::new()
            } else {
                format!(" at {path}")
            };
            Err(format!("{source} is JSON that cannot be stored{path}: {reason}"))
        }
        // Parsed again to find the position.
        Err(Refused::Syntax(reason)) => Err(serde_json::from_str::<Value>(text).map_or_else(
            |error| not_json(text, &error, source),
            |_| format!("{source} is not one JSON value: {reason}"),
        )),
    }
}

fn not_json(text: &str, error: &serde_json::Error, source: Source) -> String {
    let whole = error.to_string();
    let reason = whole
        .rsplit_once(" at line ")
        .map_or(whole.as_str(), |(reason, _)| reason);
    let reason = match (error.classify(), reason) {
        (_, "trailing characters") => "more follows after the first value".to_owned(),
        (Category::Eof, _) => format!("it ends too early ({reason})"),
        (_, "expected value") => "no JSON value begins here".to_owned(),
        (_, reason) => reason.to_owned(),
    };
    let (line, column) = (error.line(), error.column());
    let excerpt = excerpt(text, line, column);
    format!("{source} is not one JSON value: line {line}, column {column}: {reason}; near {excerpt:?}")
}

/// The characters around a position. `serde_json` counts columns in bytes, from 1.
fn excerpt(text: &str, line: usize, column: usize) -> String {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let place = column.saturating_sub(1).min(line.len());
    let place = line.char_indices().take_while(|(index, _)| *index < place).count();
    line.chars()
        .skip(place.saturating_sub(EXCERPT))
        .take(2 * EXCERPT)
        .collect()
}

/// The end of a stream: as many of its last lines as fit. None if there is nothing to show.
pub fn end_of(stream: &str) -> Option<&str> {
    let text = stream.trim_end();
    let from = text.len().saturating_sub(END_BYTES);
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    let end = text.get(from..).unwrap_or_default();
    let mut breaks = end.rmatch_indices('\n').map(|(at, _)| at + 1);
    let end = breaks.nth(END_LINES - 1).and_then(|at| end.get(at..)).unwrap_or(end);
    (!end.trim().is_empty()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_value_is_parsed_between_blanks() {
        for (text, expected) in [
            ("{\"a\": 1}", json!({"a": 1})),
            (" \n[1, 2]\n\n", json!([1, 2])),
            ("\u{feff}\"x\"\n", json!("x")),
            ("null", Value::Null),
            ("-1.5e3", json!(-1500.0)),
            ("{\"a\": \"\u{fffd}\"}", json!({"a": "\u{fffd}"})),
        ] {
            assert_eq!(json(text, None, Source::StandardOutput), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn everything_else_is_rejected_with_reason_and_place() {
        let deep = "[".repeat(70) + &"]".repeat(70);
        let deeper = "[".repeat(200);
        let long = format!("{{\"a\": {}}}", "x".repeat(500));
        for (text, expected) in [
            ("", &["standard output is empty", "write one JSON value"][..]),
            (" \n\t\n", &["only blanks"]),
            ("\u{feff}", &["is empty"]),
            (
                "Hello World",
                &["line 1, column 1", "no JSON value begins here", "near \"Hello World\""],
            ),
            ("done\n{\"a\": 1}", &["line 1, column 1", "near \"done\""]),
            (
                "{\"a\": 1}\n{\"b\": 2}",
                &[
                    "line 2, column 1",
                    "more follows after the first value",
                    "{\\\"b\\\": 2}",
                ],
            ),
            (
                "{\"a\": 1} trailing",
                &["line 1, column 10", "more follows", "trailing"],
            ),
            (
                "{\"a\": 1,\n \"b\": }",
                &["line 2, column 7", "no JSON value begins here"],
            ),
            ("{\"a\": [1, 2", &["ends too early", "line 1, column 11"]),
            ("{\"a\": \"x", &["ends too early"]),
            ("{'a': 1}", &["line 1, column 2", "key must be a string"]),
            ("{\"a\": 1,}", &["line 1, column 9", "trailing comma"]),
            ("{\"a\": \"\u{1}\"}", &["line 1", "control character"]),
            ("{\"a\": True}", &["no JSON value begins here", "True"]),
            ("NaN", &["line 1, column 1"]),
            ("[1e999]", &["cannot be stored at [0]"]),
            ("{\"a\": 18446744073709551616}", &["cannot be stored at a"]),
            ("{\"a\": 1, \"a\": 2}", &["cannot be stored at a", "twice"]),
            ("\"\\ud800\"", &["line 1"]),
            ("\"\\u0000\"", &["cannot be stored"]),
            ("{\"a\": [\"\\u0000\"]}", &["cannot be stored at a[0]"]),
            (&deep, &["cannot be stored"]),
            (&deeper, &["cannot be stored"]),
            (&long, &["line 1, column 7", "near"]),
            ("ü\u{1f600}", &["line 1, column 1"]),
        ] {
            let reason = json(text, None, Source::StandardOutput).unwrap_err();
            assert!(expected.iter().all(|part| reason.contains(part)), "{text:?}: {reason}");
            assert!(reason.len() < 300, "{reason}");
        }
        for (flaw, expected) in [
            (Flaw::LeftOut(17), "17 bytes of it were left out"),
            (Flaw::NotUtf8 { at: 3 }, "not UTF-8 at byte 3"),
            (Flaw::Nul { at: 4 }, "NUL byte at byte 4"),
        ] {
            let reason = json("{}", Some(flaw), Source::Result).unwrap_err();
            assert!(
                reason.contains(expected) && reason.starts_with("the result on descriptor 3"),
                "{reason}"
            );
        }
    }

    #[test]
    fn the_end_of_a_stream_is_its_last_lines_as_far_as_they_fit() {
        let numbered: Vec<_> = (1..=30).map(|number| format!("line {number}\n")).collect();
        let numbered = numbered.concat();
        let end = end_of(&numbered).unwrap();
        assert_eq!((end.lines().count(), end.lines().next()), (10, Some("line 21")));
        assert_eq!(end_of("one\ntwo\n\n"), Some("one\ntwo"));
        assert_eq!(end_of("  one"), Some("  one"));
        for nothing in ["", "\n", " \n \n"] {
            assert_eq!(end_of(nothing), None);
        }
        let wide = "ü".repeat(3000);
        let end = end_of(&wide).unwrap();
        assert!(end.len() <= END_BYTES && end.len() > END_BYTES - 4 && end.chars().all(|c| c == 'ü'));
    }
}
