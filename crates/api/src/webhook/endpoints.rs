//! The triggers behind addresses, cached for a second: a busy sender does not cost a query per request, and disabling or
//! editing a trigger takes effect within that second.

use super::known::KnownKeys;
use attune_common::{
    seal::Sealer,
    store::{self, PgPool, webhook, with_default_timeout},
};
use attune_domain::{TriggerId, TriggerRef, webhook::WebhookConfig};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

const FRESH: Duration = Duration::from_secs(1);
const REMEMBERED_MAX: usize = 10_000;

/// The trigger behind an address.
#[derive(Debug)]
pub struct Endpoint {
    pub trigger_id: TriggerId,
    pub trigger_ref: TriggerRef,
    pub enabled: bool,
    /// The error if SQL wrote an invalid configuration, or if it was encrypted with another key.
    pub config: Result<WebhookConfig, String>,
}

type Known = HashMap<[u8; 32], (Instant, Arc<Endpoint>)>;

#[derive(Debug, Clone, Default)]
pub struct Endpoints(Arc<Mutex<Known>>);

impl Endpoints {
    /// Finds the trigger behind an address. With `known`, an unknown address does not cost a query of its own.
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

    /// The same from the cache, for an address that was called a moment ago.
    pub fn recall(&self, key: &str) -> Option<Arc<Endpoint>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, endpoint) = known.get(&hash(key))?;
        (at.elapsed() < FRESH).then(|| endpoint.clone())
    }

    /// Clears the cache after a change in this process.
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
            tracing::warn!(
                trigger_ref = row.trigger_ref.as_str(),
                error,
                "the configuration of a webhook is invalid"
            );
        }
        Self {
            trigger_id: row.trigger_id,
            trigger_ref: row.trigger_ref,
            enabled: row.enabled,
            config,
        }
    }
}
