//! Signatures: a keyed hash of the request, compared in constant time.

use super::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq as _};

use crate::spelled::spelled;

spelled! {
    Algorithm {
        Sha256 = "sha256",
        Sha512 = "sha512",
        /// For senders that support nothing better.
        Sha1 = "sha1",
    }
}

spelled! {
    Encoding {
        Hex = "hex",
        Base64 = "base64",
    }
}

/// A sender without its own profile: the header and the encoding of its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generic {
    pub header: String,
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    /// The prefix of the signature: `sha256=`.
    pub prefix: String,
}

impl Algorithm {
    fn sign(self, secret: &Secret, parts: &[&[u8]]) -> Option<Vec<u8>> {
        macro_rules! sign {
            ($hash:ty) => {{
                let mut mac = Hmac::<$hash>::new_from_slice(secret.bytes()).ok()?;
                for part in parts {
                    mac.update(part);
                }
                Some(mac.finalize().into_bytes().to_vec())
            }};
        }
        match self {
            Self::Sha256 => sign!(Sha256),
            Self::Sha512 => sign!(Sha512),
            Self::Sha1 => sign!(Sha1),
        }
    }
}

/// Whether one of the signatures matches one of the secrets. Every pair is compared completely.
pub(super) fn holds(algorithm: Algorithm, secrets: &[Secret], parts: &[&[u8]], given: &[Vec<u8>]) -> bool {
    let mut holds = Choice::from(0);
    for secret in secrets {
        let Some(right) = algorithm.sign(secret, parts) else {
            continue;
        };
        for signature in given {
            holds |= right.ct_eq(signature);
        }
    }
    holds.into()
}

/// Whether it is one of the secrets itself.
pub(super) fn is_secret(secrets: &[Secret], given: &[u8]) -> bool {
    let mut holds = Choice::from(0);
    for secret in secrets {
        holds |= secret.bytes().ct_eq(given);
    }
    holds.into()
}

impl Encoding {
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex(text),
            Self::Base64 => base64(text),
        }
    }
}

pub(super) fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}
