//! Detects repeated requests: computes the key of a delivery from the header or field that the profile or the configuration
//! names.
//!
//! An identity is a string or a number. Strings are compared byte by byte, without changes of case, blanks or Unicode
//! normal form. Numbers are compared by value, and a number never equals a string: `1` and `1.0` are one identity, `"1"` is
//! another. Empty values identify nothing: null, a blank string, an empty list or object. Everything else is refused,
//! because a misread identity would lose an event.

use super::{
    Headers, Verified, WebhookConfig,
    config::{DedupSource, Profile},
};
use crate::{FieldErrors, json::kind};
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

/// The key of a verified request, or `None` if requests are not deduplicated. `body` is the `body` of [`super::payload`].
pub fn dedup_key(
    config: &WebhookConfig,
    headers: &Headers<'_>,
    body: &Value,
    verified: &Verified,
) -> Result<Option<[u8; 32]>, FieldErrors> {
    let configured = match &config.dedup {
        DedupSource::Nothing => return Ok(None),
        DedupSource::Profile => None,
        DedupSource::Header(name) => of_header(headers, name)?,
        DedupSource::Pointer(pointer) => of_pointer(body, pointer)?,
    };
    let key = match configured {
        Some(key) => Some(key),
        None => of_profile(&config.profile, headers, body)?,
    };
    // The same bytes signed for the same second are the same request, regardless of the sender.
    Ok(key.or_else(|| verified.replay.as_ref().map(|signed| hash(b"replay", signed))))
}

fn of_profile(profile: &Profile, headers: &Headers<'_>, body: &Value) -> Result<Option<[u8; 32]>, FieldErrors> {
    match profile {
        Profile::StandardWebhooks => of_header(headers, "webhook-id"),
        Profile::Github => of_header(headers, "x-github-delivery"),
        Profile::Gitlab => of_header(headers, "idempotency-key"),
        Profile::Stripe => of_pointer(body, "/id"),
        Profile::Slack => of_pointer(body, "/event_id"),
        Profile::Generic(_) | Profile::None => Ok(None),
    }
}

/// A header that is repeated with the same value counts once.
fn of_header(headers: &Headers<'_>, name: &str) -> Result<Option<[u8; 32]>, FieldErrors> {
    let mut values: Vec<&[u8]> = headers.raw(name).map(<[u8]>::trim_ascii).collect();
    values.retain(|value| !value.is_empty());
    values.dedup();
    match values.as_slice() {
        [] => Ok(None),
        [value] => Ok(Some(hash(b"key", value))),
        _ => {
            let message = "identifies the delivery and is given twice with different values: send it once";
            Err(FieldErrors::one(name, message))
        }
    }
}

fn of_pointer(body: &Value, pointer: &str) -> Result<Option<[u8; 32]>, FieldErrors> {
    let unusable = |value: &Value| {
        let message = format!(
            "identifies the delivery and must be a string or a number, not {}",
            kind(value)
        );
        Err(FieldErrors::one(pointer, message))
    };
    match body.pointer(pointer) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(hash(b"key", text.as_bytes()))),
        Some(Value::Number(number)) => Ok(Some(hash(b"number", by_value(number).as_bytes()))),
        Some(Value::Array(items)) if items.is_empty() => Ok(None),
        Some(Value::Object(entries)) if entries.is_empty() => Ok(None),
        Some(other) => unusable(other),
    }
}

/// One spelling of each number: a double without a fraction is written as a whole number, and zero has no sign.
fn by_value(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(double) => format!("{}", double + 0.0),
        None => number.to_string(),
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
