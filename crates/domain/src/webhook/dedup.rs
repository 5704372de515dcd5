//! Is a request a repeat? The key that says so, from what the profile or the configuration names.

use super::{
    Headers, Verified, WebhookConfig,
    config::{DedupSource, Profile},
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The key of a verified request; nothing when every request counts. `body` is what [`super::payload`] calls `body`.
pub fn dedup_key(config: &WebhookConfig, headers: &Headers<'_>, body: &Value, verified: &Verified) -> Option<[u8; 32]> {
    let configured = match &config.dedup {
        DedupSource::Nothing => return None,
        DedupSource::Profile => None,
        DedupSource::Header(name) => headers.first(name).map(str::to_owned),
        DedupSource::Pointer(pointer) => scalar(body, pointer),
    };
    let text = configured.or_else(|| of_profile(&config.profile, headers, body));
    match (text, &verified.replay) {
        (Some(text), _) => Some(hash(b"key", text.as_bytes())),
        // The same bytes signed for the same second are the same request, whoever sends them.
        (None, Some(signed)) => Some(hash(b"replay", signed)),
        (None, None) => None,
    }
}

fn of_profile(profile: &Profile, headers: &Headers<'_>, body: &Value) -> Option<String> {
    match profile {
        Profile::StandardWebhooks => headers.first("webhook-id").map(str::to_owned),
        Profile::Github => headers.first("x-github-delivery").map(str::to_owned),
        Profile::Gitlab => headers.first("idempotency-key").map(str::to_owned),
        Profile::Stripe => scalar(body, "/id"),
        Profile::Slack => scalar(body, "/event_id"),
        Profile::Generic(_) | Profile::None => None,
    }
    .filter(|key| !key.is_empty())
}

fn scalar(body: &Value, pointer: &str) -> Option<String> {
    match body.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn hash(kind: &[u8], text: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(b"webhook\0")
        .chain_update(kind)
        .chain_update(b"\0")
        .chain_update(text)
        .finalize()
        .into()
}
