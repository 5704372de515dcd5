//! The secrets that `attune up` generates and stores in its data directory, readable by their owner only.

use anyhow::Context as _;
use attune_common::config::{Config, Security};
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
    /// Opens secrets in the worker: the private key of its pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool_key: Option<String>,
    /// The keys before the last rotation, which an operator adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jwt_secret_previous: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encryption_key_previous: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pool_key_previous: Option<String>,
}

/// Completes the configuration with keys from the data directory, and generates them when they do not exist.
pub fn complete(config: &mut Config, data_dir: &Path) -> anyhow::Result<()> {
    let security = &config.security;
    if security.jwt_secret.is_some() && security.encryption_key.is_some() && config.worker.pool_key.is_some() {
        return Ok(());
    }
    let file = data_dir.join(KEYS);
    let (mut keys, is_new) = match std::fs::read_to_string(&file) {
        Ok(text) => {
            let keys: Keys = serde_json::from_str(&text)
                .with_context(|| format!("{} is damaged; restore it from a backup", file.display()))?;
            (keys, false)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let keys = Keys {
                jwt_secret: random_key(),
                encryption_key: random_key(),
                pool_key: None,
                jwt_secret_previous: None,
                encryption_key_previous: None,
                pool_key_previous: None,
            };
            (keys, true)
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", file.display())),
    };
    // An installation of an earlier version has no key for its pool.
    if is_new || keys.pool_key.is_none() {
        keys.pool_key.get_or_insert_with(random_key);
        replace_private(&file, &serde_json::to_string_pretty(&keys)?)?;
    }
    if config.worker.pool_key.is_none() {
        config.worker.pool_key = keys.pool_key.take().map(Into::into);
        config.worker.pool_key_previous = keys.pool_key_previous.take().map(Into::into);
    }
    keys.fill(&mut config.security);
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

/// Either the old text or the new one is there, whatever happens in between.
fn replace_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let new = file.with_extension("json.new");
    write_private(&new, text)?;
    std::fs::rename(&new, file).with_context(|| format!("failed to replace {}", file.display()))
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
