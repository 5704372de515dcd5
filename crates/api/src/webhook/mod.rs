//! What stands behind the addresses of webhooks: which trigger is called, how often, and what is kept of it.

mod endpoints;
mod handshake;
mod inbox;
mod keys;
mod known;
mod outcome;
mod read;

pub use endpoints::{Endpoint, Endpoints};
pub use handshake::handshake;
pub use inbox::Inbox;
pub use keys::seal_clear;
pub use known::KnownKeys;
pub use outcome::{Outcome, wait};
pub use read::{Refusal, decoded, unreadable, value_of};

use crate::auth::Rates;
use attune_common::{seal::Sealer, service::Context};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Requests that are not genuine, per second and sender. Beyond, its requests are not even read.
const REFUSED_PER_SECOND: u32 = 50;
/// Refused requests that are kept, per second and trigger.
const KEPT_PER_SECOND: u32 = 5;
/// Senders that wait for an outcome. More are answered at once.
const WAITING_MAX: usize = 256;

#[derive(Debug, Clone)]
pub struct Webhooks {
    pub endpoints: Endpoints,
    pub known: KnownKeys,
    pub inbox: Inbox,
    pub sealer: Sealer,
    /// Genuine requests, by trigger.
    pub genuine: Rates,
    /// Others, by trigger and sender.
    pub refused: Rates,
    /// Refused requests that go to the inbox, by trigger.
    pub kept: Rates,
    pub waiting: Arc<Semaphore>,
}

impl Webhooks {
    pub fn start(context: &Context) -> Self {
        Self {
            endpoints: Endpoints::default(),
            known: KnownKeys::default(),
            inbox: Inbox::start(context),
            sealer: Sealer::new(&context.config.security),
            // Every trigger has a rate of its own.
            genuine: Rates::new(0),
            refused: Rates::new(REFUSED_PER_SECOND),
            kept: Rates::new(KEPT_PER_SECOND),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
        }
    }
}
