//! Opaque secrets: 256 random bits, shown once, stored as their sha256.

use attune_common::hex;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

#[derive(Debug)]
pub struct Secret {
    pub text: SecretString,
    pub hash: [u8; 32],
    /// Its first characters, to recognise it by.
    pub prefix: String,
}

impl Secret {
    pub const API_TOKEN: &str = "atn_";
    pub const REFRESH_TOKEN: &str = "atr_";
    pub const WEB_SESSION: &str = "atw_";

    pub fn new(kind: &str) -> Self {
        let text = format!("{kind}{}", hex::encode(&rand::random::<[u8; 32]>()));
        Self {
            hash: hash(&text),
            prefix: text[..kind.len() + 6].to_owned(),
            text: text.into(),
        }
    }

    pub fn hash_of(text: &str) -> [u8; 32] {
        hash(text)
    }
}

pub fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
