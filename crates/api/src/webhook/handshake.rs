//! The challenge in a query with which a sender checks who owns an address.

use super::read::{Refusal, unreadable};
use attune_domain::webhook::{Handshake, WebhookConfig, query};
use axum::{
    http::{Method, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};

/// The answer to a challenge in the query. It is not signed and is only sent back.
pub fn handshake(config: &WebhookConfig, parts: &Parts) -> Result<Option<Response>, Refusal> {
    let configured = config.challenge.as_ref();
    let Some(challenge) = configured.filter(|_| [Method::GET, Method::POST].contains(&parts.method)) else {
        return Ok(None);
    };
    let query = query(parts.uri.query().unwrap_or_default()).map_err(unreadable)?;
    match challenge.handshake(&query) {
        None => Ok(None),
        Some(Handshake::Wrong(name)) => {
            let detail = format!("the handshake parameter {name} does not have the configured value");
            Err(Refusal::new(StatusCode::FORBIDDEN, "challenge", detail))
        }
        Some(Handshake::Answer(text)) => {
            let plain = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            Ok(Some((plain, text).into_response()))
        }
    }
}
