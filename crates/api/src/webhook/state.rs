//! The state that requests to webhooks share.

use super::{endpoints::Endpoints, inbox::Inbox, known::KnownKeys, read::Refusal};
use crate::{auth::Rates, problem::Problem};
use attune_common::{seal::Sealer, service::Context, sync::lock};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::sync::Semaphore;

/// Rejected requests per second and sender. Beyond that, its requests are not even read.
const REJECTED_PER_SECOND: u32 = 50;
/// Rejected requests that are stored, per second and trigger.
const STORED_PER_SECOND: u32 = 5;
/// Senders that wait for an outcome. Beyond that, senders are answered immediately.
const WAITING_MAX: usize = 256;

#[derive(Debug, Clone)]
pub struct Webhooks {
    pub endpoints: Endpoints,
    pub known: KnownKeys,
    pub inbox: Inbox,
    pub sealer: Sealer,
    /// Verified requests, by trigger.
    pub verified: Rates,
    /// Rejected requests, by trigger and sender, and unknown addresses, by sender.
    pub rejected: Rates,
    /// Rejected requests that are stored, by trigger.
    pub stored: Rates,
    pub rejections: Rejections,
    pub waiting: Arc<Semaphore>,
}

/// How many requests were rejected since the start, by reason.
#[derive(Debug, Clone, Default)]
pub struct Rejections(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl Rejections {
    /// Counts a rejection, and returns its answer.
    pub fn count(&self, refusal: &Refusal) -> Problem {
        metrics::counter!("attune_webhook_rejected_total", "reason" => refusal.reason).increment(1);
        *lock(&self.0).entry(refusal.reason).or_default() += 1;
        tracing::debug!(reason = refusal.reason, "a request to a webhook was rejected");
        refusal.problem.clone()
    }

    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.0).clone()
    }
}

impl Webhooks {
    pub fn start(context: &Context) -> Self {
        Self {
            endpoints: Endpoints::default(),
            known: KnownKeys::default(),
            inbox: Inbox::start(context),
            sealer: Sealer::new(&context.config.security),
            // Every trigger has its own rate.
            verified: Rates::new(0),
            rejected: Rates::new(REJECTED_PER_SECOND),
            stored: Rates::new(STORED_PER_SECOND),
            rejections: Rejections::default(),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }
}
