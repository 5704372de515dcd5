//! Why a request is refused.

/// How far a request's timestamp may be from now, in either direction.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Why a request is not accepted as genuine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the header {0} is missing")]
    Missing(String),
    #[error("the header {0} cannot be read: {1}")]
    Malformed(String, &'static str),
    #[error("the timestamp is {0} seconds away from now: at most {TOLERANCE_SECONDS} are allowed")]
    Timestamp(i64),
    #[error("the signature is not that of this body and a secret of this webhook")]
    Signature,
    #[error("the token is not a secret of this webhook")]
    Token,
}

impl Refusal {
    /// A single word, for metrics and lists.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing(_) => "missing_header",
            Self::Malformed(..) => "malformed_header",
            Self::Timestamp(_) => "timestamp",
            Self::Signature => "signature",
            Self::Token => "token",
        }
    }
}
