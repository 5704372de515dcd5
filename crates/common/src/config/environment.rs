//! Settings from environment variables.

use anyhow::Context as _;
use secrecy::SecretString;

/// The value of an environment variable, or None if it is unset or empty.
#[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

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
