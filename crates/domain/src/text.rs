//! Decodes text input to UTF-8, or explains why that fails. No character is ever replaced or dropped.

use crate::FieldErrors;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use percent_encoding::percent_decode;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The maximum of fields in a form or a query.
pub const FIELDS_MAX: usize = 1_000;

/// How a text is encoded. A leading byte order mark overrides the declared charset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    Utf8,
    /// Also for ISO 8859-1, as in browsers.
    Windows1252,
    /// Only with a byte order mark.
    Utf16,
    Utf16Le,
    Utf16Be,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    #[error("is in the charset {0}: send UTF-8, ISO-8859-1, Windows-1252, or UTF-16 with a byte order mark")]
    Unknown(String),
    #[error("is not {0}")]
    Malformed(String),
}

impl Charset {
    /// The charset with this name, ignoring case. UTF-8 without a name.
    pub fn named(name: Option<&str>) -> Result<Self, Undecodable> {
        let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) else {
            return Ok(Self::Utf8);
        };
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" | "ascii" => Ok(Self::Utf8),
            "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "iso88591" | "latin1" | "latin-1" | "l1" | "windows-1252"
            | "cp1252" | "x-cp1252" => Ok(Self::Windows1252),
            "utf-16" | "utf16" => Ok(Self::Utf16),
            "utf-16le" => Ok(Self::Utf16Le),
            "utf-16be" => Ok(Self::Utf16Be),
            _ => Err(Undecodable::Unknown(name.chars().take(64).collect())),
        }
    }

    pub fn decode(self, bytes: &[u8]) -> Result<Cow<'_, str>, Undecodable> {
        match Encoding::for_bom(bytes) {
            Some((encoding, mark)) => decode(encoding, &bytes[mark..]),
            None => self.decode_unmarked(bytes),
        }
    }

    fn decode_unmarked(self, bytes: &[u8]) -> Result<Cow<'_, str>, Undecodable> {
        match self {
            Self::Utf8 => decode(UTF_8, bytes),
            Self::Windows1252 => decode(WINDOWS_1252, bytes),
            Self::Utf16Le => decode(UTF_16LE, bytes),
            Self::Utf16Be => decode(UTF_16BE, bytes),
            Self::Utf16 if bytes.is_empty() => Ok(Cow::Borrowed("")),
            Self::Utf16 => Err(Undecodable::Unknown("UTF-16 without a byte order mark".to_owned())),
        }
    }
}

fn decode<'b>(encoding: &'static Encoding, bytes: &'b [u8]) -> Result<Cow<'b, str>, Undecodable> {
    if encoding == UTF_8 {
        return std::str::from_utf8(bytes)
            .map(Cow::Borrowed)
            .map_err(|error| Undecodable::Malformed(format!("UTF-8 after its first {} bytes", error.valid_up_to())));
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    text.ok_or_else(|| Undecodable::Malformed(encoding.name().to_owned()))
}

/// Why a form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadForm {
    #[error(transparent)]
    Charset(#[from] Undecodable),
    #[error(transparent)]
    Fields(#[from] FieldErrors),
}

/// The fields of a form or of a query, in order. A `+` is a blank, other characters may be escaped as `%C3%A4`, in the
/// charset of the form.
pub fn pairs(form: &[u8], charset: Charset) -> Result<Vec<(String, String)>, BadForm> {
    let (form, charset) = match (Encoding::for_bom(form), charset) {
        // Escapes in UTF-16 forms are UTF-8.
        (None, charset @ (Charset::Utf8 | Charset::Windows1252)) => (Cow::Borrowed(form), charset),
        (Some((encoding, mark)), _) if encoding == UTF_8 => (Cow::Borrowed(&form[mark..]), Charset::Utf8),
        _ => (
            Cow::Owned(charset.decode(form)?.into_owned().into_bytes()),
            Charset::Utf8,
        ),
    };
    let fields = || form.split(|byte| *byte == b'&').filter(|field| !field.is_empty());
    let count = fields().count();
    if count > FIELDS_MAX {
        let message = format!("has {count} fields: at most {FIELDS_MAX} are allowed");
        return Err(FieldErrors::one("", message).into());
    }
    let (mut pairs, mut errors) = (Vec::new(), FieldErrors::new());
    for field in fields() {
        let mut parts = field.splitn(2, |byte| *byte == b'=');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        match (unescaped(name, charset), unescaped(value, charset)) {
            (Ok(name), Ok(value)) => pairs.push((name, value)),
            (Ok(name), Err(error)) => errors.add(name.chars().take(64).collect::<String>(), error.to_string()),
            (Err(error), _) => {
                let name = String::from_utf8_lossy(name);
                errors.add(
                    name.chars().take(64).collect::<String>(),
                    format!("has a name that {error}"),
                );
            }
        }
    }
    errors.into_result()?;
    Ok(pairs)
}

fn unescaped(text: &[u8], charset: Charset) -> Result<String, Undecodable> {
    let plus_is_blank: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let bytes: Cow<'_, [u8]> = percent_decode(&plus_is_blank).into();
    charset.decode_unmarked(&bytes).map(Cow::into_owned)
}

/// The fields of a form by their names; a repeated field is a list.
pub fn fields(pairs: Vec<(String, String)>) -> Value {
    let mut fields = Map::new();
    for (name, value) in pairs {
        let value = Value::String(value);
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn text_is_decoded_or_refused() {
        let (le, be) = (u16::to_le_bytes, u16::to_be_bytes);
        let good: [(Option<&str>, Vec<u8>, &str); 16] = [
            (None, b"caf\xc3\xa9".to_vec(), "café"),
            (None, b"\xef\xbb\xbfcaf\xc3\xa9".to_vec(), "café"),
            (Some("UTF-8"), "\u{feff}\u{feff}x".into(), "\u{feff}x"),
            (Some("us-ascii"), b"x".to_vec(), "x"),
            (Some("ISO-8859-1"), b"caf\xe9".to_vec(), "café"),
            (Some("latin1"), b"\x80 5".to_vec(), "€ 5"),
            (
                Some("Windows-1252"),
                b"\x93caf\xe9\x94".to_vec(),
                "\u{201c}café\u{201d}",
            ),
            (Some("windows-1252"), b"\xef\xbb\xbfcaf\xc3\xa9".to_vec(), "café"),
            (None, utf_16("\u{feff}café", le), "café"),
            (None, utf_16("\u{feff}café", be), "café"),
            (Some("utf-16"), utf_16("\u{feff}😀", le), "😀"),
            (Some("UTF-16"), utf_16("\u{feff}😀", be), "😀"),
            (Some("utf-16le"), utf_16("café", le), "café"),
            (Some("utf-16be"), utf_16("café", be), "café"),
            (Some("utf-16"), Vec::new(), ""),
            (Some(""), b"x".to_vec(), "x"),
        ];
        for (name, bytes, text) in good {
            let found = Charset::named(name).and_then(|charset| charset.decode(&bytes).map(Cow::into_owned));
            assert_eq!(found.as_deref(), Ok(text), "{name:?} {bytes:?}");
        }
        for (name, bytes, why) in [
            (None, b"caf\xe9".to_vec(), "is not UTF-8 after its first 3 bytes"),
            (
                Some("us-ascii"),
                b"\xe9".to_vec(),
                "is not UTF-8 after its first 0 bytes",
            ),
            (None, b"\xff\xfex".to_vec(), "is not UTF-16LE"),
            (
                None,
                utf_16("\u{feff}", be).into_iter().chain([0xd8, 0]).collect(),
                "is not UTF-16BE",
            ),
            (Some("shift_jis"), b"x".to_vec(), "is in the charset shift_jis"),
            (Some("iso-8859-15"), b"x".to_vec(), "is in the charset iso-8859-15"),
            (Some("utf-7"), b"x".to_vec(), "is in the charset utf-7"),
            (Some("utf-16"), utf_16("x", le), "UTF-16 without a byte order mark"),
        ] {
            let found = Charset::named(name).and_then(|charset| charset.decode(&bytes).map(Cow::into_owned));
            let error = found.expect_err("it cannot be read").to_string();
            assert!(error.contains(why), "{name:?} {bytes:?}: {error}");
        }
    }

    #[test]
    fn forms_are_read_or_refused() {
        let read = |form: &[u8], charset: &str| {
            let charset = Charset::named(Some(charset)).expect("a known charset");
            pairs(form, charset).map(fields).map_err(|error| error.to_string())
        };
        let good: [(&[u8], &str, Value); 15] = [
            (b"", "", json!({})),
            (
                b"a=1&b=%C3%A4+b&a=2&c",
                "",
                json!({"a": ["1", "2"], "b": "ä b", "c": ""}),
            ),
            (b"&&a=1&&", "", json!({"a": "1"})),
            (b"a=b=c&=x", "", json!({"a": "b=c", "": "x"})),
            (b"a=100%&b=%zz&c=%4", "", json!({"a": "100%", "b": "%zz", "c": "%4"})),
            (b"\xef\xbb\xbfa=1", "", json!({"a": "1"})),
            (b"\xef\xbb\xbfa=%C3%A9", "latin1", json!({"a": "é"})),
            (b"a=caf\xc3\xa9", "", json!({"a": "café"})),
            (b"a=caf%E9&%E9=%80", "iso-8859-1", json!({"a": "café", "é": "€"})),
            (b"a=caf\xe9", "windows-1252", json!({"a": "café"})),
            (b"\xff\xfea\0=\0%\0C\x003\0%\0A\x004\0", "utf-16", json!({"a": "ä"})),
            (
                b"id=12345678901234567890123&x=1e400",
                "",
                json!({"id": "12345678901234567890123", "x": "1e400"}),
            ),
            (b"a%3D=%26", "", json!({"a=": "&"})),
            (b"a=1%2B1", "", json!({"a": "1+1"})),
            (b"a=%EF%BB%BFx", "", json!({"a": "\u{feff}x"})),
        ];
        for (form, charset, value) in good {
            assert_eq!(read(form, charset), Ok(value), "{form:?}");
        }
        for (form, why) in [
            (b"ok=1&a=%FF".as_slice(), "a: is not UTF-8 after its first 0 bytes"),
            (b"a=caf\xe9", "a: is not UTF-8"),
            (b"a=%C3", "a: is not UTF-8"),
            (b"a=%ED%A0%80", "a: is not UTF-8"),
            (b"%FFa=1", "%FFa: has a name that is not UTF-8"),
            (b"\xff\xfea\0=", "is not UTF-16LE"),
        ] {
            let refused = read(form, "").expect_err("it is refused");
            assert!(refused.starts_with(why), "{form:?}: {refused}");
        }
    }

    #[test]
    fn a_form_has_a_thousand_fields() {
        let form = |fields: usize| vec!["a=1"; fields].join("&");
        assert_eq!(
            pairs(form(1000).as_bytes(), Charset::Utf8).map(|pairs| pairs.len()),
            Ok(1000)
        );
        let refused = pairs(form(1001).as_bytes(), Charset::Utf8).expect_err("one too many");
        assert_eq!(refused.to_string(), "has 1001 fields: at most 1000 are allowed");
    }
}
