//! Sends messages to one API, and again while it is busy.

use crate::{
    Error, Problem,
    message::{Message, Reply},
    retry::{Refusal, pause, retry_after},
    tls,
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method,
    body::{Bytes, Incoming},
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const IDLE: Duration = Duration::from_secs(30);
const AGENT: &str = concat!("attune-client/", env!("CARGO_PKG_VERSION"));

/// How to reach the API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base URL, such as `https://attune.example`.
    pub url: String,
    pub token: Option<SecretString>,
    /// The limit of one request, unless the request sets its own.
    pub timeout: Duration,
    /// How long a busy server is retried.
    pub patience: Duration,
    /// Called after each exchange, for diagnostics.
    pub observe: fn(&Exchange<'_>),
}

impl Settings {
    pub fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            token: None,
            timeout: Duration::from_secs(30),
            patience: Duration::from_secs(20),
            observe: |_| {},
        }
    }
}

/// One request and its response.
#[derive(Debug)]
pub struct Exchange<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    /// None if no response arrived.
    pub status: Option<u16>,
    pub took: Duration,
    pub headers: Option<&'a HeaderMap>,
}

type Connector = HttpsConnector<HttpConnector>;

#[derive(Debug, Clone)]
pub struct Transport {
    http: Http<Connector, Full<Bytes>>,
    settings: Settings,
    authorization: Option<HeaderValue>,
}

impl Transport {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let scheme = settings.url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("http" | "https")) {
            return Err(Error::Setup(format!(
                "the address {} must begin with http:// or https://",
                settings.url
            )));
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::settings()?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = Http::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector);
        let authorization = match &settings.token {
            Some(token) => Some(bearer(token)?),
            None => None,
        };
        Ok(Self {
            http,
            settings,
            authorization,
        })
    }

    pub fn url(&self) -> &str {
        &self.settings.url
    }

    /// Sends a message, and again while the server is busy.
    pub async fn send(&self, message: &Message) -> Result<Reply, Error> {
        let started = Instant::now();
        let mut retries = 0;
        loop {
            let reply = self.exchange(message).await?;
            if reply.status < 400 {
                return Ok(reply);
            }
            let problem = Problem::of(reply.status, &reply.body);
            let refusal = Refusal {
                problem: &problem,
                retry_after: retry_after(reply.header(RETRY_AFTER.as_str())),
                repeatable: message.is_repeatable(),
                retries,
            };
            match pause(&refusal) {
                Some(wait) if started.elapsed() + wait < self.settings.patience => tokio::time::sleep(wait).await,
                _ => return Err(Error::Refused(Box::new(problem))),
            }
            retries += 1;
        }
    }

    async fn exchange(&self, message: &Message) -> Result<Reply, Error> {
        let limit = message.timeout.unwrap_or(self.settings.timeout);
        let exchange = async {
            let (status, headers, body) = self.open(message).await?;
            let body = body.collect().await.map_err(|error| self.lost(&error))?;
            Ok(Reply {
                status,
                headers,
                body: body.to_bytes(),
            })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(replied) => replied,
            Err(_) => Err(Error::Unreachable {
                url: self.settings.url.clone(),
                reason: format!("no complete response within {} s", limit.as_secs_f64()),
            }),
        }
    }

    /// Sends the message once, and returns its response before the body.
    pub async fn open(&self, message: &Message) -> Result<(u16, HeaderMap, Incoming), Error> {
        let path = &message.path;
        let mut builder = hyper::Request::builder()
            .method(&message.method)
            .uri(format!("{}{path}", self.settings.url))
            .header(USER_AGENT, AGENT);
        for (name, value) in &message.headers {
            builder = builder.header(name, value);
        }
        if !message.headers.iter().any(|(name, _)| name == ACCEPT.as_str()) {
            builder = builder.header(ACCEPT, "application/json");
        }
        if let Some(value) = &self.authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        let sent = builder
            .body(Full::new(message.body.clone()))
            .map_err(|error| Error::Setup(format!("the request {path} cannot be sent: {error}")))?;
        let started = Instant::now();
        let response = self.http.request(sent).await;
        (self.settings.observe)(&Exchange {
            method: &message.method,
            path,
            status: response.as_ref().ok().map(|response| response.status().as_u16()),
            took: started.elapsed(),
            headers: response.as_ref().ok().map(hyper::Response::headers),
        });
        let response = response.map_err(|error| self.lost(&error))?;
        let (head, body) = response.into_parts();
        Ok((head.status.as_u16(), head.headers, body))
    }

    /// The innermost cause is the one that people understand.
    pub fn lost(&self, error: &(dyn std::error::Error + 'static)) -> Error {
        let mut cause = error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        Error::Unreachable {
            url: self.settings.url.clone(),
            reason: cause.to_string(),
        }
    }
}

fn bearer(token: &SecretString) -> Result<HeaderValue, Error> {
    let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret().trim()));
    let mut value = value.map_err(|_| Error::Setup("the token contains characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
