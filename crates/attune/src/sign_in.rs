//! How the first admin signs in, for the banner of `attune up`. The password file is mentioned only while its password is
//! valid.

use crate::secrets;
use anyhow::Context as _;
use attune_api::auth::{FIRST_ADMIN as ADMIN, Hashing};
use attune_common::{
    service::Context,
    store::identity::{self, Credentials},
};
use secrecy::SecretString;
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq, Eq)]
pub enum SignIn {
    /// With the password in this file.
    File(PathBuf),
    /// With the password of the configuration.
    Configured,
    /// With a password that was changed and is not stored anywhere.
    Changed,
    /// Not as `admin`, which is disabled or deleted.
    Others,
}

impl SignIn {
    pub async fn of(context: &Context, data_dir: &Path) -> anyhow::Result<Self> {
        let credentials = identity::credentials(&context.pool, ADMIN)
            .await
            .context("failed to find the user admin")?;
        let Some(admin) = credentials.filter(|admin| admin.enabled) else {
            return Ok(Self::Others);
        };
        let file = secrets::password_file(data_dir);
        let stored = std::fs::read_to_string(&file).ok();
        if let Some(stored) = stored
            && fits(&admin, stored.trim_end().into()).await?
        {
            return Ok(Self::File(file));
        }
        context.config.forget_generated_password();
        if let Some(given) = &context.config.security.admin_password
            && fits(&admin, given.clone()).await?
        {
            return Ok(Self::Configured);
        }
        Ok(Self::Changed)
    }

    pub fn describe(&self) -> String {
        match self {
            Self::File(file) => format!("user {ADMIN}, password in {}", file.display()),
            Self::Configured => format!("user {ADMIN}, with the configured password (ATTUNE_ADMIN_PASSWORD)"),
            Self::Changed => {
                format!(
                    "user {ADMIN}, with the password that was set last (`attune admin user passwd {ADMIN}` sets a new one)"
                )
            }
            Self::Others => format!("the user {ADMIN} cannot sign in; `attune admin user list` shows who can"),
        }
    }

    /// The environment variables with which the scripts sign in.
    pub fn variables(&self) -> String {
        match self {
            Self::File(file) => format!("ATTUNE_API_PASSWORD_FILE={}", file.display()),
            Self::Configured | Self::Changed | Self::Others => "ATTUNE_API_PASSWORD=…".to_owned(),
        }
    }
}

async fn fits(admin: &Credentials, password: SecretString) -> anyhow::Result<bool> {
    Hashing::new()?
        .verify(password, Some(admin.password_hash.clone()))
        .await
}
