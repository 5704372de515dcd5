//! Secrets at rest: AES-256-GCM under `security.encryption_key`, bound to the place where they stand, so that a sealed
//! value that is copied to another row opens nothing.
//!
//! A sealed value is `{"sealed": "v1:<base64 of nonce and ciphertext>"}`. A value that is no such object was written by
//! hand (SQL, a pack's file) and is taken as it is.

use crate::config::Security;
use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use attune_domain::webhook::SECRET_FIELDS;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt;

const VERSION: &str = "v1:";
const NONCE_BYTES: usize = 12;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("a secret cannot be kept: security.encryption_key is not set (ATTUNE__SECURITY__ENCRYPTION_KEY)")]
    NoKey,
    #[error(
        "a sealed secret cannot be opened: it was sealed with another security.encryption_key, or for another place"
    )]
    NotOurs,
    #[error("a secret could not be sealed")]
    Failed,
}

/// Seals and opens. Without a key it opens what was written in the clear, and seals nothing.
#[derive(Clone)]
pub struct Sealer(Option<Aes256Gcm>);

impl Sealer {
    pub fn new(security: &Security) -> Self {
        let cipher = security.encryption_key.as_ref().map(|key| {
            let key = Sha256::new()
                .chain_update(b"attune seal v1\0")
                .chain_update(key.expose_secret())
                .finalize();
            Aes256Gcm::new(&key)
        });
        Self(cipher)
    }

    fn seal(&self, text: &str, place: &str) -> Result<Value, SealError> {
        let cipher = self.0.as_ref().ok_or(SealError::NoKey)?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: text.as_bytes(),
            aad: place.as_bytes(),
        };
        let sealed = cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError::Failed)?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Ok(json!({"sealed": format!("{VERSION}{}", STANDARD.encode(bytes))}))
    }

    fn open(&self, sealed: &str, place: &str) -> Result<String, SealError> {
        let cipher = self.0.as_ref().ok_or(SealError::NoKey)?;
        let bytes = sealed.strip_prefix(VERSION).and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.ok_or(SealError::NotOurs)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::NotOurs)?;
        let payload = Payload {
            msg: sealed,
            aad: place.as_bytes(),
        };
        let opened = cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| SealError::NotOurs)?;
        String::from_utf8(opened).map_err(|_| SealError::NotOurs)
    }

    /// Seals the secrets of a trigger's configuration. What is sealed already stays.
    pub fn seal_config(&self, config: &mut Value, trigger_ref: &str) -> Result<(), SealError> {
        for field in SECRET_FIELDS {
            if let Some(value) = config.get_mut(field)
                && let Some(text) = value.as_str()
            {
                *value = self.seal(text, &place(trigger_ref))?;
            }
        }
        Ok(())
    }

    /// Opens the secrets of a trigger's configuration.
    pub fn open_config(&self, config: &mut Value, trigger_ref: &str) -> Result<(), SealError> {
        for field in SECRET_FIELDS {
            if let Some(value) = config.get_mut(field)
                && let Some(sealed) = value["sealed"].as_str()
            {
                *value = self.open(sealed, &place(trigger_ref))?.into();
            }
        }
        Ok(())
    }
}

/// The present secret becomes the previous one with its ciphertext, so both have one place.
fn place(trigger_ref: &str) -> String {
    format!("trigger:{trigger_ref}")
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("key", &self.0.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(key: &str) -> Sealer {
        Sealer::new(&Security {
            encryption_key: Some(key.into()),
            ..Security::default()
        })
    }

    #[test]
    fn what_was_sealed_is_opened_in_its_place_only() {
        let ours = sealer("one");
        let plain = json!({"verify": "github", "secret": "hunter2", "secret_previous": null});
        let mut config = plain.clone();
        ours.seal_config(&mut config, "core.hook").expect("a key");
        assert!(!config.to_string().contains("hunter2"));
        let sealed = config.clone();
        ours.seal_config(&mut config, "core.hook").expect("a key");
        assert_eq!(config, sealed, "what is sealed stays as it is");
        let open = |sealer: &Sealer, place: &str| {
            let mut config = sealed.clone();
            sealer.open_config(&mut config, place).map(|()| config)
        };
        assert_eq!(open(&ours, "core.hook").expect("ours"), plain);
        assert!(matches!(open(&ours, "core.other"), Err(SealError::NotOurs)));
        assert!(matches!(open(&sealer("two"), "core.hook"), Err(SealError::NotOurs)));
        let mut again = plain.clone();
        ours.seal_config(&mut again, "core.hook").expect("a key");
        assert_ne!(again, sealed, "the same secret is never sealed the same way");
    }

    #[test]
    fn without_a_key_nothing_is_sealed_and_what_is_clear_is_used() {
        let none = Sealer::new(&Security::default());
        let mut config = json!({"secret": "x"});
        none.open_config(&mut config, "core.hook").expect("in the clear");
        assert_eq!(config, json!({"secret": "x"}));
        assert!(matches!(
            none.seal_config(&mut config, "core.hook"),
            Err(SealError::NoKey)
        ));
        let mut changed = json!({"secret": {"sealed": "v1:AAAA"}});
        assert!(matches!(
            sealer("one").open_config(&mut changed, "core.hook"),
            Err(SealError::NotOurs)
        ));
    }
}
