//! What a service refuses to start with: secrets that are missing, short, or known to everybody. Each by its name.
//!
//! `attune up` makes its own secrets; a service of its own has to be given them.

use crate::config::Config;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashSet;

/// A key of 32 random bytes has at least so many characters in any usual spelling.
const LENGTH_MIN: usize = 32;
const DIFFERENT_MIN: usize = 10;
/// Words that stand in examples and never in a key made at random.
const KNOWN: [&str; 7] = [
    "change", "secret", "example", "password", "insecure", "default", "attune",
];

/// Everything that is weak, at once.
pub fn check(config: &Config) -> anyhow::Result<()> {
    let mut weak = Vec::new();
    let security = &config.security;
    weak.extend(key("security.jwt_secret", security.jwt_secret.as_ref()));
    weak.extend(key("security.encryption_key", security.encryption_key.as_ref()));
    let previous = [
        ("security.jwt_secret_previous", &security.jwt_secret_previous),
        ("security.encryption_key_previous", &security.encryption_key_previous),
    ];
    for (name, secret) in previous {
        weak.extend(secret.as_ref().and_then(|secret| key(name, Some(secret))));
    }
    if let (Some(jwt), Some(encryption)) = (&security.jwt_secret, &security.encryption_key)
        && jwt.expose_secret() == encryption.expose_secret()
    {
        weak.push("security.jwt_secret and security.encryption_key are the same".to_owned());
    }
    weak.extend(config.message_queue.url.as_ref().and_then(guest));
    anyhow::ensure!(
        weak.is_empty(),
        "the configuration is not safe to start with: {}. Make a key with `openssl rand -hex 32`",
        weak.join("; ")
    );
    Ok(())
}

fn key(name: &str, secret: Option<&SecretString>) -> Option<String> {
    let variable = format!("ATTUNE__{}", name.to_uppercase().replace('.', "__"));
    let Some(secret) = secret else {
        return Some(format!("{name} is missing (set {variable})"));
    };
    let text = secret.expose_secret();
    if text.len() < LENGTH_MIN {
        return Some(format!("{name} is shorter than {LENGTH_MIN} characters"));
    }
    let lower = text.to_lowercase();
    if KNOWN.iter().any(|word| lower.contains(word)) {
        return Some(format!("{name} looks like one from an example"));
    }
    let different = text.chars().collect::<HashSet<_>>().len();
    (different < DIFFERENT_MIN).then(|| format!("{name} repeats a few characters"))
}

/// RabbitMQ's own default is fine on this machine only.
fn guest(url: &SecretString) -> Option<String> {
    let rest = url.expose_secret().split_once("://")?.1;
    let (user, host) = rest
        .split('/')
        .next()?
        .rsplit_once('@')
        .unwrap_or(("guest:guest", rest));
    let host = host.split('/').next().unwrap_or_default();
    let local = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
    (user == "guest:guest" && !local).then(|| "message_queue.url uses guest:guest on another machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "8f1c0d5b7a9e24633f0a6d2c1b9e8d7f40516273a4b5c6d7e8f9012345678abc";
    const OTHER: &str = "1f1c0d5b7a9e24633f0a6d2c1b9e8d7f40516273a4b5c6d7e8f9012345678abc";

    fn weak(jwt: Option<&str>, encryption: Option<&str>, queue: Option<&str>) -> String {
        let mut config = Config::default();
        config.security.jwt_secret = jwt.map(Into::into);
        config.security.encryption_key = encryption.map(Into::into);
        config.message_queue.url = queue.map(Into::into);
        check(&config).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn weak_secrets_are_named() {
        let check = |found: String, named: &str| assert!(found.contains(named), "{found:?} does not name {named:?}");
        assert_eq!(weak(Some(GOOD), Some(OTHER), None), "");
        assert_eq!(
            weak(Some(GOOD), Some(OTHER), Some("amqp://guest:guest@localhost:5672/%2f")),
            ""
        );
        assert_eq!(weak(Some(GOOD), Some(OTHER), Some("amqp://attune:x@rabbitmq/%2f")), "");
        check(
            weak(None, Some(OTHER), None),
            "security.jwt_secret is missing (set ATTUNE__SECURITY__JWT_SECRET)",
        );
        check(
            weak(Some(GOOD), Some("short"), None),
            "security.encryption_key is shorter",
        );
        check(
            weak(Some(&"ab".repeat(32)), Some(OTHER), None),
            "security.jwt_secret repeats",
        );
        check(
            weak(Some("change-me-please-change-me-please-0123"), Some(OTHER), None),
            "looks like one from an example",
        );
        check(weak(Some(GOOD), Some(GOOD), None), "are the same");
        check(
            weak(Some(GOOD), Some(OTHER), Some("amqp://guest:guest@rabbitmq:5672/%2f")),
            "guest:guest",
        );
        check(
            weak(Some(GOOD), Some(OTHER), Some("amqp://rabbitmq:5672")),
            "guest:guest",
        );
    }
}
