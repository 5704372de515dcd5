//! Which webhook keys exist, for clients that have guessed too often. All guesses together cost at most one query per
//! second, and requests to existing webhooks are not affected.

use attune_common::store::{self, PgPool, webhook, with_default_timeout};
use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

/// Between two queries for all keys.
const PACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub struct KnownKeys(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    hashes: RwLock<HashSet<Vec<u8>>>,
    /// When the last query began. The lock is held while querying; others wait for the result.
    read_at: Mutex<Option<Instant>>,
}

impl KnownKeys {
    /// Whether a webhook has a key with this hash. An unknown hash causes a new query.
    pub async fn contains(&self, pool: &PgPool, hash: &[u8; 32]) -> Result<bool, store::Error> {
        let requested_at = Instant::now();
        if self.recalls(hash) {
            return Ok(true);
        }
        let mut read_at = self.0.read_at.lock().await;
        if let Some(last) = *read_at {
            if last >= requested_at {
                return Ok(self.recalls(hash));
            }
            sleep_until(last + PACE).await;
        }
        *read_at = Some(Instant::now());
        let hashes = with_default_timeout(webhook::key_hashes(pool))
            .await?
            .into_iter()
            .collect();
        *self.0.hashes.write().unwrap_or_else(PoisonError::into_inner) = hashes;
        Ok(self.recalls(hash))
    }

    fn recalls(&self, hash: &[u8; 32]) -> bool {
        let hashes = self.0.hashes.read().unwrap_or_else(PoisonError::into_inner);
        hashes.contains(hash.as_slice())
    }
}
