//! What is sent, and what comes back.

use crate::Error;
use hyper::{Method, body::Bytes, header::HeaderMap};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path, or as the value of a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

#[derive(Debug)]
pub struct Message {
    pub method: Method,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub timeout: Option<Duration>,
}

impl Message {
    /// Whether sending it twice has no further effect.
    pub fn is_repeatable(&self) -> bool {
        self.method.is_idempotent() || self.headers.iter().any(|(name, _)| name == "idempotency-key")
    }
}

/// A successful response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub(crate) headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The whole body; null if it is empty.
    pub fn json(&self) -> Result<Value, Error> {
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).map_err(|error| Error::Unexpected(format!("it is not JSON: {error}")))
    }

    pub fn data<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let data = self.json()?["data"].take();
        serde_json::from_value(data).map_err(|error| Error::Unexpected(error.to_string()))
    }
}

#[test]
fn texts_are_encoded_for_paths_and_queries() {
    assert_eq!(encoded("core.echo_2-a~b"), "core.echo_2-a~b");
    assert_eq!(encoded("a b/c?d&e=ü+"), "a%20b%2Fc%3Fd%26e%3D%C3%BC%2B");
}
