//! The triggers behind the addresses that are called, remembered for a second: a busy sender does not cost a query for
//! every request, and a trigger that is switched off or edited is so within that second.

use super::KnownKeys;
use attune_common::{
    seal::Sealer,
    store::{self, PgPool, webhook, with_default_timeout},
};
use attune_domain::{TriggerId, webhook::WebhookConfig};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const FRESH: Duration = Duration::from_secs(1);
const REMEMBERED_MAX: usize = 10_000;

/// A trigger that can be called.
#[derive(Debug)]
pub struct Endpoint {
    pub trigger_id: TriggerId,
    pub trigger_ref: String,
    pub enabled: bool,
    /// Why it cannot be used, for the log: it was written by SQL, or sealed with another key.
    pub config: Result<WebhookConfig, String>,
}

type Known = HashMap<[u8; 32], (Instant, Arc<Endpoint>)>;

#[derive(Debug, Clone, Default)]
pub struct Endpoints(Arc<Mutex<Known>>);

impl Endpoints {
    /// The trigger behind an address. `known` says first whether there is one, where the database shall not be asked for
    /// every address.
    pub async fn find(
        &self,
        pool: &PgPool,
        sealer: &Sealer,
        key: &str,
        known: Option<&KnownKeys>,
    ) -> Result<Option<Arc<Endpoint>>, store::Error> {
        let hash = hash(key);
        if let Some(known) = known
            && !known.contains(pool, &hash).await?
        {
            return Ok(None);
        }
        let Some(row) = with_default_timeout(webhook::endpoint(pool, &hash)).await? else {
            return Ok(None);
        };
        let endpoint = Arc::new(Endpoint::read(row, sealer));
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(hash, (Instant::now(), endpoint.clone()));
        Ok(Some(endpoint))
    }

    /// The same without the database, for an address that was called a moment ago.
    pub fn recall(&self, key: &str) -> Option<Arc<Endpoint>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, endpoint) = known.get(&hash(key))?;
        (at.elapsed() < FRESH).then(|| endpoint.clone())
    }

    /// After a change here: look again.
    pub fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

impl Endpoint {
    pub fn read(mut row: webhook::Endpoint, sealer: &Sealer) -> Self {
        let opened = sealer.open_config(&mut row.config, &row.trigger_ref);
        let config = opened
            .map_err(|error| error.to_string())
            .and_then(|()| WebhookConfig::parse(&row.config).map_err(|errors| errors.to_string()));
        if let Err(error) = &config {
            tracing::warn!(trigger_ref = row.trigger_ref, error, "a webhook cannot be used");
        }
        Self {
            trigger_id: row.trigger_id,
            trigger_ref: row.trigger_ref,
            enabled: row.enabled,
            config,
        }
    }
}
