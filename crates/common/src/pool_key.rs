//! Encryption to the key of a pool of workers: X25519 with a key pair for each sealed value, HKDF-SHA256 and AES-256-GCM. The
//! API seals with the public key, which is in the database; only workers of the pool hold the private key.
//!
//! A sealed value is `v1:<id of the key>:<base64 of ephemeral public key, nonce and ciphertext>`, bound to its place.

use crate::hex;
use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use std::fmt;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

const VERSION: &str = "v1:";
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;
const INFO: &[u8] = b"attune pool seal v1\x01";

#[derive(Debug, thiserror::Error)]
pub enum PoolKeyError {
    #[error("failed to encrypt for a pool")]
    Failed,
    #[error("was sealed with another key of the pool; run `attune reseal`, or set it again")]
    AnotherKey,
    #[error("cannot be opened: it was changed, or sealed for another place")]
    NotOurs,
}

/// The public key of a pool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// From the text that [`PublicKey::to_text`] returns.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(STANDARD.decode(text).ok()?.try_into().ok()?))
    }

    pub fn to_text(self) -> String {
        STANDARD.encode(self.0)
    }

    /// Distinguishes the keys of a pool.
    pub fn id(self) -> String {
        let digest = Sha256::digest(self.0);
        hex::encode(&digest[..8])
    }

    pub fn seal(self, plain: &[u8], place: &str) -> Result<String, PoolKeyError> {
        let ephemeral = StaticSecret::from(rand::random::<[u8; KEY_BYTES]>());
        let public = x25519_dalek::PublicKey::from(&ephemeral);
        let shared = ephemeral.diffie_hellman(&x25519_dalek::PublicKey::from(self.0));
        if !shared.was_contributory() {
            return Err(PoolKeyError::Failed);
        }
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: plain,
            aad: place.as_bytes(),
        };
        let sealed = cipher(shared.as_bytes(), public.as_bytes(), &self.0)
            .and_then(|cipher| cipher.encrypt(&Nonce::from(nonce), payload).ok())
            .ok_or(PoolKeyError::Failed)?;
        let bytes = [public.as_bytes().as_slice(), &nonce, &sealed].concat();
        Ok(format!("{VERSION}{}:{}", self.id(), STANDARD.encode(bytes)))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// The private keys of a pool: the present one, and the one before the last rotation, which only opens.
#[derive(Clone)]
pub struct PoolKeys {
    present: StaticSecret,
    previous: Option<StaticSecret>,
}

impl PoolKeys {
    /// Each key is 32 random bytes in hexadecimal.
    pub fn new(present: &SecretString, previous: Option<&SecretString>) -> anyhow::Result<Self> {
        Ok(Self {
            present: private_key(present).context("worker.pool_key is invalid")?,
            previous: previous
                .map(private_key)
                .transpose()
                .context("worker.pool_key_previous is invalid")?,
        })
    }

    pub fn public(&self) -> PublicKey {
        public(&self.present)
    }

    pub fn public_previous(&self) -> Option<PublicKey> {
        self.previous.as_ref().map(public)
    }

    pub fn open(&self, sealed: &str, place: &str) -> Result<Zeroizing<Vec<u8>>, PoolKeyError> {
        let (id, bytes) = sealed
            .strip_prefix(VERSION)
            .and_then(|text| text.split_once(':'))
            .ok_or(PoolKeyError::NotOurs)?;
        let key = [Some(&self.present), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|key| public(key).id() == id)
            .ok_or(PoolKeyError::AnotherKey)?;
        open(key, bytes, place).ok_or(PoolKeyError::NotOurs)
    }
}

impl fmt::Debug for PoolKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolKeys")
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}

fn open(key: &StaticSecret, text: &str, place: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = STANDARD.decode(text).ok()?;
    let (ephemeral, rest) = bytes.split_first_chunk::<KEY_BYTES>()?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>()?;
    let shared = key.diffie_hellman(&x25519_dalek::PublicKey::from(*ephemeral));
    let cipher = cipher(shared.as_bytes(), ephemeral, &public(key).0)?;
    let payload = Payload {
        msg: sealed,
        aad: place.as_bytes(),
    };
    cipher.decrypt(&Nonce::from(*nonce), payload).ok().map(Zeroizing::new)
}

fn public(key: &StaticSecret) -> PublicKey {
    PublicKey(x25519_dalek::PublicKey::from(key).to_bytes())
}

fn private_key(text: &SecretString) -> anyhow::Result<StaticSecret> {
    let text = text.expose_secret().trim();
    anyhow::ensure!(
        text.len() == 2 * KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "must be {KEY_BYTES} random bytes in hexadecimal"
    );
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits)?, 16)?;
    }
    Ok(StaticSecret::from(*bytes))
}

/// HKDF (RFC 5869) with one block of output, bound to both public keys.
fn cipher(shared: &[u8], ephemeral: &[u8], public: &[u8]) -> Option<Aes256Gcm> {
    let mac = |key: &[u8], parts: &[&[u8]]| -> Option<Zeroizing<[u8; KEY_BYTES]>> {
        let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).ok()?;
        for part in parts {
            mac.update(part);
        }
        Some(Zeroizing::new(mac.finalize().into_bytes().into()))
    };
    let extracted = mac(&[ephemeral, public].concat(), &[shared])?;
    let key = mac(extracted.as_slice(), &[INFO])?;
    Aes256Gcm::new_from_slice(key.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(present: &str, previous: Option<&str>) -> PoolKeys {
        let key = |digit: &str| SecretString::from(digit.repeat(64));
        PoolKeys::new(&key(present), previous.map(key).as_ref()).expect("keys")
    }

    #[test]
    fn only_the_pool_opens_what_was_sealed_to_it() {
        let ours = keys("1", None);
        let sealed = ours.public().seal(b"hunter2", "secret:1:1").expect("sealed");
        assert!(!sealed.contains("hunter2"));
        assert_eq!(*ours.open(&sealed, "secret:1:1").expect("ours"), b"hunter2");
        assert!(matches!(ours.open(&sealed, "secret:1:2"), Err(PoolKeyError::NotOurs)));
        assert!(matches!(
            keys("2", None).open(&sealed, "secret:1:1"),
            Err(PoolKeyError::AnotherKey)
        ));
        let changed = format!("{}AAAA", &sealed[..sealed.len() - 4]);
        assert!(ours.open(&changed, "secret:1:1").is_err());
        for junk in ["", "v1:", "v1:x:y", "v2:a:b"] {
            assert!(ours.open(junk, "secret:1:1").is_err(), "{junk:?}");
        }
        assert_ne!(ours.public().seal(b"hunter2", "secret:1:1").expect("sealed"), sealed);
        // After a rotation both open, and the public key is the new one.
        let rotated = keys("2", Some("1"));
        assert_eq!(
            *rotated.open(&sealed, "secret:1:1").expect("with the previous key"),
            b"hunter2"
        );
        assert_eq!(rotated.public(), keys("2", None).public());
        assert_eq!(PublicKey::parse(&ours.public().to_text()), Some(ours.public()));
        assert!(!format!("{ours:?}").contains("1111"));
        assert!(PoolKeys::new(&"12".into(), None).is_err());
        // A point of small order gives no shared secret.
        assert!(PublicKey([0; KEY_BYTES]).seal(b"x", "y").is_err());
    }
}
