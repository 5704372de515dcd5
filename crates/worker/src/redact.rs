//! Replaces secrets in output: their text and its usual encodings, wherever a stream was cut.
//!
//! An action that transforms a secret in another way can still print it.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, MatchKind};
use attune_domain::secret::{VALUE_BYTES_MIN, text_of};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt::Write as _, ops::Range, sync::Arc};
use zeroize::{Zeroize as _, Zeroizing};

/// A shorter line of a value is not redacted on its own.
const LINE_BYTES_MIN: usize = 8;
/// A shorter beginning or end of a secret, where output was left out, is not redacted.
const FRAGMENT_BYTES_MIN: usize = 4;

/// RFC 3986: what encoders leave as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Python's `quote` also keeps the slash.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

pub struct Redactor {
    automaton: AhoCorasick,
    forms: Vec<Form>,
    longest: usize,
}

struct Form {
    bytes: Zeroizing<Vec<u8>>,
    label: Arc<str>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("forms", &self.forms.len())
            .finish_non_exhaustive()
    }
}

impl Redactor {
    /// For these values and their names. None if none of them is long enough.
    pub fn new<'v>(secrets: impl Iterator<Item = (&'v str, &'v Value)>) -> Result<Option<Self>, BuildError> {
        let mut all = BTreeMap::<Vec<u8>, Arc<str>>::new();
        let mut add = |text: &str, label: &Arc<str>| {
            if text.len() < VALUE_BYTES_MIN {
                return;
            }
            for form in forms(text).into_iter().filter(|form| form.len() >= VALUE_BYTES_MIN) {
                all.entry(form).or_insert_with(|| Arc::clone(label));
            }
        };
        let secrets: Vec<(Arc<str>, &Value)> = secrets
            .map(|(name, value)| (format!("[secret {name}]").into(), value))
            .collect();
        // The whole values first: a text that is also a part of another value has its own name.
        for (label, value) in &secrets {
            add(&text_of(value), label);
        }
        for (label, value) in &secrets {
            for mut text in texts(value) {
                add(&text, label);
                text.zeroize();
            }
        }
        if all.is_empty() {
            return Ok(None);
        }
        // Every occurrence counts, also one that overlaps another.
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(all.keys())?;
        let forms = all.into_iter().map(|(bytes, label)| Form {
            bytes: Zeroizing::new(bytes),
            label,
        });
        let forms: Vec<Form> = forms.collect();
        Ok(Some(Self {
            automaton,
            longest: forms.iter().map(|form| form.bytes.len()).max().unwrap_or(0),
            forms,
        }))
    }

    /// All bytes that belong to secrets, in order and without overlaps.
    fn find(&self, bytes: &[u8]) -> Found<'_> {
        let mut found = Vec::new();
        for hit in self.automaton.find_overlapping_iter(bytes) {
            if let Some(form) = self.forms.get(hit.pattern().as_usize()) {
                cover(&mut found, hit.range(), &form.label);
            }
        }
        found
    }

    pub fn bytes(&self, bytes: Vec<u8>) -> Vec<u8> {
        let found = self.find(&bytes);
        if found.is_empty() {
            return bytes;
        }
        replaced(&bytes, &found)
    }

    pub fn text(&self, text: String) -> String {
        // Forms are UTF-8, and so are labels: replacing one by the other keeps the text valid.
        String::from_utf8(self.bytes(text.into_bytes()))
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Every text in a value, and the names in it. Numbers are compared by their text.
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => Value::Array(items.into_iter().map(|item| self.value(item)).collect()),
            Value::Object(entries) => {
                let mut redacted = Map::with_capacity(entries.len());
                for (key, item) in entries {
                    redacted.insert(self.text(key), self.value(item));
                }
                Value::Object(redacted)
            }
            Value::Number(number) => {
                let text = number.to_string();
                let redacted = self.text(text.clone());
                if redacted == text {
                    Value::Number(number)
                } else {
                    Value::String(redacted)
                }
            }
            other => other,
        }
    }

    /// The first bytes of a stream, whose rest was left out: also redacts a secret that begins at their end.
    pub fn head(&self, bytes: &[u8]) -> Vec<u8> {
        let mut found = self.find(bytes);
        let fragment = self.fragment(bytes, |form, length| {
            form.get(..length).is_some_and(|part| bytes.ends_with(part))
        });
        if let Some((length, label)) = fragment {
            cover(&mut found, bytes.len() - length..bytes.len(), label);
        }
        replaced(bytes, &found)
    }

    /// The last bytes of a stream, whose middle was left out: also redacts a secret that ends at their beginning.
    pub fn tail(&self, bytes: &[u8]) -> Vec<u8> {
        let fragment = self.fragment(bytes, |form, length| {
            let part = form.get(form.len() - length..);
            part.is_some_and(|part| bytes.starts_with(part))
        });
        let mut found = Vec::new();
        if let Some((length, label)) = fragment {
            cover(&mut found, 0..length, label);
        }
        for (range, label) in self.find(bytes) {
            cover(&mut found, range, label);
        }
        replaced(bytes, &found)
    }

    /// The length of the longest part of a form that is at an end of the bytes.
    fn fragment(&self, bytes: &[u8], is_there: impl Fn(&[u8], usize) -> bool) -> Option<(usize, &str)> {
        let longest = self.forms.iter().filter_map(|form| {
            let longest = form.bytes.len().saturating_sub(1).min(bytes.len());
            let length = (FRAGMENT_BYTES_MIN..=longest)
                .rev()
                .find(|length| is_there(&form.bytes, *length))?;
            Some((length, &*form.label))
        });
        longest.max_by_key(|(length, _)| *length)
    }
}

/// Ranges of bytes with their labels, in order and without overlaps.
type Found<'r> = Vec<(Range<usize>, &'r str)>;

/// Adds a range that ends after the others. Overlapping ranges become one, with the label of the longer.
fn cover<'r>(found: &mut Found<'r>, mut range: Range<usize>, mut label: &'r str) {
    while let Some((last, last_label)) = found.last().filter(|(last, _)| last.end > range.start) {
        if last.len() >= range.len() {
            label = last_label;
        }
        range = last.start.min(range.start)..last.end.max(range.end);
        found.pop();
    }
    found.push((range, label));
}

fn replaced(bytes: &[u8], found: &Found<'_>) -> Vec<u8> {
    let mut redacted = Vec::with_capacity(bytes.len());
    replace(bytes, 0..bytes.len(), found, &mut redacted);
    redacted
}

/// A part of the bytes, with the ranges in it replaced by their labels.
fn replace(bytes: &[u8], part: Range<usize>, found: &Found<'_>, into: &mut Vec<u8>) {
    let mut at = part.start;
    for (range, label) in found.iter().filter(|(range, _)| range.end <= part.end) {
        into.extend_from_slice(bytes.get(at..range.start).unwrap_or_default());
        into.extend_from_slice(label.as_bytes());
        at = range.end;
    }
    into.extend_from_slice(bytes.get(at..part.end).unwrap_or_default());
}

/// Redacts a stream while it arrives. What may be the beginning of a secret is held back.
pub struct Stream {
    redactor: Arc<Redactor>,
    held: Vec<u8>,
}

impl Stream {
    pub fn new(redactor: Arc<Redactor>) -> Self {
        Self {
            redactor,
            held: Vec::new(),
        }
    }

    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let found = self.redactor.find(&self.held);
        // A secret that begins before this place ends before the end of what has arrived.
        let mut safe = self.held.len().saturating_sub(self.redactor.longest.saturating_sub(1));
        for (range, _) in &found {
            // Later bytes may extend it.
            if range.start < safe && safe < range.end {
                safe = range.start;
            }
        }
        let mut redacted = Vec::with_capacity(safe);
        replace(&self.held, 0..safe, &found, &mut redacted);
        let rest = self.held.split_off(safe);
        std::mem::replace(&mut self.held, rest).zeroize();
        redacted
    }
}

/// The texts of a value that must not be printed.
fn texts(value: &Value) -> Vec<String> {
    let mut texts = vec![text_of(value).into_owned()];
    match value {
        Value::String(text) => {
            texts.push(text.trim().to_owned());
            let lines = text.lines().map(str::trim).filter(|line| line.len() >= LINE_BYTES_MIN);
            texts.extend(lines.map(str::to_owned));
            if let Some((user, password)) = text.split_once(':')
                && !text.contains('\n')
            {
                texts.extend([user.to_owned(), password.to_owned()]);
            }
        }
        Value::Object(entries) => entries.values().for_each(|item| texts.extend(self::texts(item))),
        Value::Array(items) => items.iter().for_each(|item| texts.extend(self::texts(item))),
        _ => {}
    }
    texts.retain(|text| text.len() >= VALUE_BYTES_MIN);
    texts
}

/// A text as programs write it.
fn forms(text: &str) -> Vec<Vec<u8>> {
    let escaped = Value::from(text).to_string();
    let escaped = escaped.get(1..escaped.len() - 1).unwrap_or_default().to_owned();
    let quoted = utf8_percent_encode(text, UNRESERVED).to_string();
    let mut forms = vec![
        ascii(&escaped),
        escaped.replace('/', "\\/"),
        utf8_percent_encode(text, PATH).to_string(),
        quoted.replace("%20", "+"),
        lower_percent(&quoted),
        quoted,
        hex(text, "0123456789abcdef"),
        hex(text, "0123456789ABCDEF"),
        escaped,
    ];
    for shift in 0..3 {
        let encoded = base64_at(text.as_bytes(), shift);
        forms.push(encoded.replace('+', "-").replace('/', "_"));
        forms.push(encoded);
    }
    forms.push(text.to_owned());
    forms.into_iter().map(String::into_bytes).collect()
}

/// JSON in ASCII, as Python writes it.
fn ascii(escaped: &str) -> String {
    let mut out = String::new();
    for c in escaped.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

fn lower_percent(quoted: &str) -> String {
    let mut out = String::new();
    let mut digits = 0;
    for c in quoted.chars() {
        out.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2 } else { usize::saturating_sub(digits, 1) };
    }
    out
}

fn hex(text: &str, digits: &str) -> String {
    let digit = |nibble: u8| digits.chars().nth(nibble.into()).unwrap_or('0');
    text.bytes()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// The characters of base64 that depend on these bytes only, `shift` bytes after the start of a group.
fn base64_at(bytes: &[u8], shift: usize) -> String {
    let shifted = Zeroizing::new([vec![0; shift].as_slice(), bytes].concat());
    let encoded = STANDARD.encode(&*shifted);
    let first = (shift * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    encoded.get(first..end).unwrap_or_default().to_owned()
}

/// Overwrites the text in a value.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(entries) => entries.values_mut().for_each(wipe),
        _ => *value = Value::Null,
    }
}

#[cfg(test)]
mod tests;
