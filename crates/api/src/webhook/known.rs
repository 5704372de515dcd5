//! Which keys of webhooks exist: the answer for a client that guessed too often. Guesses cost at most one statement a
//! second, all together, and a request to a webhook that exists never pays for them.

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

/// Between two readings of all keys.
const PACE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Default)]
pub struct KnownKeys(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    hashes: RwLock<HashSet<Vec<u8>>>,
    /// When the last reading began. Held by the one that reads: the others wait for what it finds.
    read_at: Mutex<Option<Instant>>,
}

impl KnownKeys {
    /// Is there a webhook with a key of this hash? One that is not known yet is looked for among the keys of now.
    pub async fn contains(&self, pool: &PgPool, hash: &[u8; 32]) -> Result<bool, store::Error> {
        let asked_at = Instant::now();
        if self.recalls(hash) {
            return Ok(true);
        }
        let mut read_at = self.0.read_at.lock().await;
        if let Some(last) = *read_at {
            if last >= asked_at {
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
