//! A response with its whole body, and its form in the result of the execution.

use super::shown;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::DateTime;
use http_body_util::BodyExt as _;
use hyper::{
    Response, StatusCode,
    body::{Body as _, Incoming},
    header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, RETRY_AFTER},
};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use url::Url;

const BODY_MAX: usize = 8 << 20;

pub(super) struct Reply {
    pub status: StatusCode,
    /// Where it came from, after redirects.
    pub url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
    elapsed: Duration,
}

impl Reply {
    /// Reads the body, up to its limit.
    pub async fn read(response: Response<Incoming>, url: Url, started: Instant) -> Result<Self, String> {
        let (head, mut incoming) = response.into_parts();
        let too_large = || {
            format!(
                "the response from {} is larger than {} MiB",
                shown(&url),
                BODY_MAX >> 20
            )
        };
        if incoming.size_hint().lower() > BODY_MAX as u64 {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|error| format!("failed to read the response from {}: {error}", shown(&url)))?;
            let Ok(data) = frame.into_data() else { continue };
            if body.len() + data.len() > BODY_MAX {
                return Err(too_large());
            }
            body.extend_from_slice(&data);
        }
        Ok(Self {
            status: head.status,
            url,
            headers: head.headers,
            body,
            elapsed: started.elapsed(),
        })
    }

    /// The pause that the server requires before a retry. An instant is compared with the server's own clock.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let now = self.headers.get(DATE)?.to_str().ok()?;
        let (at, now) = (DateTime::parse_from_rfc2822(text), DateTime::parse_from_rfc2822(now));
        Some((at.ok()? - now.ok()?).to_std().unwrap_or_default())
    }

    pub fn into_json(self) -> Value {
        let is_json = self.is_json();
        let mut result = json!({
            "status_code": self.status.as_u16(),
            "headers": headers(&self.headers),
            "elapsed_ms": u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
        });
        let (name, value) = match String::from_utf8(self.body) {
            Ok(text) if !text.contains('\0') => match attune_domain::json::parse(&text) {
                Ok(value) if is_json => ("json", value),
                _ => ("body", text.into()),
            },
            Ok(text) => ("body_base64", BASE64_STANDARD.encode(text).into()),
            Err(error) => ("body_base64", BASE64_STANDARD.encode(error.as_bytes()).into()),
        };
        result[name] = value;
        result
    }

    fn is_json(&self) -> bool {
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type
            .and_then(|value| value.split(';').next())
            .unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        media_type == "application/json" || media_type.ends_with("+json")
    }
}

/// Text for a header that occurs once, a list of texts for others.
fn headers(headers: &HeaderMap) -> Value {
    let texts = |name: &HeaderName| -> Vec<Value> {
        let values = headers.get_all(name).iter();
        values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into())
            .collect()
    };
    let all: Map<String, Value> = headers
        .keys()
        .map(|name| {
            let mut texts = texts(name);
            let value = if texts.len() == 1 {
                texts.remove(0)
            } else {
                texts.into()
            };
            (name.to_string(), value)
        })
        .collect();
    all.into()
}
