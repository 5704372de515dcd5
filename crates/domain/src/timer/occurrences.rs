//! Previews of future occurrences.

use super::{
    Timer,
    compiled::{instant, micros},
    config::{ScheduleConfig, TimerConfig},
    schedule::{SECOND, Schedule},
    validate::never,
    zoned::{Note, offset_at},
};
use chrono::{DateTime, FixedOffset, NaiveDateTime, SecondsFormat, TimeDelta, TimeZone as _, Utc};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

const DAY: i64 = 86_400;

/// One occurrence of a preview.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Occurrence {
    pub scheduled_at: DateTime<Utc>,
    /// The local time in the timer's zone; UTC for intervals and one-shots.
    #[schema(value_type = String, format = DateTime)]
    #[serde(serialize_with = "with_offset")]
    pub local_time: DateTime<FixedOffset>,
    /// How a clock change affected it.
    pub note: Option<Note>,
}

/// The occurrences after `after`, in order, and not after a given `until`. A lazy iterator without end.
pub fn occurrences(
    timer: &Timer,
    after: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
) -> impl Iterator<Item = Occurrence> {
    let end = until.map_or(i64::MAX, micros);
    let mut from = micros(after) + 1;
    std::iter::from_fn(move || {
        let found = timer.first(from).filter(|found| *found <= end)?;
        from = found + 1;
        Some(Occurrence {
            scheduled_at: instant(found)?,
            local_time: timer.local_time(instant(found)?),
            note: timer.note(found),
        })
    })
}

/// Why [`occurrences`] is empty, for people.
pub fn why_none(config: &TimerConfig, timer: &Timer, after: DateTime<Utc>) -> String {
    let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    if let Some(next) = timer.next_after(after) {
        return format!("the next occurrence is at {}, after the requested span", text(next));
    }
    match (&config.schedule, &config.options.end_at) {
        (ScheduleConfig::OneShot { fire_at, .. }, _) => {
            format!(
                "fire_at is {fire_at}, which is not after {}: it fires only once, and immediately if it is created later",
                text(after)
            )
        }
        (_, Some(end)) => format!("end_at is {end}: no occurrence lies between {} and then", text(after)),
        (_, None) => format!("the schedule {}", never(after)),
    }
}

impl Timer {
    /// The local time in the timer's zone at an instant.
    pub fn local_time(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        let offset = match &self.schedule {
            Schedule::Cron(cron) => offset_at(cron.zone, at.timestamp()),
            Schedule::Interval { .. } | Schedule::Once { .. } => 0,
        };
        let offset = i32::try_from(offset).ok().and_then(FixedOffset::east_opt);
        offset.map_or_else(|| at.fixed_offset(), |offset| at.with_timezone(&offset))
    }

    /// The first instant with this local time in the timer's zone. A local time in a gap is interpreted with the offset
    /// before the gap.
    pub fn instant_of(&self, local: NaiveDateTime) -> DateTime<Utc> {
        let Schedule::Cron(cron) = &self.schedule else {
            return local.and_utc();
        };
        let shown = cron.zone.from_local_datetime(&local).earliest();
        shown.map_or_else(
            || {
                let utc = local.and_utc();
                utc - TimeDelta::seconds(offset_at(cron.zone, utc.timestamp() - DAY))
            },
            |shown| shown.with_timezone(&Utc),
        )
    }

    fn note(&self, at: i64) -> Option<Note> {
        match &self.schedule {
            Schedule::Cron(cron) => cron.note(at.div_euclid(SECOND)),
            Schedule::Interval { .. } | Schedule::Once { .. } => None,
        }
    }
}

/// UTC is written with a numeric offset, like every zone.
pub fn with_offset<S: Serializer>(at: &DateTime<FixedOffset>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, false))
}
