//! Webhooks: whether a request is genuine, whether it is a repeat, and the payload of its event.
//!
//! ```text
//! WebhookConfig::parse(trigger.config) → verify(&config, &headers, raw body, now) → challenge(…) or dedup_key(…), payload(…)
//! ```
//!
//! Pure: bytes in, a decision out. It is independent of HTTP, the storage of secrets and the database. The caller verifies
//! the raw bytes of a request first and parses them only afterwards.

mod challenge;
mod config;
mod dedup;
mod headers;
mod mask;
mod payload;
mod refusal;
mod secret;
mod signature;
mod url_verification;
mod verify;

pub use challenge::{Handshake, QueryChallenge};
pub use config::{BODY_BYTES_MAX, DedupSource, METHODS, Profile, WAIT_SECONDS_MAX, WebhookConfig};
pub use dedup::dedup_key;
pub use headers::Headers;
pub use mask::{
    MASK, SECRET_FIELDS, check_new_secrets, check_secret, drop_expired, is_concealed, keep_masked, masked,
    previous_counts, rotate, serialize_masked, shown_headers,
};
pub use payload::{BodyForm, charset, payload, query};
pub use refusal::{Refusal, TOLERANCE_SECONDS};
pub use secret::Secret;
pub use signature::{Algorithm, Encoding, Generic};
pub use url_verification::challenge;
pub use verify::{Verified, verify};

#[cfg(test)]
mod tests;
