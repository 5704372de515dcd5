//! The handshake of a sender that wants to know whether an address is its receiver's.

use super::Profile;
use serde_json::Value;

/// What a genuine request wants to hear again. Slack asks so, before it sends the first event.
pub fn challenge<'a>(profile: &Profile, body: &'a Value) -> Option<&'a str> {
    let asks = *profile == Profile::Slack && body["type"] == "url_verification";
    body["challenge"].as_str().filter(|_| asks)
}
