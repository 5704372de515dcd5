//! The web UI: one HTML page for every path of a page, and its assets.
//!
//! It is built by npm and committed in `ui/dist`. A program that was built without that folder has no UI: `/` is the JSON
//! entry point, and other paths do not exist.
//!
//! The tricky thing is which requests get HTML: those of browsers, which accept it, for paths that are not for machines.

mod files;

pub use files::build;

use attune_common::config;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// First segments of paths that are not pages.
const MACHINES: [&str; 5] = ["api", "assets", "auth", "health", "metrics"];
/// Replaced by the nonce of the response. The first one is what Vite's `html.cspNonce` writes.
const NONCES: [&str; 2] = ["__CSP_NONCE__", "__NONCE__"];
const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    files::SAME_ORIGIN_RESOURCE,
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// How pages are served.
#[derive(Debug, Clone, Copy)]
pub struct Pages {
    /// Browsers use the API over https.
    is_secure: bool,
}

impl Pages {
    pub fn new(config: &config::Api) -> Self {
        let is_https = |url: &String| url.starts_with("https://");
        Self {
            is_secure: config.public_url.as_ref().is_some_and(is_https),
        }
    }

    fn answer(self, path: &str, request: &HeaderMap) -> Option<Response> {
        if path.starts_with("/assets/") {
            return files::asset(path, request);
        }
        let is_for_machines = path.split('/').nth(1).is_some_and(|first| MACHINES.contains(&first));
        if is_for_machines || !accepts_html(request) {
            return None;
        }
        let index = files::index()?;
        let is_page = path == "/" || files::pages().iter().any(|pattern| fits(pattern, path));
        let status = if is_page { StatusCode::OK } else { StatusCode::NOT_FOUND };
        Some(self.page(&index, status))
    }

    fn page(self, index: &str, status: StatusCode) -> Response {
        let nonce = STANDARD.encode(rand::random::<[u8; 16]>());
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'"
        );
        let html = NONCES
            .iter()
            .fold(index.to_owned(), |html, mark| html.replace(mark, &nonce));
        let mut response = (status, Html(html)).into_response();
        response.headers_mut().extend(HEADERS);
        if let Ok(policy) = HeaderValue::try_from(policy) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        if self.is_secure {
            response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
        response
    }
}

/// Answers requests for the UI, and passes on all others.
pub async fn serve(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let answer = reads.then(|| pages.answer(request.uri().path(), request.headers()));
    match answer.flatten() {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

fn accepts_html(request: &HeaderMap) -> bool {
    let mut values = request.get_all(header::ACCEPT).iter();
    values.any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")))
}

/// Whether a path matches a pattern, in which `{…}` is any segment.
fn fits(pattern: &str, path: &str) -> bool {
    let (mut expected, mut given) = (pattern.split('/'), path.split('/'));
    loop {
        match (expected.next(), given.next()) {
            (None, None) => return true,
            (Some(part), Some(segment)) if part == segment || part.starts_with('{') && !segment.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_pages() {
        assert!(fits("/executions", "/executions"));
        assert!(fits("/executions/{id}", "/executions/0199"));
        assert!(fits("/rules/{ref}/edit", "/rules/core.a/edit"));
        assert!(!fits("/executions/{id}", "/executions"));
        assert!(!fits("/executions/{id}", "/executions/"));
        assert!(!fits("/executions/{id}", "/executions/a/b"));
        assert!(!fits("/executions", "/events"));
    }
}
