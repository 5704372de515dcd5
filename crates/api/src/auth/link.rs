//! Links that sign in a browser once, without a password. `attune up` prints one.

use super::secret::Secret;
use anyhow::Context as _;
use attune_common::{
    hex,
    store::{PgPool, web_session},
};
use secrecy::SecretString;

/// A new key for a link that signs in as this identity; `None` if it does not exist or is disabled. It is not stored.
pub async fn sign_in_link(pool: &PgPool, login: &str) -> anyhow::Result<Option<SecretString>> {
    let key = hex::encode(&rand::random::<[u8; 16]>());
    let inserted = web_session::insert_link(pool, &Secret::hash_of(&key), login)
        .await
        .context("failed to store a sign-in link")?;
    Ok(inserted.then(|| key.into()))
}
