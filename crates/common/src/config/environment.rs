//! Settings from variables of the environment.

use super::variable;
use anyhow::Context as _;
use secrecy::SecretString;

pub fn source() -> config::Environment {
    config::Environment::with_prefix("ATTUNE")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
}

pub fn admin_password() -> anyhow::Result<Option<SecretString>> {
    if let Some(password) = variable("ATTUNE_ADMIN_PASSWORD") {
        return Ok(Some(password.into()));
    }
    let Some(file) = variable("ATTUNE_ADMIN_PASSWORD_FILE") else {
        return Ok(None);
    };
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("failed to read ATTUNE_ADMIN_PASSWORD_FILE {file}"))?;
    Ok(Some(text.trim_end().into()))
}
