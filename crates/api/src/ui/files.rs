//! The files of `ui/dist`: embedded in release builds, read from the folder by debug builds.

use attune_common::hex;
use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use flate2::read::GzDecoder;
use rust_embed::{EmbeddedFile, RustEmbed};
use std::{borrow::Cow, io::Read as _};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
pub const SAME_ORIGIN_RESOURCE: (HeaderName, HeaderValue) = (
    HeaderName::from_static("cross-origin-resource-policy"),
    HeaderValue::from_static("same-origin"),
);

/// Empty if the folder does not exist.
#[derive(RustEmbed)]
#[folder = "../../ui/dist"]
#[allow_missing = true]
struct Dist;

/// The page that starts the UI; `None` without a UI.
pub fn index() -> Option<String> {
    String::from_utf8(Dist::get("index.html")?.data.into_owned()).ok()
}

/// The patterns of the paths that are pages, such as `/executions/{id}`.
pub fn pages() -> Vec<String> {
    let listed = Dist::get("pages.json").and_then(|file| serde_json::from_slice(&file.data).ok());
    listed.unwrap_or_default()
}

/// Identifies the build of the UI. It differs when any file differs, because names of assets contain their hashes.
pub fn build() -> Option<String> {
    Some(short_hash(&Dist::get("index.html")?))
}

/// A file below `/assets/`, in the best encoding that the client accepts.
pub fn asset(path: &str, request: &HeaderMap) -> Option<Response> {
    let name = path.strip_prefix('/')?;
    if name.contains("..") || matches!(name.rsplit('.').next(), Some("br" | "gz")) {
        return None;
    }
    let (encoding, file) = chosen(name, request)?;
    let tag = format!("\"{}{encoding}\"", short_hash(&file));
    let known = request.get_all(header::IF_NONE_MATCH).iter();
    let is_known = known
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(&tag));
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(content(encoding, file)?).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::ETAG, HeaderValue::try_from(tag).ok()?);
    headers.extend([SAME_ORIGIN_RESOURCE]);
    if !encoding.is_empty() && encoding != UNPACKED {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    Some(response)
}

/// Not an encoding: only the compressed file exists, and the client does not accept it.
const UNPACKED: &str = "unpacked";

fn chosen(name: &str, request: &HeaderMap) -> Option<(&'static str, EmbeddedFile)> {
    let variant = |suffix: &str| Dist::get(&format!("{name}{suffix}"));
    let packed = [("br", ".br"), ("gzip", ".gz")];
    let mut accepted = packed.into_iter().filter(|(encoding, _)| accepts(request, encoding));
    let smallest = accepted.find_map(|(encoding, suffix)| Some((encoding, variant(suffix)?)));
    smallest
        .or_else(|| Some(("", variant("")?)))
        .or_else(|| Some((UNPACKED, variant(".gz")?)))
}

fn content(encoding: &str, file: EmbeddedFile) -> Option<Cow<'static, [u8]>> {
    if encoding != UNPACKED {
        return Some(file.data);
    }
    let mut bytes = Vec::new();
    GzDecoder::new(file.data.as_ref()).read_to_end(&mut bytes).ok()?;
    Some(bytes.into())
}

fn accepts(request: &HeaderMap, encoding: &str) -> bool {
    let values = request.get_all(header::ACCEPT_ENCODING).iter();
    let mut items = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    items.any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight = weight
            .trim()
            .strip_prefix("q=")
            .and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(encoding) && weight.is_none_or(|weight| weight > 0.0)
    })
}

fn short_hash(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..16])
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_encodings() {
        let check = |given: &str, encoding: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, given.parse().expect("a header"));
            assert_eq!(accepts(&headers, encoding), expected, "{given:?} {encoding}");
        };
        check("gzip, deflate, br", "br", true);
        check("gzip, deflate", "br", false);
        check("br;q=0, gzip;q=0.5", "br", false);
        check("br;q=0, gzip;q=0.5", "gzip", true);
        check("BR", "br", true);
        check("brotli", "br", false);
        check("", "gzip", false);
    }
}
