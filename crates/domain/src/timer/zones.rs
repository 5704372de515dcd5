//! The time zones that timers accept.

use super::zoned::{first_change, offset_at};
use chrono::{DateTime, Utc};
use chrono_tz::TZ_VARIANTS;
use serde::Serialize;
use utoipa::ToSchema;

/// The version of the time zone database.
pub const ZONE_DATA: &str = chrono_tz::IANA_TZDB_VERSION;
/// The zone of a cron expression that names none.
pub const DEFAULT_ZONE: &str = "UTC";
/// Rules change rarely enough that clocks of most zones change within this time, or never again.
const HORIZON: i64 = 366 * 86_400;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Zone {
    pub name: &'static str,
    /// The current offset from UTC, in seconds.
    pub offset_seconds: i64,
    /// When the clocks change next, within a year.
    pub next_change: Option<DateTime<Utc>>,
    /// The offset after that.
    pub next_offset_seconds: Option<i64>,
}

/// Every zone, in alphabetical order.
pub fn zones(now: DateTime<Utc>) -> Vec<Zone> {
    let now = now.timestamp();
    let of = |zone: &chrono_tz::Tz| {
        let change = first_change(*zone, now, now.saturating_add(HORIZON));
        Zone {
            name: zone.name(),
            offset_seconds: offset_at(*zone, now),
            next_change: change.and_then(|change| DateTime::from_timestamp(change.at, 0)),
            next_offset_seconds: change.map(|change| change.after),
        }
    };
    let mut zones: Vec<_> = TZ_VARIANTS.iter().map(of).collect();
    zones.sort_by_key(|zone| zone.name);
    zones
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_with_and_without_changes() {
        let now: DateTime<Utc> = "2026-12-01T12:00:00Z".parse().expect("a time");
        let zones = zones(now);
        let of = |name: &str| {
            let zone = zones.iter().find(|zone| zone.name == name).expect(name);
            let change = zone.next_change.map(|at| at.to_rfc3339());
            (zone.offset_seconds, change, zone.next_offset_seconds)
        };
        let berlin = Some("2027-03-28T01:00:00+00:00".to_owned());
        assert_eq!(of("Europe/Berlin"), (3_600, berlin, Some(7_200)));
        assert_eq!(of("UTC"), (0, None, None));
        assert_eq!(of("Asia/Kathmandu"), (20_700, None, None));
        assert!(zones.len() > 400 && zones.is_sorted_by_key(|zone| zone.name));
    }
}
