//! The wall clock, read here only.
//!
//! It serves what a person reads and what tokens expire by. What is *due* is decided by the database's clock (`db_now()`).

use chrono::{DateTime, Utc};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The time since this machine was started, suspension included: what tells how old a lease is. Unlike `Instant`, it has
/// gone on when the machine wakes up.
pub fn since_boot() -> Duration {
    // This clock exists on every Linux that anything here runs on; without it nothing ever looks old.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
