//! The state that requests to webhooks share.

use super::{endpoints::Endpoints, inbox::Inbox, known::KnownKeys};
use crate::auth::Rates;
use attune_common::{seal::Sealer, service::Context};
use std::sync::Arc;
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
    pub waiting: Arc<Semaphore>,
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
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }
}
