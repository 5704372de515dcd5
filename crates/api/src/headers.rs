//! Headers that every answer has, and `Host`, which every request must have.

use crate::problem::Problem;
use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, StatusCode, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// Set unless the handler has set a value.
pub const DEFAULTS: [(HeaderName, HeaderValue); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

pub async fn secure(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in DEFAULTS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

/// Refuses an HTTP/1.1 request without exactly one `Host` (RFC 9112, section 3.2). HTTP/1.0 has none.
pub async fn require_host(request: Request, next: Next) -> Response {
    let hosts = request.headers().get_all(header::HOST);
    let valid = |host: &HeaderValue| host.to_str().is_ok_and(is_host);
    let refusal = match hosts.iter().count() {
        0 if request.version() != Version::HTTP_11 => None,
        0 => Some("the header Host is missing"),
        1 if hosts.iter().all(valid) => None,
        1 => Some("the header Host must be a host name or an address, with an optional port"),
        _ => Some("the header Host is given more than once"),
    };
    match refusal {
        None => next.run(request).await,
        Some(detail) => Problem::new(StatusCode::BAD_REQUEST, "host", detail).into_response(),
    }
}

fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let port = text.strip_prefix(authority.host());
    let port = port.map(|rest| {
        rest.strip_prefix(':')
            .map_or(rest.is_empty(), |port| port.parse::<u16>().is_ok())
    });
    !authority.host().is_empty() && port == Some(true)
}
