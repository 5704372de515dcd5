//! Verifies that a request is genuine, over the raw bytes, before anything parses them.

use super::{
    Headers, WebhookConfig,
    config::Profile,
    refusal::{Refusal, TOLERANCE_SECONDS},
    secret::Secret,
    signature::{self, Algorithm, Encoding},
};
use chrono::{DateTime, Utc};

/// Further signatures in a header are ignored.
const SIGNATURES_MAX: usize = 8;

/// A genuine request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// The signature, if it covers a timestamp: an equal signature then identifies a repeated request.
    pub(super) replay: Option<Vec<u8>>,
}

/// Checks a request as the profile of the trigger requires.
pub fn verify(
    config: &WebhookConfig,
    headers: &Headers<'_>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Verified, Refusal> {
    let secrets = config.secrets_at(now);
    match &config.profile {
        Profile::None => Ok(Verified::default()),
        Profile::StandardWebhooks => standard_webhooks(secrets, headers, body, now),
        Profile::Github => {
            let name = "x-hub-signature-256";
            let signature = hex_behind(headers, name, "sha256=")?;
            checked(Algorithm::Sha256, secrets, &[body], &[signature], false)
        }
        Profile::Stripe => stripe(secrets, headers, body, now),
        Profile::Slack => {
            let signature = hex_behind(headers, "x-slack-signature", "v0=")?;
            let name = "x-slack-request-timestamp";
            let timestamp = headers.only(name)?;
            recent(name, timestamp, now)?;
            let parts = [b"v0:".as_slice(), timestamp.as_bytes(), b":", body];
            checked(Algorithm::Sha256, secrets, &parts, &[signature], true)
        }
        Profile::Gitlab => {
            let token = headers.only("x-gitlab-token")?;
            if signature::is_secret(secrets, token.as_bytes()) {
                Ok(Verified::default())
            } else {
                Err(Refusal::Token)
            }
        }
        Profile::Generic(generic) => {
            let malformed = |why| Refusal::Malformed(generic.header.clone(), why);
            let text = headers.only(&generic.header)?;
            let text = text
                .strip_prefix(generic.prefix.as_str())
                .ok_or_else(|| malformed("it does not begin with the prefix"))?;
            let signature = generic
                .encoding
                .decode(text)
                .ok_or_else(|| malformed("it is not written in the configured encoding"))?;
            checked(generic.algorithm, secrets, &[body], &[signature], false)
        }
    }
}

/// `v1,<base64>` signatures, separated by spaces, over `id.timestamp.body`.
fn standard_webhooks(
    secrets: &[Secret],
    headers: &Headers<'_>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<Verified, Refusal> {
    let id = headers.only("webhook-id")?;
    let timestamp = headers.only("webhook-timestamp")?;
    let name = "webhook-signature";
    let given = headers.only(name)?;
    recent("webhook-timestamp", timestamp, now)?;
    let of_version = given.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
    let signatures: Vec<_> = of_version.filter_map(signature::base64).take(SIGNATURES_MAX).collect();
    if signatures.is_empty() {
        return Err(Refusal::Malformed(name.to_owned(), "it holds no signature v1,<base64>"));
    }
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    checked(Algorithm::Sha256, secrets, &parts, &signatures, true)
}

/// `t=<timestamp>,v1=<hex>[,v1=<hex>]` over `timestamp.body`.
fn stripe(secrets: &[Secret], headers: &Headers<'_>, body: &[u8], now: DateTime<Utc>) -> Result<Verified, Refusal> {
    let name = "stripe-signature";
    let malformed = |why| Refusal::Malformed(name.to_owned(), why);
    let given = headers.only(name)?;
    let entries = || given.split(',').filter_map(|entry| entry.trim().split_once('='));
    let mut timestamps = entries().filter(|(key, _)| *key == "t").map(|(_, value)| value);
    let (Some(timestamp), None) = (timestamps.next(), timestamps.next()) else {
        return Err(malformed("it does not hold one timestamp t=<seconds>"));
    };
    recent(name, timestamp, now)?;
    let of_version = entries().filter(|(key, _)| *key == "v1");
    let signatures: Vec<_> = of_version
        .filter_map(|(_, value)| signature::hex(value))
        .take(SIGNATURES_MAX)
        .collect();
    if signatures.is_empty() {
        return Err(malformed("it holds no signature v1=<hex>"));
    }
    let parts = [timestamp.as_bytes(), b".", body];
    checked(Algorithm::Sha256, secrets, &parts, &signatures, true)
}

fn hex_behind(headers: &Headers<'_>, name: &str, prefix: &str) -> Result<Vec<u8>, Refusal> {
    let text = headers.only(name)?;
    let signature = text.strip_prefix(prefix).and_then(|text| Encoding::Hex.decode(text));
    signature
        .ok_or_else(|| Refusal::Malformed(name.to_owned(), "it is not the profile's prefix and hexadecimal digits"))
}

/// Unix seconds that are close to now.
fn recent(name: &str, text: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
    let digits = (1..=12).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse::<i64>().ok().filter(|_| digits);
    let seconds = seconds.ok_or_else(|| Refusal::Malformed(name.to_owned(), "its timestamp is not in Unix seconds"))?;
    let away = (now.timestamp() - seconds).abs();
    if away > TOLERANCE_SECONDS {
        return Err(Refusal::Timestamp(away));
    }
    Ok(())
}

fn checked(
    algorithm: Algorithm,
    secrets: &[Secret],
    parts: &[&[u8]],
    given: &[Vec<u8>],
    dated: bool,
) -> Result<Verified, Refusal> {
    if !signature::holds(algorithm, secrets, parts, given) {
        return Err(Refusal::Signature);
    }
    // Any of several signatures may have matched; the signed content distinguishes requests as well.
    let replay = dated.then(|| parts.concat());
    Ok(Verified { replay })
}
