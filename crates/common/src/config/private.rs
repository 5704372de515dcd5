//! Files that contain secrets.

use super::Config;
use std::path::{Path, PathBuf};

impl Config {
    /// Files and folders that contain secrets, which actions must not read.
    pub fn private(&self) -> &[PathBuf] {
        &self.private
    }

    /// Adds to [`Self::private`].
    pub fn keep_private(&mut self, path: &Path) {
        self.private.push(path.to_owned());
    }

    /// Remembers the file with the first admin's generated password.
    pub fn keep_generated_password(&mut self, file: PathBuf) {
        self.generated_password = Some(file);
    }

    /// Removes that file, because the password has changed.
    pub fn forget_generated_password(&self) {
        if let Some(file) = &self.generated_password
            && let Err(error) = std::fs::remove_file(file)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %file.display(), "failed to remove the file with the previous admin password; remove it manually");
        }
    }
}
