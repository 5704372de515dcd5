//! The API, for commands: requests with a token, and failures with the exit codes of the command line.

use crate::cli::ApiArgs;
use anyhow::Context as _;
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::{
    error::Error,
    fmt::{self, Write as _},
    time::Duration,
};

/// An archive may take a while.
const TIMEOUT: Duration = Duration::from_secs(150);

/// The exit code for what does not exist.
pub const NOT_FOUND: u8 = 4;

/// Why a request did not succeed.
#[derive(Debug)]
pub struct Failure {
    /// The exit code of the program.
    pub code: u8,
    message: String,
}

impl Failure {
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Failure {}

pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    pub fn new(options: &ApiArgs) -> anyhow::Result<Self> {
        let token = options.token.clone().ok_or_else(|| {
            Failure::new(
                3,
                "a token is missing: set ATTUNE_API_TOKEN (create a token with POST /api/v1/tokens or `attune token create`)",
            )
        })?;
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .context("failed to create an HTTP client")?;
        Ok(Self {
            http,
            url: options.url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    /// The `data` of the answer, and its warnings.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.send(self.http.get(self.at(path))).await?["data"].take())
    }

    /// A page of a list, with its pagination.
    pub async fn get_page(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.http.get(self.at(path))).await
    }

    pub async fn get_bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.answer(self.http.get(self.at(path))).await?;
        Ok(answer.bytes().await.context("the response is incomplete")?.into())
    }

    pub async fn post_bytes(&self, path: &str, content_type: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        let request = self.http.post(self.at(path)).header("content-type", content_type);
        self.send(request.body(body)).await
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.answer(self.http.delete(self.at(path))).await.map(drop)
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let answer = self.answer(request).await?;
        answer.json().await.context("the response is not JSON")
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request.bearer_auth(&self.token).send().await.map_err(|error| {
            let error = anyhow::Error::new(error);
            let (url, reason) = (&self.url, error.root_cause());
            Failure::new(
                7,
                format!("no response from {url}: {reason}. Set --url or ATTUNE_API_URL to the address of the API"),
            )
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem: Value = answer.json().await.unwrap_or_default();
        let mut message = described(&problem, status);
        if status == StatusCode::UNAUTHORIZED {
            let _ = write!(message, ": is ATTUNE_API_TOKEN a token of {}?", self.url);
        }
        Err(Failure::new(code_of(status), message).into())
    }
}

fn code_of(status: StatusCode) -> u8 {
    match status.as_u16() {
        401 | 403 => 3,
        404 => NOT_FOUND,
        409 | 412 => 5,
        429 | 503 => 8,
        400..=499 => 6,
        _ => 7,
    }
}

/// The detail of a problem, and a line for each field.
fn described(problem: &Value, status: StatusCode) -> String {
    let mut text = problem["detail"].as_str().unwrap_or(status.as_str()).to_owned();
    for error in problem["errors"].as_array().into_iter().flatten() {
        let (path, message) = (error["path"].as_str(), error["message"].as_str());
        let (path, message) = (path.unwrap_or_default(), message.unwrap_or_default());
        let _ = write!(text, "\n  {path}: {message}");
    }
    text
}
