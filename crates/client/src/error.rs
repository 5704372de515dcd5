//! Why a request did not succeed.

use attune_domain::FieldError;
use serde::Deserialize;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client cannot be created, or the request cannot be built.
    #[error("{0}")]
    Setup(String),
    /// No complete response arrived.
    #[error("no response from {url}: {reason}")]
    Unreachable { url: String, reason: String },
    /// The server refused the request, or it failed.
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The response is not what the API returns.
    #[error("unexpected response: {0}")]
    Unexpected(String),
}

impl Error {
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Refused(problem) => Some(problem),
            _ => None,
        }
    }

    pub fn status(&self) -> Option<u16> {
        self.problem().map(|problem| problem.status)
    }
}

/// A problem document (RFC 9457). Missing fields are empty, because a proxy may answer instead of Attune.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Problem {
    pub status: u16,
    /// `urn:attune:problem:<kind>`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub detail: String,
    /// The id of the request.
    pub instance: String,
    pub errors: Vec<FieldError>,
    pub conflicts: Vec<String>,
}

impl Problem {
    pub(crate) fn of(status: u16, body: &[u8]) -> Self {
        let problem: Self = serde_json::from_slice(body).unwrap_or_default();
        Self { status, ..problem }
    }

    /// The last part of the type, such as `in_use`.
    pub fn name(&self) -> &str {
        self.kind.rsplit(':').next().unwrap_or_default()
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.detail.is_empty() {
            write!(f, "the server returned status {}", self.status)
        } else {
            f.write_str(&self.detail)
        }
    }
}
