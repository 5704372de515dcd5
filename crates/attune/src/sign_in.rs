//! How the first admin signs in now, for the banner of `attune up`. It names the password file only while the password in it
//! is the right one.

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
    /// With a password that only people know.
    Changed,
    /// Not as `admin`: it is disabled or gone.
    Others,
}

impl SignIn {
    pub async fn of(context: &Context, data_dir: &Path) -> anyhow::Result<Self> {
        let credentials = identity::credentials(&context.pool, ADMIN)
            .await
            .context("failed to look for the user admin")?;
        let Some(admin) = credentials.filter(|admin| admin.enabled) else {
            return Ok(Self::Others);
        };
        let file = secrets::password_file(data_dir);
        let kept = std::fs::read_to_string(&file).ok();
        if let Some(kept) = kept
            && fits(&admin, kept.trim_end().into()).await?
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
                format!("user {ADMIN}, with the password that was set last (`attune user passwd {ADMIN}` sets another)")
            }
            Self::Others => format!("the user {ADMIN} cannot sign in; `attune user list` shows who can"),
        }
    }

    /// What a shell sets so that the scripts can sign in.
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
