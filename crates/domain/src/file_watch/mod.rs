//! File watches: which files a trigger reports, and what follows from what was observed of them.
//!
//! A file is compared with the version that is accounted for, in [`Tracker`]. The sensor reads directories and writes rows.

mod change;
mod config;
mod patterns;
mod payload;
mod tracker;

pub use change::{Change, ChangeKind, Version};
pub use config::{Existing, FileWatchConfig, Hosts, RESCAN_SECONDS_MAX, STABLE_FOR_SECONDS_MAX};
pub use payload::{cause, payload};
pub use tracker::Tracker;
