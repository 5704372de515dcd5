//! Passwords: Argon2id with 19 MiB and two passes. Hashing is expensive on purpose, so its concurrency is limited, and an
//! unknown account costs as much as a known one.

use anyhow::Context as _;
use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use attune_domain::FieldErrors;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use tokio::sync::Semaphore;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Allocations larger than `DEFAULT_MMAP_THRESHOLD_MAX` of glibc are separate mappings.
const RETURNED_TO_SYSTEM: usize = 33 << 20;
const BYTES_MIN: usize = 12;
/// A longer one costs time and adds no security.
const BYTES_MAX: usize = 256;
const KNOWN: [&str; 8] = [
    "changeme",
    "change-me",
    "password",
    "attune",
    "administrator",
    "letmein",
    "0123456789",
    "qwertyuiop",
];

#[derive(Debug, Clone)]
pub struct Hashing {
    gate: Arc<Semaphore>,
    /// A hash that nothing matches, for unknown accounts.
    unmatchable: Arc<str>,
}

impl Hashing {
    pub fn new() -> anyhow::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let unmatchable = hash(&rand::random::<[u8; 32]>())?;
        Ok(Self {
            gate: Arc::new(Semaphore::new(2 * processors)),
            unmatchable: unmatchable.into(),
        })
    }

    /// Whether the password matches. Without a hash it does not, which takes just as long to find out.
    pub async fn verify(&self, password: SecretString, known: Option<String>) -> anyhow::Result<bool> {
        let is_known = known.is_some();
        let against = known.unwrap_or_else(|| self.unmatchable.to_string());
        let fits = self.run(move || verify(password.expose_secret(), &against)).await?;
        Ok(fits && is_known)
    }

    pub async fn hash(&self, password: SecretString) -> anyhow::Result<String> {
        self.run(move || hash(password.expose_secret().as_bytes())).await?
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
        let permit = self
            .gate
            .clone()
            .acquire_owned()
            .await
            .context("the hashing semaphore is closed")?;
        tokio::task::spawn_blocking(move || {
            // Held by the task, not by the request: a client that disconnects does not free a place.
            let _permit = permit;
            work()
        })
        .await
        .context("the hashing task was canceled")
    }
}

/// Whether this is acceptable as a new password.
pub fn check_new_password(path: &str, password: &SecretString) -> Result<(), FieldErrors> {
    let text = password.expose_secret();
    if text.len() < BYTES_MIN || text.len() > BYTES_MAX {
        return Err(FieldErrors::one(
            path,
            format!("must have {BYTES_MIN} to {BYTES_MAX} characters"),
        ));
    }
    let lower = text.to_ascii_lowercase();
    let alike = lower.chars().all(|c| lower.starts_with(c));
    if alike
        || KNOWN
            .iter()
            .any(|known| lower.trim_matches(|c: char| !c.is_ascii_alphabetic()) == *known)
    {
        return Err(FieldErrors::one(path, "must not be a common password"));
    }
    Ok(())
}

pub fn hash(password: &[u8]) -> anyhow::Result<String> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).context("invalid parameters of argon2")?;
    let salt = Salt::new(&rand::random::<[u8; 16]>())?;
    let mut hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params)?,
        salt: Some(salt),
        hash: None,
    };
    hash.hash = Some(computed(password, &hash, Params::DEFAULT_OUTPUT_LEN)?);
    Ok(hash.to_string())
}

fn verify(password: &str, hash: &str) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else {
        return false;
    };
    let Some(expected) = hash.hash.filter(|_| password.len() <= BYTES_MAX) else {
        return false;
    };
    // Outputs are compared in constant time.
    computed(password.as_bytes(), &hash, expected.len()).is_ok_and(|output| output == expected)
}

/// The output for the password with the algorithm, the parameters and the salt of `hash`.
fn computed(password: &[u8], hash: &PasswordHash, length: usize) -> anyhow::Result<Output> {
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from)?;
    let params = Params::try_from(&hash.params)?;
    let salt = hash.salt.context("the hash has no salt")?;
    let mut memory = memory(params.block_count());
    let mut output = vec![0; length];
    Argon2::new(Algorithm::try_from(hash.algorithm.as_str())?, version, params).hash_password_into_with_memory(
        password,
        &salt,
        &mut output,
        &mut memory,
    )?;
    Ok(Output::new(&output)?)
}

/// Memory for `blocks`. The crate would allocate exactly what it needs, and glibc would not return 19 MiB to the system
/// after an occasional sign-in. Allocations larger than 32 MiB are always returned, and only the used part is backed by
/// memory.
fn memory(blocks: usize) -> Vec<Block> {
    let mut memory = Vec::with_capacity(blocks.max(RETURNED_TO_SYSTEM / Block::SIZE));
    memory.resize(blocks, Block::new());
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_fits() {
        let hashing = Hashing::new().expect("argon2 works");
        let stored = hashing.hash("correct horse battery".into()).await.expect("hashed");
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(
            hashing
                .verify("correct horse battery".into(), Some(stored.clone()))
                .await
                .expect("verified")
        );
        assert!(
            !hashing
                .verify("correct horse".into(), Some(stored))
                .await
                .expect("verified")
        );
        assert!(!hashing.verify("correct horse".into(), None).await.expect("verified"));
    }

    #[test]
    fn weak_passwords_are_refused() {
        let check =
            |text: &str, good: bool| assert_eq!(check_new_password("password", &text.into()).is_ok(), good, "{text}");
        check("correct horse battery", true);
        check("short", false);
        check("aaaaaaaaaaaaaaaa", false);
        check("Change-Me-12345", false);
        check("password123456", false);
        check(&"x1".repeat(200), false);
    }
}
