//! Encryption of secrets at rest: AES-256-GCM with `security.encryption_key`, bound to the place of the secret, so that a sealed
//! value that is copied to another row cannot be decrypted.
//!
//! A sealed value is `{"sealed": "v1:<base64 of nonce and ciphertext>"}`. Any other value was written as plain text (with SQL or
//! in a pack's file) and is used as it is.

use crate::config::Security;
use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce,
    aead::{Aead as _, Payload},
};
use attune_domain::webhook::SECRET_FIELDS;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt;

const VERSION: &str = "v1:";
const NONCE_BYTES: usize = 12;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error("failed to encrypt a secret: security.encryption_key is not set (ATTUNE__SECURITY__ENCRYPTION_KEY)")]
    NoKey,
    #[error("failed to decrypt a secret: it was encrypted with another security.encryption_key, or for another place")]
    NotOurs,
    #[error("failed to encrypt a secret")]
    Failed,
}

/// Seals and opens secrets. Without a key it only reads plain text. The key before the last rotation only decrypts.
#[derive(Clone)]
pub struct Sealer {
    present: Option<Aes256Gcm>,
    previous: Option<Aes256Gcm>,
}

impl Sealer {
    pub fn new(security: &Security) -> Self {
        Self {
            present: security.encryption_key.as_ref().map(cipher),
            previous: security.encryption_key_previous.as_ref().map(cipher),
        }
    }

    fn seal(&self, text: &str, place: &str) -> Result<Value, SealError> {
        Ok(json!({"sealed": self.seal_text(text, place)?}))
    }

    fn seal_text(&self, text: &str, place: &str) -> Result<String, SealError> {
        let cipher = self.present.as_ref().ok_or(SealError::NoKey)?;
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: text.as_bytes(),
            aad: place.as_bytes(),
        };
        let sealed = cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SealError::Failed)?;
        let bytes = [nonce.as_slice(), &sealed].concat();
        Ok(format!("{VERSION}{}", STANDARD.encode(bytes)))
    }

    /// Encrypts the key in a webhook's URL.
    pub fn seal_webhook_key(&self, key: &str, trigger_ref: &str) -> Result<String, SealError> {
        self.seal_text(key, &webhook_key_place(trigger_ref))
    }

    /// Decrypts the key in a webhook's URL.
    pub fn open_webhook_key(&self, sealed: &str, trigger_ref: &str) -> Result<String, SealError> {
        self.open(sealed, &webhook_key_place(trigger_ref))
    }

    /// Encrypts the key again if it was encrypted with the previous encryption key.
    pub fn reseal_webhook_key(&self, sealed: &str, trigger_ref: &str) -> Result<Option<String>, SealError> {
        let present = self.present.as_ref().ok_or(SealError::NoKey)?;
        if open(present, sealed, &webhook_key_place(trigger_ref)).is_ok() {
            return Ok(None);
        }
        let key = self.open_webhook_key(sealed, trigger_ref)?;
        self.seal_webhook_key(&key, trigger_ref).map(Some)
    }

    pub fn has_key(&self) -> bool {
        self.present.is_some()
    }

    /// Encrypts the value of a secret.
    pub fn seal_secret(&self, text: &str, id: i64, version: i64) -> Result<String, SealError> {
        self.seal_text(text, &secret_place(id, version))
    }

    pub fn open_secret(&self, sealed: &str, id: i64, version: i64) -> Result<String, SealError> {
        self.open(sealed, &secret_place(id, version))
    }

    /// Whether the secret needs no new encryption.
    pub fn is_current_secret(&self, sealed: &str, id: i64, version: i64) -> bool {
        self.is_current(sealed, &secret_place(id, version))
    }

    /// Encrypts a literal of a secret parameter.
    pub fn seal_literal(&self, text: &str, place: &str) -> Result<String, SealError> {
        self.seal_text(text, place)
    }

    pub fn open_literal(&self, sealed: &str, place: &str) -> Result<String, SealError> {
        self.open(sealed, place)
    }

    /// Whether it was encrypted with the present key.
    pub fn is_current(&self, sealed: &str, place: &str) -> bool {
        self.present
            .as_ref()
            .is_some_and(|present| open(present, sealed, place).is_ok())
    }

    fn open(&self, sealed: &str, place: &str) -> Result<String, SealError> {
        let present = self.present.as_ref().ok_or(SealError::NoKey)?;
        let opened = open(present, sealed, place);
        match (&opened, &self.previous) {
            (Err(_), Some(previous)) => open(previous, sealed, place),
            _ => opened,
        }
    }

    /// Seals the secrets of a trigger's configuration. Secrets sealed with the present key are unchanged; those sealed with the
    /// previous one are sealed again.
    pub fn seal_config(&self, config: &mut Value, trigger_ref: &str) -> Result<(), SealError> {
        let place = place(trigger_ref);
        for field in SECRET_FIELDS {
            let Some(value) = config.get_mut(field) else {
                continue;
            };
            let text = match (value.as_str(), value["sealed"].as_str(), &self.present) {
                (Some(text), ..) => text.to_owned(),
                (None, Some(sealed), Some(present)) if open(present, sealed, &place).is_err() => {
                    self.open(sealed, &place)?
                }
                _ => continue,
            };
            *value = self.seal(&text, &place)?;
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

fn cipher(key: &SecretString) -> Aes256Gcm {
    let key = Sha256::new()
        .chain_update(b"attune seal v1\0")
        .chain_update(key.expose_secret())
        .finalize();
    Aes256Gcm::new(&key)
}

fn open(cipher: &Aes256Gcm, sealed: &str, place: &str) -> Result<String, SealError> {
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

/// The present and the previous secret have the same place, because a rotation moves the ciphertext.
fn place(trigger_ref: &str) -> String {
    format!("trigger:{trigger_ref}")
}

fn secret_place(id: i64, version: i64) -> String {
    format!("secret:{id}:{version}")
}

fn webhook_key_place(trigger_ref: &str) -> String {
    format!("webhook_key:{trigger_ref}")
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("key", &self.present.is_some())
            .field("previous", &self.previous.is_some())
            .finish()
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
    fn a_sealed_secret_opens_only_in_its_place() {
        let ours = sealer("one");
        let plain = json!({"verify": "github", "secret": "hunter2", "secret_previous": null});
        let mut config = plain.clone();
        ours.seal_config(&mut config, "core.hook").expect("a key");
        assert!(!config.to_string().contains("hunter2"));
        let sealed = config.clone();
        ours.seal_config(&mut config, "core.hook").expect("a key");
        assert_eq!(config, sealed, "a sealed secret is unchanged");
        let open = |sealer: &Sealer, place: &str| {
            let mut config = sealed.clone();
            sealer.open_config(&mut config, place).map(|()| config)
        };
        assert_eq!(open(&ours, "core.hook").expect("ours"), plain);
        assert!(matches!(open(&ours, "core.other"), Err(SealError::NotOurs)));
        assert!(matches!(open(&sealer("two"), "core.hook"), Err(SealError::NotOurs)));
        let mut again = plain.clone();
        ours.seal_config(&mut again, "core.hook").expect("a key");
        assert_ne!(again, sealed, "sealing the same secret again gives another ciphertext");
    }

    #[test]
    fn after_a_rotation_both_keys_open_and_the_new_one_seals() {
        let rotated = Sealer::new(&Security {
            encryption_key: Some("two".into()),
            encryption_key_previous: Some("one".into()),
            ..Security::default()
        });
        let mut config = json!({"secret": "hunter2", "secret_previous": "hunter1"});
        sealer("one").seal_config(&mut config, "core.hook").expect("a key");
        let before = config.clone();
        let mut opened = config.clone();
        rotated
            .open_config(&mut opened, "core.hook")
            .expect("the previous key opens it");
        assert_eq!(opened["secret"], "hunter2");
        assert!(matches!(
            sealer("two").open_config(&mut config.clone(), "core.hook"),
            Err(SealError::NotOurs)
        ));

        rotated.seal_config(&mut config, "core.hook").expect("sealed again");
        assert_ne!(config, before);
        let resealed = config.clone();
        rotated.seal_config(&mut config, "core.hook").expect("sealed already");
        assert_eq!(config, resealed, "a secret sealed with the present key is unchanged");
        sealer("two")
            .open_config(&mut config, "core.hook")
            .expect("without the previous key");
        assert_eq!(config, json!({"secret": "hunter2", "secret_previous": "hunter1"}));
        let mut foreign = before;
        assert!(matches!(
            sealer("three").seal_config(&mut foreign, "core.hook"),
            Err(SealError::NotOurs)
        ));
    }

    #[test]
    fn without_a_key_only_plain_text_is_used() {
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
