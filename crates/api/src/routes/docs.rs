//! The documentation: the OpenAPI document, and a page that shows it without anything from other servers.

use crate::answer::One;
use axum::{
    Extension,
    http::header,
    response::{Html, IntoResponse},
};
use serde::Serialize;
use std::sync::LazyLock;
use utoipa::ToSchema;

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/docs.js");
const STYLE: &str = include_str!("docs/docs.css");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'";

/// The OpenAPI document, built on first use.
#[derive(Debug, Clone, Copy)]
pub struct OpenApi(pub &'static LazyLock<String>);

/// The entry point: what this is, and where to continue.
#[derive(Debug, Serialize, ToSchema)]
pub struct Welcome {
    name: &'static str,
    version: &'static str,
    /// The documentation as a page.
    docs: &'static str,
    /// The OpenAPI document.
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

pub async fn openapi_json(Extension(document): Extension<OpenApi>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document.0.as_str())
}

pub async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE))
}

pub async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}

pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}
