//! The handshake that Slack sends as a signed body.

use super::config::Profile;
use serde_json::Value;

/// The challenge of a genuine request. Slack sends it before the first event.
pub fn challenge<'a>(profile: &Profile, body: &'a Value) -> Option<&'a str> {
    let is_challenge = *profile == Profile::Slack && body["type"] == "url_verification";
    body["challenge"].as_str().filter(|_| is_challenge)
}
