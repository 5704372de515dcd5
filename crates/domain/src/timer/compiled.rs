//! The compiled form of a configuration, which every tick uses. Small and cheap to create (microseconds), without state.

use super::{
    config::{Misfire, TimerConfig},
    limits::Limits,
    schedule::{SECOND, Schedule},
};
use crate::{FieldErrors, TriggerId};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

const GRACE_DEFAULT: u32 = 10;
const CATCHUP_MAX_DEFAULT: u32 = 100;
const MAX_AGE_DEFAULT: u32 = 7 * 86_400;

/// The default window is this many periods, within these bounds.
const WINDOW_PERIODS: i64 = 10;
const WINDOW_LEAST: i64 = 60 * SECOND;
const WINDOW_MOST: i64 = 3600 * SECOND;

/// A configuration, compiled for one trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    pub(super) schedule: Schedule,
    /// The range in which it has occurrences, half open.
    pub(super) start: i64,
    pub(super) end: i64,
    /// What this trigger's spread adds to each of its instants.
    pub(super) offset: i64,
    pub(super) policy: Policy,
}

/// What happens to late occurrences, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    pub misfire: Misfire,
    pub grace: i64,
    pub window: Option<i64>,
    pub catchup_max: u64,
    pub max_age: i64,
}

impl Timer {
    pub fn compile(config: &TimerConfig, trigger: TriggerId) -> Result<Self, FieldErrors> {
        let options = &config.options;
        let span = |seconds: u32| i64::from(seconds) * SECOND;
        Ok(Self {
            schedule: Schedule::build(&config.schedule)?,
            start: options.start_at.as_ref().map_or(i64::MIN, |start| micros(start.at())),
            end: options.end_at.as_ref().map_or(i64::MAX, |end| micros(end.at()) + 1),
            offset: spread(trigger, options.spread_seconds.unwrap_or(0)),
            policy: Policy {
                misfire: options.misfire.unwrap_or_default(),
                grace: span(options.grace_seconds.unwrap_or(GRACE_DEFAULT)),
                window: options.catchup_window_seconds.map(span),
                catchup_max: u64::from(options.catchup_max.unwrap_or(CATCHUP_MAX_DEFAULT)),
                max_age: span(options.max_age_seconds.unwrap_or(MAX_AGE_DEFAULT)),
            },
        })
    }

    /// Limits it to the retention of events: an older occurrence never fires, regardless of `max_age_seconds`.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Self {
        self.policy.max_age = self.policy.max_age.min(i64::from(limits.max_age()) * SECOND);
        self
    }

    /// The first occurrence after an instant (its nominal instant, without the spread).
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.first(micros(after) + 1).and_then(instant)
    }

    /// The instant from which an occurrence's lateness counts: with the spread, and for a one-shot not before it was
    /// armed: a timer created after its instant (`allow_past`) does not count the time before its creation as lateness.
    pub fn due_at(&self, scheduled_at: DateTime<Utc>, armed_at: Option<DateTime<Utc>>) -> DateTime<Utc> {
        let due_at = instant(micros(scheduled_at) + self.offset).unwrap_or(scheduled_at);
        match self.schedule {
            Schedule::Once { .. } => armed_at.map_or(due_at, |armed_at| armed_at.max(due_at)),
            Schedule::Interval { .. } | Schedule::Cron(_) => due_at,
        }
    }

    /// Whether it is later than its grace period allows.
    pub fn is_late(&self, due_at: DateTime<Utc>, fired_at: DateTime<Utc>) -> bool {
        micros(fired_at) - micros(due_at) > self.policy.grace
    }

    /// How many occurrences lie after `after` and not after `until`. The effort does not grow with the result.
    pub fn count(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> u64 {
        self.count_between(micros(after) + 1, micros(until) + 1)
    }

    pub(super) fn first(&self, from: i64) -> Option<i64> {
        self.schedule
            .first(from.max(self.start))
            .filter(|found| *found < self.end)
    }

    pub(super) fn count_between(&self, from: i64, to: i64) -> u64 {
        self.schedule.count(from.max(self.start), to.min(self.end))
    }

    pub(super) fn last(&self, from: i64, to: i64) -> Option<i64> {
        self.schedule.last(from.max(self.start), to.min(self.end))
    }

    /// The first of the newest `n` instants in `from..to`; `None` if there are fewer.
    pub(super) fn nth_newest(&self, n: u64, from: i64, to: i64) -> Option<i64> {
        self.schedule.nth_newest(n, from.max(self.start), to.min(self.end))
    }

    /// How far back `catch_up` reaches, as of the nominal instant `now`.
    pub(super) fn window(&self, now: i64) -> i64 {
        self.policy.window.unwrap_or_else(|| {
            let longest = WINDOW_MOST / WINDOW_PERIODS;
            let period = self.schedule.period(now, longest).unwrap_or(WINDOW_MOST);
            period.saturating_mul(WINDOW_PERIODS).clamp(WINDOW_LEAST, WINDOW_MOST)
        })
    }
}

/// The same delay for the same trigger, anywhere between nothing and the whole spread.
fn spread(trigger: TriggerId, seconds: u32) -> i64 {
    let hash = Sha256::new()
        .chain_update(b"spread")
        .chain_update(trigger.0.to_be_bytes())
        .finalize();
    let short = hash
        .iter()
        .take(4)
        .fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    short % (i64::from(seconds) * 1000 + 1) * 1000
}

pub(super) fn micros(instant: DateTime<Utc>) -> i64 {
    instant.timestamp_micros()
}

pub(super) fn instant(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}
