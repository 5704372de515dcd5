//! The documentation, as the API serves it: generated from the table of routes, with nothing from elsewhere.

use crate::{answer::One, openapi};
use axum::{
    http::header,
    response::{Html, IntoResponse},
};
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::document().to_string());

const PAGE: &str = include_str!("docs.html");

/// What this is, and where to go from here.
#[derive(Debug, Serialize, ToSchema)]
pub struct Welcome {
    name: &'static str,
    version: &'static str,
    /// The documentation, for people.
    docs: &'static str,
    /// The same for programs.
    openapi: &'static str,
    sign_in: &'static str,
    health: &'static str,
    metrics: &'static str,
}

pub async fn welcome() -> One<Welcome> {
    One::new(Welcome {
        name: "attune",
        version: env!("CARGO_PKG_VERSION"),
        docs: "/api/docs",
        openapi: "/api/v1/openapi.json",
        sign_in: "/auth/login",
        health: "/health",
        metrics: "/metrics",
    })
}

pub async fn openapi_json() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

pub async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE))
}
