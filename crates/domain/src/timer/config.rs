//! The JSON form of a timer. `parse` reads it; serializing returns what was written, without defaults.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::Value;
use std::fmt;
use utoipa::ToSchema;

/// When a timer fires, and what happens to occurrences that were missed. Absent fields have the stated default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimerConfig {
    #[serde(flatten)]
    pub schedule: ScheduleConfig,
    #[serde(flatten)]
    pub options: TimerOptions,
}

/// The three kinds of timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ScheduleConfig {
    /// In a fixed period of seconds, minutes and hours (their sum, 1 second to 366 days), on a grid that never drifts.
    Interval {
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0)]
        seconds: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0)]
        minutes: Option<u32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 0)]
        hours: Option<u32>,
        /// Where the grid is anchored: `epoch` (1970-01-01T00:00:00Z, the default) or an instant.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, example = "epoch")]
        anchor: Option<Anchor>,
    },
    /// At the local times that a cron expression names.
    Cron {
        /// 5 fields (minute first), 6 (second first), 7 (year last) or `@hourly` to `@yearly`; days as in crontab.
        #[schema(example = "0 30 2 * * *", max_length = 256)]
        expression: String,
        /// An IANA zone; UTC by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(example = "Europe/Berlin")]
        timezone: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dst_gap: Option<DstGap>,
        #[serde(skip_serializing_if = "Option::is_none")]
        dst_overlap: Option<DstOverlap>,
    },
    /// Once.
    OneShot {
        #[schema(value_type = String, format = DateTime)]
        fire_at: Moment,
        /// Lets `fire_at` lie more than 60 seconds back at creation.
        #[serde(skip_serializing_if = "Option::is_none")]
        allow_past: Option<bool>,
    },
}

/// The fields of every kind of timer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct TimerOptions {
    /// No occurrence before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub start_at: Option<Moment>,
    /// No occurrence after this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub end_at: Option<Moment>,
    /// Delays each occurrence by up to this many seconds, constant for a trigger; 0 by default, at most half a period
    /// and 900.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 900)]
    pub spread_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfire: Option<Misfire>,
    /// An occurrence that is not later than this is on time and always fires; 10 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 3600)]
    pub grace_seconds: Option<u32>,
    /// How far back `catch_up` reaches; 10 periods by default, at least a minute and at most an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 2_592_000)]
    pub catchup_window_seconds: Option<u32>,
    /// How many late occurrences `catch_up` fires per recovery; 100 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub catchup_max: Option<u32>,
    /// An older occurrence never fires; 7 days by default, or the retention of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub max_age_seconds: Option<u32>,
}

/// A fixed time that a day lacks because clocks go forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DstGap {
    /// Runs at the first instant after the gap (the default).
    #[default]
    Run,
    Skip,
}

/// A fixed time that a day has twice because clocks go back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DstOverlap {
    /// The default.
    #[default]
    First,
    Second,
    Both,
}

/// What happens to occurrences that are later than `grace_seconds`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// The newest `catchup_max` inside the window fire, oldest first; without one, the newest of all (the default).
    #[default]
    CatchUp,
    /// The newest fires, when nothing was on time.
    Latest,
    /// None fires.
    Skip,
}

/// Where an interval's grid is anchored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    Epoch,
    At(Moment),
}

/// An instant as a person wrote it. Two are equal when they name the same instant.
#[derive(Debug, Clone)]
pub struct Moment {
    text: Box<str>,
    at: DateTime<Utc>,
}

impl Moment {
    /// Reads RFC 3339 to the microsecond, which is what `PostgreSQL` keeps.
    pub fn parse(text: &str) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(text).ok()?;
        let at = DateTime::from_timestamp_micros(at.timestamp_micros())?;
        Some(Self { text: text.into(), at })
    }

    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }
}

impl PartialEq for Moment {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Moment {}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Serialize for Anchor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Epoch => serializer.serialize_str("epoch"),
            Self::At(moment) => moment.serialize(serializer),
        }
    }
}

/// For a configuration inside another document. `TimerConfig::parse` reports more.
impl<'de> Deserialize<'de> for TimerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl ScheduleConfig {
    /// The name of its kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Interval { .. } => "interval",
            Self::Cron { .. } => "cron",
            Self::OneShot { .. } => "one_shot",
        }
    }
}
