//! Compresses JSON of a certain size. Streams of events are never compressed, because they must not be buffered, and
//! answers with a new secret are not either, because the compressed length reveals something about the content.

use axum::{
    http::{Extensions, HeaderMap, StatusCode, Version, header},
    response::Response,
};
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
};

const BYTES_MIN: u64 = 1024;

/// Marks a response that must not be compressed.
#[derive(Debug, Clone, Copy)]
struct Never;

pub fn layer() -> CompressionLayer<impl Predicate> {
    // An answer of 4 MiB must not occupy a thread for long.
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(BYTES_MIN).and(is_worth_it))
}

fn is_worth_it(_: StatusCode, _: Version, headers: &HeaderMap, extensions: &Extensions) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_json = content_type.is_some_and(|value| value.starts_with("application/") && value.contains("json"));
    is_json && extensions.get::<Never>().is_none()
}

pub async fn never(mut response: Response) -> Response {
    response.extensions_mut().insert(Never);
    response
}
