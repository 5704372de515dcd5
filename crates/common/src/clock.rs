//! The wall clock. No other module reads it.
//!
//! It is used for times that people read and for the expiry of tokens. The database's clock (`db_now()`) decides what is *due*.

use chrono::{DateTime, Utc};
use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

#[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Identifies the boot of this machine: [`since_boot`] values are comparable only within one boot.
pub fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// The time since the boot of this machine, including suspension. Unlike `Instant`, it measures the age of a lease correctly
/// after a suspension.
pub fn since_boot() -> Duration {
    // This clock exists on every supported Linux.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}
