//! The first admin. There are no default credentials: the password is configured, or generated and shown once.

use super::password::{self, check_new_password};
use anyhow::Context as _;
use attune_common::store::{self, PgPool, Transaction, ViolationKind, audit, identity};
use attune_domain::identity::Role;
use rand::seq::IndexedRandom as _;
use secrecy::{ExposeSecret as _, SecretString};

pub const LOGIN: &str = "admin";
const GENERATED_LENGTH: usize = 28;
/// Without letters and digits that are easily confused.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

#[derive(Debug)]
pub enum FirstAdmin {
    /// `admin` was created with this password.
    Created {
        login: &'static str,
        password: SecretString,
    },
    /// An admin exists already.
    Existing,
}

/// Creates `admin` unless an admin exists. Safe to call from several processes at once.
pub async fn ensure_admin(pool: &PgPool, password: Option<SecretString>) -> anyhow::Result<FirstAdmin> {
    if identity::any_admin(pool)
        .await
        .context("failed to query for an admin")?
    {
        return Ok(FirstAdmin::Existing);
    }
    if let Some(given) = &password {
        check_new_password("security.admin_password", given)
            .context("the password of the first admin is not acceptable")?;
    }
    let password = password.unwrap_or_else(generate);
    let secret = password.clone();
    let hash = tokio::task::spawn_blocking(move || password::hash(secret.expose_secret().as_bytes()))
        .await
        .context("hashing was interrupted")??;
    // One transaction: an admin that is committed before an error would have an unknown password.
    let mut tx = Transaction::begin(pool).await.context("failed to reach the database")?;
    match identity::insert(&mut tx, LOGIN, "Administrator", &hash, Role::Admin).await {
        Ok(_) => {
            let entry = audit::Entry {
                actor: "attune",
                verb: "create",
                object: "identity admin",
                ..audit::Entry::default()
            };
            audit::append(&mut tx, std::slice::from_ref(&entry))
                .await
                .context("failed to write the audit entry of the first admin")?;
            tx.commit().await.context("failed to write the first admin")?;
            Ok(FirstAdmin::Created { login: LOGIN, password })
        }
        // Another process was faster.
        Err(error) if store::violation(&error).is_some_and(|v| v.kind == ViolationKind::Unique) => {
            Ok(FirstAdmin::Existing)
        }
        Err(error) => Err(error).context("failed to write the first admin"),
    }
}

fn generate() -> SecretString {
    let mut rng = rand::rng();
    let letters = (0..GENERATED_LENGTH).filter_map(|_| ALPHABET.choose(&mut rng).copied());
    letters.map(char::from).collect::<String>().into()
}
