//! The configuration of a webhook trigger.
//!
//! ```json
//! {"verify": "github", "secret": "…", "secret_previous": "…", "headers": ["x-tenant"], "dedup": {"pointer": "/order/id"}}
//! ```
//!
//! `verify` is required, also for `none`, because an open endpoint is a decision.

use super::{
    challenge::QueryChallenge,
    mask::{MASK, SECRET_PREVIOUS_EXPIRES_AT, is_concealed},
    secret::Secret,
    signature::{Algorithm, Encoding, Generic, base64},
};
use crate::{FieldErrors, dedup, json, spelled::closest_match, whole};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::{fmt, str::FromStr};

pub const METHODS: [&str; 5] = ["POST", "PUT", "PATCH", "DELETE", "GET"];
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
pub const WAIT_SECONDS_MAX: u64 = 30;
const REQUESTS_PER_SECOND: u32 = 500;
const HEADERS_MAX: usize = 32;
const SECRET_BYTES_MAX: usize = 1024;
/// The fields that every profile has.
const NAMES: [&str; 12] = [
    "verify",
    "secret",
    "secret_previous",
    "dedup",
    "dedup_window_seconds",
    "methods",
    "headers",
    "body_bytes_max",
    "requests_per_second",
    "wait_seconds",
    "challenge",
    "files",
];
const GENERIC_NAMES: [&str; 4] = ["header", "algorithm", "encoding", "prefix"];
const PROFILES: &str = "none, standard-webhooks, github, stripe, slack, gitlab or generic";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    pub profile: Profile,
    /// The current secret, and during a rotation also the previous one.
    pub secrets: Vec<Secret>,
    /// From then on only the current secret is valid.
    pub previous_expires_at: Option<DateTime<Utc>>,
    pub dedup: DedupSource,
    pub dedup_window_seconds: i64,
    pub methods: Vec<&'static str>,
    /// Headers in lower case that the payload contains in addition to the usual ones.
    pub headers: Vec<String>,
    pub body_bytes_max: usize,
    /// Limit of genuine requests; 0 means unlimited.
    pub requests_per_second: u32,
    /// How long the response waits for the outcome of the event.
    pub wait_seconds: Option<u64>,
    /// A handshake in the query.
    pub challenge: Option<QueryChallenge>,
    /// Files in `multipart/form-data` are left out; otherwise a request with one is refused.
    pub ignores_files: bool,
}

/// How a sender authenticates its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    None,
    StandardWebhooks,
    Github,
    Stripe,
    Slack,
    Gitlab,
    Generic(Generic),
}

impl Profile {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::StandardWebhooks => "standard-webhooks",
            Self::Github => "github",
            Self::Stripe => "stripe",
            Self::Slack => "slack",
            Self::Gitlab => "gitlab",
            Self::Generic(_) => "generic",
        }
    }
}

/// What identifies a repeated request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DedupSource {
    /// The identity that the profile's senders provide.
    Profile,
    Header(String),
    /// A JSON pointer into the body.
    Pointer(String),
    /// Every request is an event.
    Nothing,
}

impl WebhookConfig {
    /// The secrets that are valid at this instant.
    pub fn secrets_at(&self, now: DateTime<Utc>) -> &[Secret] {
        let over = self.previous_expires_at.is_some_and(|end| end <= now);
        let count = if over { 1 } else { self.secrets.len() };
        &self.secrets[..count.min(self.secrets.len())]
    }

    /// Parses a configuration, or reports all its errors.
    pub fn parse(value: &Value) -> Result<Self, FieldErrors> {
        let Value::Object(fields) = value else {
            return Err(FieldErrors::one(
                "",
                format!("must be an object, not {}", json::kind(value)),
            ));
        };
        let mut reader = Reader {
            fields: fields.clone(),
            errors: FieldErrors::new(),
        };
        let profile = reader.profile();
        let secrets = reader.secrets(profile.as_ref());
        let config = Self {
            profile: profile.unwrap_or(Profile::None),
            secrets,
            previous_expires_at: reader.instant(SECRET_PREVIOUS_EXPIRES_AT),
            dedup: reader.dedup(),
            dedup_window_seconds: reader.number(
                "dedup_window_seconds",
                dedup::WINDOW_SECONDS_MIN,
                dedup::WINDOW_SECONDS_MAX,
                dedup::WINDOW_SECONDS_DEFAULT,
            ),
            methods: reader.methods(),
            headers: reader.headers(),
            body_bytes_max: reader.number("body_bytes_max", 1, BODY_BYTES_MAX, BODY_BYTES_MAX),
            requests_per_second: reader.number("requests_per_second", 0, 100_000, REQUESTS_PER_SECOND),
            wait_seconds: Some(reader.number("wait_seconds", 0, WAIT_SECONDS_MAX, 0)).filter(|seconds| *seconds > 0),
            challenge: reader.challenge(),
            ignores_files: reader.ignores_files(),
        };
        for (name, _) in reader.fields {
            let message = match (closest_match(&name, &NAMES), GENERIC_NAMES.contains(&name.as_str())) {
                (_, true) => "belongs to `verify: generic` only; leave it out".to_owned(),
                (Some(near), _) => format!("unknown field; did you mean `{near}`?"),
                (None, _) => format!("unknown field; expected one of: {}", NAMES.join(", ")),
            };
            reader.errors.add(name.chars().take(64).collect::<String>(), message);
        }
        reader.errors.into_result().map(|()| config)
    }
}

struct Reader {
    fields: Map<String, Value>,
    errors: FieldErrors,
}

impl Reader {
    /// A field that is null counts as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.shift_remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            other => {
                self.errors
                    .add(name, format!("must be a string, not {}", json::kind(&other)));
                None
            }
        }
    }

    fn instant(&mut self, name: &str) -> Option<DateTime<Utc>> {
        let text = self.text(name)?;
        let at = DateTime::parse_from_rfc3339(&text).ok();
        if at.is_none() {
            self.errors.add(name, "must be an instant such as 2027-01-20T15:00:00Z");
        }
        at.map(|at| at.to_utc())
    }

    fn number<T: Copy + PartialOrd + fmt::Display + TryFrom<i64>>(
        &mut self,
        name: &str,
        min: T,
        max: T,
        default: T,
    ) -> T {
        let Some(value) = self.take(name) else {
            return default;
        };
        whole::read(name, &value, min..=max).unwrap_or_else(|message| {
            self.errors.add(name, message);
            default
        })
    }

    fn profile(&mut self) -> Option<Profile> {
        let Some(name) = self.text("verify") else {
            if self.errors.is_empty() {
                self.errors.add("verify", format!("is missing: expected {PROFILES}"));
            }
            return None;
        };
        match name.to_ascii_lowercase().replace(['_', ' '], "-").as_str() {
            "none" => Some(Profile::None),
            "standard-webhooks" => Some(Profile::StandardWebhooks),
            "github" => Some(Profile::Github),
            "stripe" => Some(Profile::Stripe),
            "slack" => Some(Profile::Slack),
            "gitlab" | "gitlab-token" => Some(Profile::Gitlab),
            "generic" => Some(Profile::Generic(self.generic())),
            _ => {
                let name: String = name.chars().take(64).collect();
                self.errors.add("verify", format!("is {name:?}: must be {PROFILES}"));
                None
            }
        }
    }

    fn generic(&mut self) -> Generic {
        let header = self.text("header").unwrap_or_else(|| {
            self.errors
                .add("header", "is missing: name the header that holds the signature");
            String::new()
        });
        let header = self.header_name("header", &header);
        Generic {
            header,
            algorithm: self.spelled("algorithm", Algorithm::Sha256),
            encoding: self.spelled("encoding", Encoding::Hex),
            prefix: self.text("prefix").unwrap_or_default(),
        }
    }

    fn spelled<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, default: T) -> T {
        let Some(text) = self.text(name) else {
            return default;
        };
        text.parse().unwrap_or_else(|error| {
            self.errors.add(name, format!("{error}"));
            default
        })
    }

    /// A name in lower case.
    fn header_name(&mut self, path: &str, name: &str) -> String {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if !name.is_empty() && (name.len() > 64 || !name.bytes().all(is_token)) {
            self.errors.add(path, "is not the name of a header");
        }
        name.to_ascii_lowercase()
    }

    fn secrets(&mut self, profile: Option<&Profile>) -> Vec<Secret> {
        let (present, previous) = (self.secret("secret", profile), self.secret("secret_previous", profile));
        match profile {
            Some(Profile::None) if present.is_some() || previous.is_some() => {
                self.errors.add("secret", "has no effect: verify is none");
            }
            Some(Profile::None) | None => {}
            Some(_) if present.is_none() && self.errors.iter().all(|error| error.path != "secret") => {
                self.errors.add("secret", "is missing");
            }
            Some(_) => {}
        }
        present.into_iter().chain(previous).collect()
    }

    fn secret(&mut self, name: &str, profile: Option<&Profile>) -> Option<Secret> {
        let text = self.text(name)?;
        if text == MASK {
            self.errors
                .add(name, "is the mask of a secret; write the secret itself");
            return None;
        }
        if !(1..=SECRET_BYTES_MAX).contains(&text.len()) {
            self.errors
                .add(name, format!("must have 1 to {SECRET_BYTES_MAX} bytes"));
            return None;
        }
        if profile != Some(&Profile::StandardWebhooks) {
            return Some(Secret::new(text.into_bytes()));
        }
        let key = base64(text.strip_prefix("whsec_").unwrap_or(&text));
        if key.is_none() {
            self.errors.add(name, "must be base64, with or without whsec_ in front");
        }
        key.map(Secret::new)
    }

    fn dedup(&mut self) -> DedupSource {
        const SHAPE: &str = r#"must be {"header": "…"}, {"pointer": "/…"} or "none""#;
        let Some(value) = self.take("dedup") else {
            return DedupSource::Profile;
        };
        let only = value.as_object().filter(|fields| fields.len() == 1);
        let only = only.and_then(|fields| fields.iter().next());
        match (value.as_str(), only) {
            (Some("none"), _) => return DedupSource::Nothing,
            (_, Some((name, Value::String(text)))) if name == "header" && !text.is_empty() => {
                let name = self.header_name("dedup.header", text);
                return DedupSource::Header(name);
            }
            (_, Some((name, Value::String(text)))) if name == "pointer" => {
                // In a pointer, `~` must be followed by 0 or 1.
                let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
                if text.starts_with('/') && text.len() <= 256 && escaped {
                    return DedupSource::Pointer(text.clone());
                }
                let message = "must be a JSON pointer into the body, such as /order/id";
                self.errors.add("dedup.pointer", message);
            }
            _ => self.errors.add("dedup", SHAPE),
        }
        DedupSource::Profile
    }

    fn challenge(&mut self) -> Option<QueryChallenge> {
        match QueryChallenge::parse(&self.take("challenge")?) {
            Ok(challenge) => Some(challenge),
            Err(message) => {
                self.errors.add("challenge", message);
                None
            }
        }
    }

    fn ignores_files(&mut self) -> bool {
        match self.text("files").as_deref() {
            None | Some("refuse") => false,
            Some("ignore") => true,
            Some(_) => {
                self.errors.add("files", "must be refuse or ignore");
                false
            }
        }
    }

    fn methods(&mut self) -> Vec<&'static str> {
        let Some(value) = self.take("methods") else {
            return vec!["POST"];
        };
        let known = |name: &Value| {
            let name = name.as_str()?.to_ascii_uppercase();
            METHODS.into_iter().find(|method| *method == name)
        };
        let methods = value
            .as_array()
            .filter(|names| !names.is_empty())
            .and_then(|names| names.iter().map(known).collect::<Option<Vec<_>>>());
        methods.unwrap_or_else(|| {
            self.errors
                .add("methods", format!("must be a list of {}", METHODS.join(", ")));
            Vec::new()
        })
    }

    fn headers(&mut self) -> Vec<String> {
        let Some(value) = self.take("headers") else {
            return Vec::new();
        };
        let Some(names) = value.as_array().filter(|names| names.len() <= HEADERS_MAX) else {
            self.errors.add(
                "headers",
                format!("must be a list of at most {HEADERS_MAX} names of headers"),
            );
            return Vec::new();
        };
        let mut headers = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let path = format!("headers[{i}]");
            let name = name.as_str().unwrap_or_default();
            if name.is_empty() || is_concealed(&name.to_ascii_lowercase()) {
                self.errors
                    .add(path, "must be the name of a header that does not carry credentials");
                continue;
            }
            let name = self.header_name(&path, name);
            headers.push(name);
        }
        headers
    }
}
