//! Secrets of a configuration are write-only: a reader only sees that one is set.

use super::Headers;
use crate::FieldErrors;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize as _, Serializer};
use serde_json::{Map, Value};

/// The fields of a configuration that hold secrets.
pub const SECRET_FIELDS: [&str; 2] = ["secret", "secret_previous"];
const SECRET_LENGTH_MIN: usize = 8;
pub(super) const SECRET_PREVIOUS_EXPIRES_AT: &str = "secret_previous_expires_at";
/// The mask of a secret. When it is sent back, the secret remains unchanged.
pub const MASK: &str = "********";

/// Headers that are credentials of the sender.
const CONCEALED: [&str; 5] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "x-gitlab-token",
    "x-api-key",
];

/// A configuration that may be shown.
pub fn masked(config: &Value) -> Value {
    let mut config = config.clone();
    for field in SECRET_FIELDS {
        if let Some(secret) = config.get_mut(field).filter(|secret| !secret.is_null()) {
            *secret = MASK.into();
        }
    }
    config
}

pub fn serialize_masked<S: Serializer>(config: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    masked(config).serialize(serializer)
}

/// Replaces masks by the stored secrets. A mask without a stored secret is removed.
pub fn keep_masked(config: &mut Value, stored: &Value) {
    let Value::Object(fields) = config else {
        return;
    };
    for field in SECRET_FIELDS {
        if fields.get(field).is_some_and(|given| given == MASK) {
            match stored.get(field) {
                Some(secret) => fields.insert(field.to_owned(), secret.clone()),
                None => fields.shift_remove(field),
            };
        }
    }
}

/// Rejects secrets that are easy to guess. Stored secrets remain valid.
pub fn check_new_secrets(config: &Value, stored: &Value) -> Result<(), FieldErrors> {
    let mut errors = FieldErrors::new();
    for field in SECRET_FIELDS {
        let given = config.get(field).and_then(Value::as_str);
        if let Some(Err(message)) = given
            .filter(|_| config.get(field) != stored.get(field))
            .map(check_secret)
        {
            errors.add(field, message);
        }
    }
    errors.into_result()
}

/// Whether a secret is long enough, without the fixed prefix of its provider.
pub fn check_secret(secret: &str) -> Result<(), String> {
    let length = secret.strip_prefix("whsec_").unwrap_or(secret).chars().count();
    if length >= SECRET_LENGTH_MIN {
        return Ok(());
    }
    Err(format!(
        "has {length} characters: must have at least {SECRET_LENGTH_MIN}; 32 random characters are better"
    ))
}

/// Sets a new secret in a configuration. The previous one remains valid until it expires.
pub fn rotate(config: &mut Value, secret: &str, previous_expires_at: DateTime<Utc>) {
    if let Value::Object(fields) = config {
        let before = fields.insert("secret".to_owned(), secret.into());
        fields.insert("secret_previous".to_owned(), before.unwrap_or_default());
        let end = previous_expires_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        fields.insert(SECRET_PREVIOUS_EXPIRES_AT.to_owned(), end.into());
    }
}

/// Whether a previous secret is still valid.
pub fn previous_counts(config: &Value, now: DateTime<Utc>) -> bool {
    config.get("secret_previous").is_some_and(|secret| !secret.is_null()) && !previous_is_over(config, now)
}

/// Removes a previous secret that has expired.
pub fn drop_expired(config: &mut Value, now: DateTime<Utc>) {
    if previous_is_over(config, now)
        && let Value::Object(fields) = config
    {
        fields.shift_remove("secret_previous");
        fields.shift_remove(SECRET_PREVIOUS_EXPIRES_AT);
    }
}

fn previous_is_over(config: &Value, now: DateTime<Utc>) -> bool {
    let end = config.get(SECRET_PREVIOUS_EXPIRES_AT).and_then(Value::as_str);
    let end = end.and_then(|end| end.parse::<DateTime<Utc>>().ok());
    end.is_some_and(|end| end <= now)
}

/// Whether a header may be logged and stored.
pub fn is_concealed(name: &str) -> bool {
    CONCEALED.contains(&name)
}

/// The headers of a request, for troubleshooting. A repeated header is a list.
pub fn shown_headers(headers: &Headers<'_>) -> Value {
    let mut shown = Map::new();
    for name in headers.names() {
        if is_concealed(name) {
            shown.insert(name.to_owned(), MASK.into());
        } else if let Some(mut value) = headers.shown(name).filter(|_| !shown.contains_key(name)) {
            replace_nul(&mut value);
            shown.insert(name.to_owned(), value);
        }
    }
    Value::Object(shown)
}

/// The database cannot store U+0000.
fn replace_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(values) => values.iter_mut().for_each(replace_nul),
        _ => {}
    }
}
