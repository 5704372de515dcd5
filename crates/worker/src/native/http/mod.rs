//! `core.http`: one HTTP request, sent by the worker itself.
//!
//! URLs in errors never contain a user, a password or a query: these may be secrets. What the request may reach is decided in
//! [`egress`].

mod egress;
mod reply;
mod request;
mod tls;

use crate::conclude::RunResult;
use attune_common::config::WorkerHttp;
use egress::{Egress, Resolver};
use http_body_util::Full;
use hyper::{
    Method, StatusCode, Uri,
    body::Bytes,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use reply::Reply;
use request::Request;
use serde_json::Value;
use std::{
    error::Error as _,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use url::Url;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections are kept this long for the next request to the same host.
const IDLE: Duration = Duration::from_secs(30);
/// The first pause before a retry without Retry-After. It doubles with each retry.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

type HttpClient = Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>;

/// Sends the requests of one worker.
pub struct Http {
    egress: Arc<Egress>,
    verifying: OnceLock<HttpClient>,
    trusting: OnceLock<HttpClient>,
}

impl Http {
    pub fn new(settings: &WorkerHttp) -> Self {
        Self {
            egress: Arc::new(Egress::new(settings.allow_private.clone())),
            verifying: OnceLock::new(),
            trusting: OnceLock::new(),
        }
    }

    pub async fn run(&self, parameters: &Value) -> RunResult {
        let request = match Request::parse(parameters) {
            Ok(request) => request,
            Err(error) => return RunResult::failed(error),
        };
        let replied = match tokio::time::timeout(request.timeout, self.send_until_accepted(&request)).await {
            Ok(replied) => replied,
            Err(_) => Err(format!(
                "no complete response from {} within {} s",
                shown(&request.url),
                request.timeout.as_secs_f64()
            )),
        };
        match replied {
            Err(error) => RunResult::failed(error),
            Ok(reply) if request.expects(reply.status) => RunResult::succeeded(reply.into_json()),
            Ok(reply) => {
                let error = format!(
                    "status {} from {}; expected {}",
                    reply.status.as_u16(),
                    shown(&reply.url),
                    request.expected()
                );
                RunResult::failed_with(error, reply.into_json())
            }
        }
    }

    /// Retries while the server is busy, up to the limit of the request, if the pause fits into its time limit.
    async fn send_until_accepted(&self, request: &Request) -> Result<Reply, String> {
        let deadline = Instant::now() + request.timeout;
        let mut pause = RETRY_PAUSE;
        for _ in 0..request.retries {
            let reply = self.follow(request).await?;
            if ![StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&reply.status) {
                return Ok(reply);
            }
            let wait = reply.retry_after().unwrap_or(pause);
            if Instant::now() + wait >= deadline {
                return Ok(reply);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        self.follow(request).await
    }

    /// Sends the request and follows redirects. The policy applies to each of them.
    async fn follow(&self, request: &Request) -> Result<Reply, String> {
        let started = Instant::now();
        let (mut url, mut method) = (request.url.clone(), request.method.clone());
        let (mut headers, mut body) = (request.headers.clone(), request.body.clone());
        let mut left = request.redirects;
        loop {
            let response = self.exchange(request, &url, &method, &headers, &body).await?;
            let status = response.status();
            let next = match redirected(status, response.headers(), &url) {
                Some(next) if left > 0 => next?,
                Some(_) if request.redirects > 0 => {
                    return Err(format!(
                        "more than {} redirects from {}",
                        request.redirects,
                        shown(&request.url)
                    ));
                }
                _ => return Reply::read(response, url, started).await,
            };
            left -= 1;
            let posted = [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND].contains(&status) && method == Method::POST;
            if posted || (status == StatusCode::SEE_OTHER && method != Method::HEAD) {
                method = Method::GET;
                body = Bytes::new();
                headers.remove(CONTENT_TYPE);
            }
            if next.origin() != url.origin() {
                request::keep_harmless(&mut headers);
            }
            url = next;
        }
    }

    async fn exchange(
        &self,
        request: &Request,
        url: &Url,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<hyper::Response<hyper::body::Incoming>, String> {
        self.egress
            .check_url(url)
            .map_err(|reason| format!("{} is not allowed: {reason}", shown(url)))?;
        let uri: Uri = url
            .as_str()
            .parse()
            .map_err(|_| format!("{} is not a valid URL", shown(url)))?;
        let mut built = hyper::Request::new(Full::new(body.clone()));
        *built.method_mut() = method.clone();
        *built.uri_mut() = uri;
        *built.headers_mut() = headers.clone();
        if body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(method) {
            built
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let sent = self.client(request.verify)?.request(built).await;
        sent.map_err(|error| format!("failed to send the request to {}: {}", shown(url), cause(&error)))
    }

    fn client(&self, verify: bool) -> Result<&HttpClient, String> {
        let cell = if verify { &self.verifying } else { &self.trusting };
        if let Some(client) = cell.get() {
            return Ok(client);
        }
        let mut connector = HttpConnector::new_with_resolver(Resolver(Arc::clone(&self.egress)));
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::settings(verify).map_err(|error| format!("failed to set up TLS: {error}"))?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(cell.get_or_init(|| client))
    }
}

/// Where a response redirects to.
fn redirected(status: StatusCode, headers: &HeaderMap, from: &Url) -> Option<Result<Url, String>> {
    if ![301, 302, 303, 307, 308].contains(&status.as_u16()) {
        return None;
    }
    let location = headers.get(LOCATION)?;
    let target = location.to_str().ok().and_then(|location| from.join(location).ok());
    let target = target.filter(|target| ["http", "https"].contains(&target.scheme()) && target.has_host());
    Some(match target {
        Some(mut target) => {
            // It comes from the server. Whatever it names is not a credential of this action.
            let _ = target.set_username("");
            let _ = target.set_password(None);
            target.set_fragment(None);
            Ok(target)
        }
        None => Err(format!(
            "{} redirects to something that is not an HTTP URL",
            shown(from)
        )),
    })
}

/// A URL as it may appear in an error.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// The innermost error: the outer ones contain no reason.
fn cause(error: &Error) -> String {
    let mut found = error.source();
    let mut text = error.to_string();
    while let Some(inner) = found {
        text = inner.to_string();
        found = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
