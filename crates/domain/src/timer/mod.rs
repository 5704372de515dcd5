//! When timers fire. Pure: what is due follows from a configuration, `next_fire_at` and `now`.
//!
//! ```
//! use attune_domain::{TriggerId, timer::{self, Limits, Origin, Timer, TimerConfig}};
//! # fn main() -> Result<(), attune_domain::FieldErrors> {
//! # let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap_or_default();
//! // Creating: read (every bad field at once), check against the present, store `serde_json::to_value(&config)`.
//! let config = TimerConfig::parse(&serde_json::json!({"type": "interval", "seconds": 10}))?;
//! config.validate(now, Limits::default())?;
//!
//! // Arming: `next_fire_at` of the row, or the gap that explains its absence.
//! let timer = Timer::compile(&config, TriggerId(7))?;
//! let plan = timer::plan(&timer, now, Origin::Created, None);
//!
//! // A tick: `emit` become events, `gap` a row, `next` and `recovery` go back to the timer's row.
//! let due = timer::due(&timer, plan.next.unwrap_or(now), now, None, 5_000);
//! for (scheduled_at, missed) in due.events() {
//!     let payload = timer::payload(&timer, scheduled_at, now, missed);
//! }
//!
//! // After changes: `replay` accounts for every version's span, and puts the newest version into force.
//! # Ok(())
//! # }
//! ```
//!
//! Also: `occurrences` (preview), `Timer::next_after`, `Timer::count`, `manual_payload`, `TimerConfig::validate_edit`.
//! `scheduled_at` is always nominal; `next_fire_at` includes the trigger's spread.
//!
//! This module must not depend on the storage of timers, and must not read a clock.

mod advice;
mod compiled;
mod config;
mod cron;
mod due;
mod fields;
mod limits;
mod occurrences;
mod outage;
mod parse;
mod payload;
mod plan;
mod replay;
mod schedule;
mod validate;
mod zoned;
mod zones;

#[cfg(test)]
mod tests;

pub use compiled::Timer;
pub use config::{Anchor, DstGap, DstOverlap, Misfire, Moment, ScheduleConfig, TimerConfig, TimerOptions};
pub use due::{Change, Due, Gap, GapReason, Missed, Recovery, due, due_before_change};
pub use limits::Limits;
pub use occurrences::{Occurrence, occurrences, why_none, with_offset};
pub use outage::{Affected, Fate, Outage};
pub use payload::{manual_payload, payload};
pub use plan::{Origin, Plan, plan};
pub use replay::{Accounted, Begun, Definition, Position, Replay, Version, replay};
pub use zoned::Note;
pub use zones::{DEFAULT_ZONE, ZONE_DATA, Zone, zones};
