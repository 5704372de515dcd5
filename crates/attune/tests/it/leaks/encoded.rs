//! A value in the encodings that programs use.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

pub struct Encoded(Vec<(String, Vec<u8>)>);

impl Encoded {
    pub fn of(value: &str) -> Self {
        let json = json!(value).to_string();
        let json = json[1..json.len() - 1].to_owned();
        let ascii = json.replace('é', "\\u00e9");
        let percent: String = value
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        let hex = value
            .bytes()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        let base64 = |shift: usize| {
            let text = STANDARD.encode([vec![b'x'; shift].as_slice(), value.as_bytes()].concat());
            // Without the characters that depend on what is around the value.
            text[4..text.len() - 4].to_owned()
        };
        let all = [
            ("plain", value.to_owned()),
            ("JSON", json),
            ("JSON in ASCII", ascii),
            ("URL", percent),
            ("hex", hex),
            ("base64", base64(0)),
            ("base64, shifted by one", base64(1)),
            ("base64, shifted by two", base64(2)),
        ];
        Self(
            all.into_iter()
                .map(|(name, text)| (name.to_owned(), text.into_bytes()))
                .collect(),
        )
    }

    #[track_caller]
    pub fn check(&self, what: &str, bytes: &[u8]) {
        for (name, form) in &self.0 {
            let found = bytes.windows(form.len()).position(|window| window == form.as_slice());
            if let Some(at) = found {
                let around = String::from_utf8_lossy(&bytes[at.saturating_sub(80)..(at + 60).min(bytes.len())]);
                panic!("{what} contains the canary ({name}): {around}");
            }
        }
    }
}
