//! The secrets that `attune up` generates and stores in its data directory, readable by their owner only.

use anyhow::Context as _;
use attune_common::config::Security;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

const KEYS: &str = "secrets.json";

#[derive(Debug, Serialize, Deserialize)]
struct Keys {
    jwt_secret: String,
    encryption_key: String,
    /// The keys before the last rotation, which an operator adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt_secret_previous: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption_key_previous: Option<String>,
}

/// Completes the configuration with keys from the data directory, and generates them when they do not exist.
pub fn complete(security: &mut Security, data_dir: &Path) -> anyhow::Result<()> {
    if security.jwt_secret.is_some() && security.encryption_key.is_some() {
        return Ok(());
    }
    let file = data_dir.join(KEYS);
    let keys = match std::fs::read_to_string(&file) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; restore it from a backup", file.display()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let keys = Keys {
                jwt_secret: random_key(),
                encryption_key: random_key(),
                jwt_secret_previous: None,
                encryption_key_previous: None,
            };
            write_private(&file, &serde_json::to_string_pretty(&keys)?)?;
            keys
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", file.display())),
    };
    keys.fill(security);
    Ok(())
}

impl Keys {
    /// Sets what the configuration leaves open.
    fn fill(self, security: &mut Security) {
        security.jwt_secret.get_or_insert(self.jwt_secret.into());
        security.encryption_key.get_or_insert(self.encryption_key.into());
        if let Some(previous) = self.jwt_secret_previous {
            security.jwt_secret_previous.get_or_insert(previous.into());
        }
        if let Some(previous) = self.encryption_key_previous {
            security.encryption_key_previous.get_or_insert(previous.into());
        }
    }
}

/// The keys of a backup; an error when the text does not hold any.
pub fn read_keys(text: &str) -> anyhow::Result<Security> {
    let keys: Keys = serde_json::from_str(text).context("the keys of the backup are damaged")?;
    let mut security = Security::default();
    keys.fill(&mut security);
    Ok(security)
}

/// Stores the keys of a backup as the installation's own.
pub fn keep_keys(data_dir: &Path, text: &str) -> anyhow::Result<()> {
    write_private(&data_dir.join(KEYS), text)
}

/// The file of the first admin's password.
pub fn password_file(data_dir: &Path) -> PathBuf {
    data_dir.join("admin-password")
}

pub fn keep_password(data_dir: &Path, password: &SecretString) -> anyhow::Result<()> {
    write_private(&password_file(data_dir), &format!("{}\n", password.expose_secret()))
}

fn random_key() -> String {
    let [high, low] = rand::random::<[u128; 2]>();
    format!("{high:032x}{low:032x}")
}

pub fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("failed to write {}", file.display()))
}
