//! The parameters of `core.http`.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::{
    Method, StatusCode,
    body::Bytes,
    header::{
        ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
        HeaderValue, TRANSFER_ENCODING, USER_AGENT,
    },
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;
use url::{Url, form_urlencoded};

const BODY_MAX: usize = 8 << 20;
const REDIRECTS_MAX: u8 = 10;
const RETRIES_MAX: u8 = 10;
const TIMEOUT_MAX: f64 = 3600.0;

/// A request that can be sent.
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub timeout: Duration,
    pub redirects: u8,
    pub verify: bool,
    pub retries: u8,
    expected: Vec<Expected>,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Status(u16),
    /// `2xx` is 2.
    Class(u16),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    #[serde(default = "get")]
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    query: Map<String, Value>,
    body: Option<String>,
    json: Option<Value>,
    form: Option<Map<String, Value>>,
    auth: Option<Auth>,
    #[serde(default = "half_a_minute")]
    timeout_seconds: f64,
    #[serde(default = "five")]
    redirects: u8,
    #[serde(default = "yes")]
    verify: bool,
    expect_status: Option<Vec<Value>>,
    #[serde(default)]
    retries: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Auth {
    basic: Option<Basic>,
    bearer: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Basic {
    username: String,
    #[serde(default)]
    password: String,
}

fn get() -> String {
    "GET".to_owned()
}

fn half_a_minute() -> f64 {
    30.0
}

fn five() -> u8 {
    5
}

fn yes() -> bool {
    true
}

impl Request {
    /// Checks the parameters. Errors name the parameter and never contain a value that may be secret.
    pub fn parse(parameters: &Value) -> Result<Self, String> {
        let parameters = Parameters::deserialize(parameters).map_err(|error| misfit(&error.to_string()))?;
        let method = Method::from_bytes(parameters.method.to_uppercase().as_bytes())
            .map_err(|_| "method: must be an HTTP method such as GET or POST".to_owned())?;
        let url = url(&parameters)?;
        let (body, content_type) = body(&parameters)?;
        let mut headers = headers(&parameters.headers)?;
        if let Some(content_type) = content_type {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(content_type));
        }
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("attune"));
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(auth) = &parameters.auth {
            headers.insert(AUTHORIZATION, authorization(auth)?);
        }
        if !(parameters.timeout_seconds > 0.0 && parameters.timeout_seconds <= TIMEOUT_MAX) {
            return Err(format!(
                "timeout_seconds: must be more than 0 and at most {TIMEOUT_MAX}"
            ));
        }
        at_most("redirects", parameters.redirects, REDIRECTS_MAX)?;
        at_most("retries", parameters.retries, RETRIES_MAX)?;
        Ok(Self {
            method,
            url,
            headers,
            body,
            timeout: Duration::from_secs_f64(parameters.timeout_seconds),
            redirects: parameters.redirects,
            verify: parameters.verify,
            retries: parameters.retries,
            expected: match &parameters.expect_status {
                None => vec![Expected::Class(2)],
                Some(given) => given.iter().map(expected).collect::<Result<_, _>>()?,
            },
        })
    }

    pub fn expects(&self, status: StatusCode) -> bool {
        let status = status.as_u16();
        self.expected.iter().any(|expected| match expected {
            Expected::Status(code) => *code == status,
            Expected::Class(class) => *class == status / 100,
        })
    }

    /// The expected statuses, for people.
    pub fn expected(&self) -> String {
        let all: Vec<_> = self
            .expected
            .iter()
            .map(|expected| match expected {
                Expected::Status(code) => code.to_string(),
                Expected::Class(class) => format!("{class}xx"),
            })
            .collect();
        all.join(", ")
    }
}

/// The other errors of serde contain the value.
fn misfit(error: &str) -> String {
    let safe = ["missing field", "unknown field"]
        .iter()
        .any(|start| error.starts_with(start));
    let reason = if safe { error } else { "a value has the wrong type" };
    format!("invalid parameters: {reason}")
}

/// Removes everything that may be meant for the first server only.
pub(super) fn keep_harmless(headers: &mut HeaderMap) {
    let kept = [ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, USER_AGENT];
    let kept = kept.map(|name| headers.remove(&name).map(|value| (name, value)));
    headers.clear();
    headers.extend(kept.into_iter().flatten());
}

fn at_most(name: &str, value: u8, most: u8) -> Result<(), String> {
    if value > most {
        return Err(format!("{name}: must be from 0 to {most}"));
    }
    Ok(())
}

fn url(parameters: &Parameters) -> Result<Url, String> {
    let mut url = Url::parse(&parameters.url).map_err(|error| format!("url: {error}"))?;
    if !["http", "https"].contains(&url.scheme()) || !url.has_host() {
        return Err("url: must start with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("url: must not contain a user or a password; pass them as auth.basic".to_owned());
    }
    url.set_fragment(None);
    if !parameters.query.is_empty() {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in pairs_of("query", &parameters.query)? {
            pairs.append_pair(&name, &value);
        }
    }
    Ok(url)
}

fn body(parameters: &Parameters) -> Result<(Bytes, Option<&'static str>), String> {
    let given = [
        parameters.body.is_some(),
        parameters.json.is_some(),
        parameters.form.is_some(),
    ];
    if given.into_iter().filter(|given| *given).count() > 1 {
        return Err("body, json and form: only one of them can be given".to_owned());
    }
    let (bytes, content_type) = if let Some(body) = &parameters.body {
        (body.clone().into_bytes(), Some("text/plain; charset=utf-8"))
    } else if let Some(json) = &parameters.json {
        (json.to_string().into_bytes(), Some("application/json"))
    } else if let Some(form) = &parameters.form {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs_of("form", form)?)
            .finish();
        (form.into_bytes(), Some("application/x-www-form-urlencoded"))
    } else {
        (Vec::new(), None)
    };
    if bytes.len() > BODY_MAX {
        return Err(format!(
            "the body of the request must be at most {} MiB",
            BODY_MAX >> 20
        ));
    }
    Ok((bytes.into(), content_type))
}

/// Names and values as text. A list gives its name several values; null leaves it out.
fn pairs_of(parameter: &str, values: &Map<String, Value>) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (name, value) in values {
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in list {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(format!(
                        "{parameter}.{name}: must be text, a number, true or false, or a list of these"
                    ));
                }
            };
            pairs.push((name.clone(), text));
        }
    }
    Ok(pairs)
}

fn headers(given: &Map<String, Value>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs_of("headers", given)? {
        let parsed = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| format!("headers: {name:?} is not a valid name of a header"))?;
        if [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(&parsed) {
            return Err(format!("headers.{name}: is set by the worker; leave it out"));
        }
        let value = HeaderValue::from_str(&value)
            .map_err(|_| format!("headers.{name}: must consist of printable ASCII characters"))?;
        headers.append(parsed, value);
    }
    Ok(headers)
}

fn authorization(auth: &Auth) -> Result<HeaderValue, String> {
    let text = match (&auth.basic, &auth.bearer) {
        (Some(basic), None) => {
            if basic.username.contains(':') {
                return Err("auth.basic.username: must not contain a colon".to_owned());
            }
            let pair = format!("{}:{}", basic.username, basic.password);
            format!("Basic {}", BASE64_STANDARD.encode(pair))
        }
        (None, Some(token)) => format!("Bearer {token}"),
        _ => return Err("auth: must be either {basic: {username, password}} or {bearer: token}".to_owned()),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| "auth.bearer: must consist of printable ASCII characters".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn expected(value: &Value) -> Result<Expected, String> {
    let class = |text: &str| text.strip_suffix("xx")?.parse().ok();
    let found = match value {
        Value::Number(code) => code
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .map(Expected::Status),
        Value::String(text) => class(text).map(Expected::Class),
        _ => None,
    };
    found.ok_or_else(|| "expect_status: must be a list of statuses such as 204 or \"2xx\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bodies_queries_and_headers() {
        let request = Request::parse(&json!({
            "method": "post", "url": "https://example.org/a?b=1#c", "query": {"q": "x y&z", "n": [1, true], "none": null},
            "form": {"a": "ü", "b": 2}, "headers": {"X-Id": 7}, "auth": {"basic": {"username": "u", "password": "p:w"}},
        }))
        .unwrap();
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.url.as_str(), "https://example.org/a?b=1&q=x+y%26z&n=1&n=true");
        assert_eq!(request.body, "a=%C3%BC&b=2");
        assert_eq!(request.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert_eq!(request.headers["x-id"], "7");
        assert_eq!(request.headers[AUTHORIZATION], "Basic dTpwOnc=");
        let own = json!({"url": "http://a", "json": [1], "headers": {"content-type": "application/x"}});
        let own = Request::parse(&own).unwrap();
        assert_eq!(
            (own.body, &own.headers[CONTENT_TYPE]),
            ("[1]".into(), &HeaderValue::from_static("application/x"))
        );
    }

    #[test]
    fn wrong_parameters_are_named_and_their_values_are_not() {
        for (parameters, expected) in [
            (json!({}), "missing field `url`"),
            (json!({"url": "example.org"}), "url: "),
            (
                json!({"url": "file:///etc/passwd"}),
                "url: must start with http:// or https://",
            ),
            (json!({"url": "http://me:hunter2@a"}), "url: must not contain a user"),
            (json!({"url": "http://a", "verfy": true}), "unknown field `verfy`"),
            (
                json!({"url": "http://a", "verify": "hunter2"}),
                "a value has the wrong type",
            ),
            (json!({"url": "http://a", "body": "x", "json": 1}), "only one of them"),
            (json!({"url": "http://a", "headers": {"a b": "x"}}), "headers: \"a b\""),
            (
                json!({"url": "http://a", "headers": {"X": "hunter2\r\nY: z"}}),
                "headers.X: must",
            ),
            (
                json!({"url": "http://a", "headers": {"Content-Length": "1"}}),
                "headers.Content-Length: is set",
            ),
            (json!({"url": "http://a", "auth": {}}), "auth: must be either"),
            (
                json!({"url": "http://a", "auth": {"bearer": "hunter2\n"}}),
                "auth.bearer",
            ),
            (
                json!({"url": "http://a", "redirects": 11}),
                "redirects: must be from 0 to 10",
            ),
            (
                json!({"url": "http://a", "timeout_seconds": 0}),
                "timeout_seconds: must",
            ),
            (
                json!({"url": "http://a", "expect_status": ["ok"]}),
                "expect_status: must",
            ),
            (json!({"url": "http://a", "query": {"a": {}}}), "query.a: must"),
        ] {
            let error = Request::parse(&parameters).err().unwrap();
            assert!(
                error.contains(expected) && !error.contains("hunter2"),
                "{parameters}: {error}"
            );
        }
    }

    #[test]
    fn another_server_gets_only_harmless_headers() {
        let parameters =
            json!({"url": "http://a", "json": 1, "headers": {"X-Key": "k", "Cookie": "c"}, "auth": {"bearer": "t"}});
        let mut headers = Request::parse(&parameters).unwrap().headers;
        keep_harmless(&mut headers);
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-type", "user-agent"]);
    }
}
