//! How long requests may take, and how much they may create. A client sees these limits, so routes and the layer around them share them.

use std::time::Duration;

/// Every request ends within this time, even if the database does not respond.
pub const REQUEST: Duration = Duration::from_secs(10);
/// An archive of a pack has up to 64 MiB.
pub const UPLOAD: Duration = Duration::from_secs(120);
/// A webhook may wait on purpose for the executions of its event. Until the event is stored, [`REQUEST`] applies.
pub const WEBHOOK: Duration = Duration::from_secs(30);
/// The longest `?wait=` of an execution, in addition to [`REQUEST`].
pub const WAIT_MAX: Duration = Duration::from_secs(WAIT_SECONDS_MAX as u64);
pub const WAIT_SECONDS_MAX: u8 = 30;

/// How many events one request may create.
pub const BATCH_MAX: usize = 1_000;
