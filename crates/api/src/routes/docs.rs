//! The documentation, as the API serves it: generated from the table of routes, with nothing from elsewhere.

use crate::openapi;
use axum::{
    http::header,
    response::{Html, IntoResponse},
};
use std::sync::LazyLock;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());

const PAGE: &str = include_str!("docs.html");

pub async fn openapi_json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

pub async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE))
}
