//! `contexts.toml`: the servers that `attune login` knows, and their tokens. Only its owner may read it.

use super::Target;
use crate::failure::{Failure, code};
use anyhow::Context as _;
use attune_common::config::variable;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::PathBuf,
};

#[derive(Default, Serialize, Deserialize)]
pub struct Contexts {
    current: Option<String>,
    #[serde(default)]
    pub contexts: BTreeMap<String, Stored>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Stored {
    pub url: String,
    pub token: String,
    pub token_id: i64,
    pub login: String,
    pub role: String,
    pub expires_at: Option<String>,
}

fn file() -> Option<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".config"));
    let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home)?;
    Some(folder.join("attune/contexts.toml"))
}

impl Contexts {
    pub fn load() -> anyhow::Result<Self> {
        let Some(file) = file() else {
            return Ok(Self::default());
        };
        let mode = match fs::metadata(&file) {
            Ok(metadata) => metadata.mode() & 0o777,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("failed to read {}", file.display())),
        };
        let shown = file.display();
        if mode & 0o077 != 0 {
            let message =
                format!("{shown} contains tokens, but others may read it (mode {mode:04o}): run `chmod 600 {shown}`");
            return Err(Failure::new(code::NOT_SIGNED_IN, message).into());
        }
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {shown}"))?;
        toml::from_str(&text).with_context(|| format!("{shown} is damaged; delete it and sign in again"))
    }

    pub fn save(&self) -> anyhow::Result<()> {
        let file = file().context("no directory for the configuration: set HOME or XDG_CONFIG_HOME")?;
        let folder = file.parent().context("the file is in a directory")?;
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // A temporary file has the mode 0600.
            let mut written = tempfile::NamedTempFile::new_in(folder)?;
            let text = toml::to_string(self).map_err(std::io::Error::other)?;
            written.write_all(text.as_bytes())?;
            written.as_file().sync_all()?;
            written.persist(&file)?;
            std::io::Result::Ok(())
        };
        write().with_context(|| format!("failed to write {}", file.display()))
    }

    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    pub fn select(&mut self, name: Option<String>) {
        self.current = name;
    }

    pub fn get(&self, name: &str) -> anyhow::Result<&Stored> {
        let found = self.contexts.get(name);
        Ok(found.ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "none exist".to_owned()
            } else {
                known.join(", ")
            };
            Failure::new(
                code::NOT_FOUND,
                format!("no context {name} exists ({known}); `attune login URL` creates one"),
            )
        })?)
    }

    pub fn target(&self, name: &str) -> anyhow::Result<Target> {
        Ok(target(name, self.get(name)?))
    }

    pub fn of_url(&self, url: &str) -> Option<Target> {
        let found = self.contexts.iter().find(|(_, stored)| stored.url == url);
        found.map(|(name, stored)| target(name, stored))
    }
}

fn target(name: &str, stored: &Stored) -> Target {
    Target {
        url: stored.url.clone(),
        token: Some(stored.token.clone().into()),
        source: format!("context {name}"),
    }
}
