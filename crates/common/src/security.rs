//! Refuses to start with secrets that are missing, short, or publicly known. The error names each of them.
//!
//! `attune up` generates its own secrets; separate services need configured ones.

use crate::config::Config;
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::HashSet;

/// A key of 32 random bytes has at least this many characters in any common encoding.
const LENGTH_MIN: usize = 32;
const DIFFERENT_MIN: usize = 10;
/// Words that occur in examples and not in random keys.
const EXAMPLE_WORDS: [&str; 7] = [
    "change", "secret", "example", "password", "insecure", "default", "attune",
];

/// Reports all weak secrets at once.
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
    weak.extend(config.message_queue.url.as_ref().and_then(remote_guest));
    anyhow::ensure!(
        weak.is_empty(),
        "insecure configuration: {}. Generate a key with `openssl rand -hex 32`",
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
    if EXAMPLE_WORDS.iter().any(|word| lower.contains(word)) {
        return Some(format!("{name} contains a word that is common in examples"));
    }
    let different = text.chars().collect::<HashSet<_>>().len();
    (different < DIFFERENT_MIN).then(|| format!("{name} consists of few different characters"))
}

/// RabbitMQ's default user is acceptable only on this machine.
fn remote_guest(url: &SecretString) -> Option<String> {
    let rest = url.expose_secret().split_once("://")?.1;
    let (user, host) = rest
        .split('/')
        .next()?
        .rsplit_once('@')
        .unwrap_or(("guest:guest", rest));
    let host = host.split('/').next().unwrap_or_default();
    let local = ["localhost", "127.", "[::1]"].iter().any(|name| host.starts_with(name));
    (user == "guest:guest" && !local).then(|| "message_queue.url uses guest:guest on a remote host".to_owned())
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
    fn weak_secrets_are_reported_by_name() {
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
            "security.jwt_secret consists of few",
        );
        check(
            weak(Some("change-me-please-change-me-please-0123"), Some(OTHER), None),
            "common in examples",
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
