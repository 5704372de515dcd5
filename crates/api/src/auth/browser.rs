//! Requests of browsers: the cookie of their session, and the rules that keep other sites from using it.
//!
//! The tricky thing is that cookies do not differ by port, and that a page of another program on this machine counts as the
//! same site, so `SameSite` alone does not protect. A request that changes something needs a header that other sites cannot
//! send. The port is part of the cookie's name, so that two instances do not sign each other out.

use super::secret::Secret;
use crate::problem::Problem;
use attune_common::config;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, uri::Authority};
use secrecy::{ExposeSecret as _, SecretString};
use std::net::IpAddr;

/// Scripts of this site send it with every request.
const MARK: HeaderName = HeaderName::from_static("x-attune");
/// The request was not caused by the user, so that it does not postpone the end of the session.
const BACKGROUND: HeaderName = HeaderName::from_static("x-attune-background");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Content types that forms of other sites can send.
const FORMS: [&str; 3] = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
/// The first part of the name of the cookie.
const NAME: &str = "attune";
/// As long as a session lasts at most.
const COOKIE_SECONDS: u32 = 14 * 86_400;

/// The sites whose pages may use the API.
#[derive(Debug, Clone, Default)]
pub struct Sites {
    /// The configured public URL.
    public: Option<Site>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Site {
    host: String,
    port: u16,
}

impl Site {
    fn of(url: &str) -> Option<Self> {
        let url: Uri = url.parse().ok()?;
        let port = if url.scheme_str() == Some("https") { 443 } else { 80 };
        let authority = url.authority()?;
        Some(Self {
            host: authority.host().to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(port),
        })
    }
}

impl Sites {
    pub fn new(config: &config::Api) -> Self {
        Self {
            public: config.public_url.as_deref().and_then(Site::of),
        }
    }

    /// Whether people use Attune under a name of another machine than their own.
    pub fn is_public(&self) -> bool {
        self.public.as_ref().is_some_and(|site| !is_local(&site.host))
    }

    /// Refuses a request of a browser that another site may have caused.
    pub fn check(&self, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
        let host = host(headers);
        if !host.as_ref().is_some_and(|host| self.allows(host.host())) {
            let detail = "browsers cannot use this host name; set api.public_url to the address that people use";
            return Err(Problem::new(StatusCode::FORBIDDEN, "host", detail));
        }
        let from = headers.get(FETCH_SITE).and_then(|site| site.to_str().ok());
        if method.is_safe() {
            // `none`: the user typed the address.
            return match from {
                None | Some("same-origin" | "none") => Ok(()),
                Some(_) => Err(cross_site("this site only")),
            };
        }
        let is_same = match from {
            Some(site) => site == "same-origin",
            None => self.is_same_origin(headers, host.as_ref()),
        };
        if !is_same {
            return Err(cross_site("a page of this site only"));
        }
        if headers.get(MARK).is_none_or(|mark| mark != "1") {
            return Err(cross_site("scripts that send the header `X-Attune: 1`"));
        }
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        if FORMS.contains(&essence.trim().to_ascii_lowercase().as_str()) {
            return Err(cross_site("scripts that send JSON"));
        }
        Ok(())
    }

    /// This machine, an address, or the public name. Other names could be those of an attacker that point to this machine.
    fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        is_local(&host) || address(&host).is_some() || self.public.as_ref().is_some_and(|site| site.host == host)
    }

    fn is_same_origin(&self, headers: &HeaderMap, host: Option<&Authority>) -> bool {
        let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
        let (Some(text), Some(host)) = (origin, host) else {
            return false;
        };
        let Some(origin) = Site::of(text) else {
            return false;
        };
        let default = if text.starts_with("https:") { 443 } else { 80 };
        let own = Site {
            host: host.host().to_ascii_lowercase(),
            port: host.port_u16().unwrap_or(default),
        };
        origin == own || self.public.as_ref() == Some(&origin)
    }
}

fn cross_site(allowed: &str) -> Problem {
    let detail = format!("a request with a session cookie is accepted from {allowed}; programs use a token");
    Problem::new(StatusCode::FORBIDDEN, "cross_site", detail)
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    headers.get(header::HOST)?.to_str().ok()?.parse().ok()
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_local(host: &str) -> bool {
    let is_loopback = address(host).is_some_and(|address| address.is_loopback());
    is_loopback || host == "localhost" || host.ends_with(".localhost")
}

/// The names of the cookie, the stricter one first. Not every browser accepts that one over http.
fn names(headers: &HeaderMap) -> [String; 2] {
    let port = host(headers).and_then(|host| host.port_u16()).unwrap_or(443);
    [format!("__Host-{NAME}_{port}"), format!("{NAME}_{port}")]
}

/// The hash of the session cookie of a request.
pub fn presented(headers: &HeaderMap) -> Option<[u8; 32]> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let pairs: Vec<_> = pairs.filter_map(|pair| pair.trim().split_once('=')).collect();
    let value_of = |name: &String| pairs.iter().find(|(given, _)| given == name);
    let (_, value) = names(headers).iter().find_map(value_of)?;
    value.starts_with(Secret::WEB_SESSION).then(|| Secret::hash_of(value))
}

/// Whether the user caused the request.
pub fn is_active(headers: &HeaderMap) -> bool {
    headers.get(BACKGROUND).is_none_or(|value| value != "1")
}

/// Cookies that start a session: on this machine also one for browsers that refuse `Secure` over http.
pub fn start(headers: &HeaderMap, secret: &SecretString) -> Vec<HeaderValue> {
    let local = host(headers).is_some_and(|host| is_local(&host.host().to_ascii_lowercase()));
    cookies(headers, secret.expose_secret(), COOKIE_SECONDS)
        .take(if local { 2 } else { 1 })
        .collect()
}

/// Cookies that remove those of [`start`].
pub fn end(headers: &HeaderMap) -> Vec<HeaderValue> {
    cookies(headers, "", 0).collect()
}

fn cookies(headers: &HeaderMap, value: &str, seconds: u32) -> impl Iterator<Item = HeaderValue> {
    let [strict, plain] = names(headers);
    let of = move |name: &str, secure: &str| {
        let text = format!("{name}={value}; Path=/; HttpOnly; {secure}SameSite=Strict; Max-Age={seconds}");
        let mut cookie = HeaderValue::try_from(text).ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    };
    [of(&strict, "Secure; "), of(&plain, "")].into_iter().flatten()
}
