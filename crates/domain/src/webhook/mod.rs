//! Webhooks: is a request genuine, is it a repeat, and what does its event say?
//!
//! ```text
//! WebhookConfig::parse(trigger.config) → verify(&config, &headers, raw body, now) → challenge(…) or dedup_key(…), payload(…)
//! ```
//!
//! Pure: bytes in, a decision out. It knows nothing of HTTP, of where secrets are kept, or of the database. Whoever
//! receives a request verifies the raw bytes first and reads them only afterwards.

mod challenge;
mod config;
mod dedup;
mod mask;
mod payload;
mod signature;
mod verify;

pub use challenge::{Handshake, QueryChallenge, challenge};
pub use config::{BODY_BYTES_MAX, DedupSource, METHODS, Profile, Secret, WAIT_SECONDS_MAX, WebhookConfig};
pub use dedup::dedup_key;
pub use mask::{
    MASK, SECRET_FIELDS, check_new_secrets, check_secret, drop_expired, is_concealed, keep_masked, masked,
    previous_counts, rotate, serialize_masked, shown_headers,
};
pub use payload::{BodyForm, charset, payload, query};
pub use signature::{Algorithm, Encoding, Generic};
pub use verify::{Refusal, TOLERANCE_SECONDS, Verified, verify};

use serde_json::Value;
use std::borrow::Cow;

/// The headers of a request, as they came.
#[derive(Debug, Clone)]
pub struct Headers<'a>(Vec<(&'a str, &'a [u8])>);

impl<'a> Headers<'a> {
    /// Names are in lower case.
    pub fn new(headers: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self(headers.into_iter().collect())
    }

    /// The values of a header.
    pub fn raw(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let of_name = self.0.iter().filter(move |(known, _)| *known == name);
        of_name.map(|(_, value)| *value)
    }

    /// The values of a header that are text.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.raw(name).filter_map(|value| std::str::from_utf8(value).ok())
    }

    pub fn first(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// A header as JSON: a text, or a list when it is given more than once.
    pub fn shown(&self, name: &str) -> Option<Value> {
        let mut values: Vec<Value> = self.raw(name).map(|value| header_text(value).into()).collect();
        match values.len() {
            0 | 1 => values.pop(),
            _ => Some(Value::Array(values)),
        }
    }

    /// The one value of a header: when it is given twice, nobody knows which one is meant.
    fn only(&self, name: &str) -> Result<&'a str, Refusal> {
        let mut values = self.0.iter().filter(|(known, _)| *known == name);
        let (Some((_, value)), rest) = (values.next(), values.next()) else {
            return Err(Refusal::Missing(name.to_owned()));
        };
        let malformed = |why| Refusal::Malformed(name.to_owned(), why);
        if rest.is_some() {
            return Err(malformed("it is given twice"));
        }
        std::str::from_utf8(value).map_err(|_| malformed("it is not UTF-8"))
    }
}

/// HTTP says nothing about the charset of a header: UTF-8 when it is UTF-8, else ISO 8859-1.
fn header_text(value: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(value).map_or_else(|_| value.iter().map(|byte| char::from(*byte)).collect(), Cow::Borrowed)
}

#[cfg(test)]
mod tests;
