//! Builds a request.

use crate::{Error, Reply, encoded, message::Message, transport::Transport};
use hyper::{Method, body::Bytes, header::CONTENT_TYPE};
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

#[derive(Debug)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request<'a> {
    transport: &'a Transport,
    pub(crate) message: Message,
}

impl<'a> Request<'a> {
    pub(crate) fn new(transport: &'a Transport, method: Method, path: &str) -> Self {
        let message = Message {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            timeout: None,
        };
        Self { transport, message }
    }

    pub fn query(mut self, name: &str, value: &str) -> Self {
        let separator = if self.message.path.contains('?') { '&' } else { '?' };
        self.message.path = format!("{}{separator}{name}={}", self.message.path, encoded(value));
        self
    }

    pub fn queries(self, query: &[(String, String)]) -> Self {
        query
            .iter()
            .fold(self, |request, (name, value)| request.query(name, value))
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.message.headers.push((name.to_owned(), value.into()));
        self
    }

    /// A key with which the server recognizes a repetition. It makes the request repeatable.
    pub fn idempotency_key(self, key: impl Into<String>) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Setup(format!("the body is not JSON: {error}")))?;
        Ok(self.bytes("application/json", body))
    }

    pub fn bytes(mut self, content_type: &str, body: Vec<u8>) -> Self {
        self.message.body = body.into();
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.message.timeout = Some(timeout);
        self
    }

    pub async fn send(self) -> Result<Reply, Error> {
        self.transport.send(&self.message).await
    }

    /// Sends it, and reads `data` of the response.
    pub async fn data<T: DeserializeOwned>(self) -> Result<T, Error> {
        self.send().await?.data()
    }
}
