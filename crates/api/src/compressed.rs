//! Compression of JSON that is worth it. Never of a stream of events, which must not wait for more, and never of an answer
//! with a new secret: its compressed length would tell about its content.

use axum::{
    http::{Extensions, HeaderMap, StatusCode, Version, header},
    response::Response,
};
use tower_http::{
    CompressionLevel,
    compression::{CompressionLayer, Predicate, predicate::SizeAbove},
};

const BYTES_MIN: u64 = 1024;

/// On a response: it is sent as it is.
#[derive(Debug, Clone, Copy)]
struct Never;

pub fn layer() -> CompressionLayer<impl Predicate> {
    // An answer of 4 MiB must not keep a thread for long.
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
