//! The instant after which `attune timer preview` shows occurrences, as a person writes it.

use attune_domain::timer::Timer;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use std::str::FromStr;

#[derive(Debug, Clone, Copy)]
pub enum After {
    Instant(DateTime<Utc>),
    /// A local time in the timer's zone.
    Local(NaiveDateTime),
    /// The beginning of a day in the timer's zone.
    Day(NaiveDate),
}

impl FromStr for After {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let local = || {
            text.parse()
                .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M"))
        };
        (text.parse().map(Self::Instant))
            .or_else(|_| text.parse().map(Self::Day))
            .or_else(|_| local().map(Self::Local))
            .map_err(
                |_| "must be an instant such as 2027-01-01T08:00:00Z, or 2027-01-01T08:00 or 2027-01-01 in the timer's zone",
            )
    }
}

impl After {
    pub fn instant(self, timer: &Timer) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Local(local) => timer.instant_of(local),
            Self::Day(day) => timer.instant_of(day.and_time(NaiveTime::MIN)) - TimeDelta::microseconds(1),
        }
    }
}
