//! Claims whose answer was lost.

use attune_common::sync;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Notify, RwLock};

/// The search for claims whose answer was lost.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Until when they are searched for, by the clock that counts suspension.
    until: Mutex<Option<Duration>>,
    pub requested: Notify,
    /// Read while a joint commit claims, which must not be mistaken for a lost claim.
    pub joint: Arc<RwLock<()>>,
}

impl Recovery {
    pub fn until(&self) -> Option<Duration> {
        *sync::lock(&self.until)
    }

    pub fn set_until(&self, until: Option<Duration>) {
        *sync::lock(&self.until) = until;
    }
}
