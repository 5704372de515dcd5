//! A configuration's instants as arithmetic: which is next, how many lie between, which is the newest.
//!
//! Everything here is in microseconds since 1970 (what `PostgreSQL` keeps), so that it cannot overflow for any date that can
//! be written. Ranges are half open. `Timer` applies `start_at`, `end_at` and the spread.

use super::{
    config::{Anchor, DstGap, DstOverlap, ScheduleConfig},
    cron::Expression,
    zoned::Cron,
};
use crate::{FieldErrors, spelled::closest_match};
use chrono_tz::{TZ_VARIANTS, Tz};

pub(super) const SECOND: i64 = 1_000_000;

const PERIOD_MAX: u64 = 366 * 86_400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Schedule {
    /// `anchor + k · period` for every integer k; the anchor lies inside the first period.
    Interval {
        anchor: i64,
        period: i64,
    },
    Cron(Box<Cron>),
    Once {
        at: i64,
        allow_past: bool,
    },
}

impl Schedule {
    pub fn build(config: &ScheduleConfig) -> Result<Self, FieldErrors> {
        match config {
            ScheduleConfig::Interval {
                seconds,
                minutes,
                hours,
                anchor,
            } => {
                let period = period([*seconds, *minutes, *hours])?;
                let anchor = match anchor {
                    None | Some(Anchor::Epoch) => 0,
                    Some(Anchor::At(moment)) => moment.at().timestamp_micros().rem_euclid(period),
                };
                Ok(Self::Interval { anchor, period })
            }
            ScheduleConfig::Cron {
                expression,
                timezone,
                dst_gap,
                dst_overlap,
            } => {
                let policies = (dst_gap.unwrap_or_default(), dst_overlap.unwrap_or_default());
                let cron = cron(expression, timezone.as_deref(), policies)?;
                Ok(Self::Cron(Box::new(cron)))
            }
            ScheduleConfig::OneShot { fire_at, allow_past } => Ok(Self::Once {
                at: fire_at.at().timestamp_micros(),
                allow_past: allow_past.unwrap_or_default(),
            }),
        }
    }

    /// The first instant at or after `from`.
    pub fn first(&self, from: i64) -> Option<i64> {
        match self {
            Self::Interval { anchor, period } => from.checked_add((anchor - from).rem_euclid(*period)),
            Self::Cron(cron) => cron.next_after(ceil(from) - 1)?.checked_mul(SECOND),
            Self::Once { at, .. } => (*at >= from).then_some(*at),
        }
    }

    /// How many instants lie in `from..to`.
    pub fn count(&self, from: i64, to: i64) -> u64 {
        if to <= from {
            return 0;
        }
        match self {
            Self::Interval { anchor, period } => {
                let before = |instant: i64| (instant - 1 - anchor).div_euclid(*period);
                (before(to) - before(from)).unsigned_abs()
            }
            Self::Cron(cron) => cron.count(ceil(from), ceil(to)),
            Self::Once { at, .. } => u64::from((from..to).contains(at)),
        }
    }

    /// The newest instant in `from..to`.
    pub fn last(&self, from: i64, to: i64) -> Option<i64> {
        match self {
            Self::Cron(_) => self.first(self.nth_newest(1, from, to)?),
            Self::Interval { anchor, period } => {
                let newest = to - 1 - (to - 1 - anchor).rem_euclid(*period);
                (newest >= from && from < to).then_some(newest)
            }
            Self::Once { at, .. } => (from..to).contains(at).then_some(*at),
        }
    }

    /// The first of the newest `n` instants in `from..to`; `None` if there are fewer.
    pub fn nth_newest(&self, n: u64, from: i64, to: i64) -> Option<i64> {
        if n == 0 || self.count(from, to) < n {
            return None;
        }
        if let Self::Interval { period, .. } = self {
            let newer = i64::try_from(n - 1).ok()?.checked_mul(*period)?;
            return Some(self.last(from, to)? - newer);
        }
        // Searches back from the end in growing steps, so that the effort depends on the distance of the result.
        let mut reach = 64 * SECOND;
        let mut low = from;
        while to.saturating_sub(reach) > from {
            low = to - reach;
            if self.count(low, to) >= n {
                break;
            }
            low = from;
            reach = reach.saturating_mul(8);
        }
        let mut high = to;
        // No two instants lie within a second, so that is close enough.
        while high - low > SECOND {
            let middle = low + (high - low) / 2;
            if self.count(middle, to) >= n {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// The distance between the last two instants up to `now`, when they are at most `limit` apart.
    pub fn period(&self, now: i64, limit: i64) -> Option<i64> {
        match self {
            Self::Interval { period, .. } => Some(*period),
            Self::Once { .. } => None,
            Self::Cron(_) => {
                let newest = self.last(now.saturating_sub(SEARCH_SPAN), now + 1)?;
                let before = self.last(newest.saturating_sub(limit), newest)?;
                Some(newest - before)
            }
        }
    }
}

/// How far back the newest occurrence of a cron timer is searched.
const SEARCH_SPAN: i64 = 3660 * 86_400 * SECOND;

/// The first whole second at or after an instant.
fn ceil(micros: i64) -> i64 {
    micros.div_euclid(SECOND) + i64::from(micros.rem_euclid(SECOND) > 0)
}

/// The sum of seconds, minutes and hours.
fn period(parts: [Option<u32>; 3]) -> Result<i64, FieldErrors> {
    let named = [("seconds", 1), ("minutes", 60), ("hours", 3600)];
    let sum = parts
        .iter()
        .zip(named)
        .map(|(part, (_, unit))| u64::from(part.unwrap_or(0)) * unit)
        .sum::<u64>();
    let given = parts.iter().zip(named).rfind(|(part, _)| part.unwrap_or(0) > 0);
    let place = given.map_or("seconds", |(_, (name, _))| name);
    match i64::try_from(sum) {
        Ok(seconds) if (1..=PERIOD_MAX).contains(&sum) => Ok(seconds * SECOND),
        _ if sum == 0 => Err(FieldErrors::one(
            place,
            "the sum of seconds, minutes and hours must be at least 1 second: write `1`",
        )),
        _ => Err(FieldErrors::one(place, too_long(sum, place, parts, named))),
    }
}

fn too_long(sum: u64, place: &str, parts: [Option<u32>; 3], named: [(&str, u64); 3]) -> String {
    let own = parts.iter().zip(named).find(|(_, (name, _))| *name == place);
    let (value, unit) = own.map_or((0, 1), |(part, (_, unit))| (u64::from(part.unwrap_or(0)), unit));
    let fits = PERIOD_MAX.saturating_sub(sum - value * unit) / unit;
    format!(
        "the sum of seconds, minutes and hours is {sum} seconds, and must be at most {PERIOD_MAX} (366 days): write `{fits}`"
    )
}

fn cron(text: &str, timezone: Option<&str>, (gap, overlap): (DstGap, DstOverlap)) -> Result<Cron, FieldErrors> {
    let mut errors = FieldErrors::new();
    let expression = Expression::parse(text).map_err(|message| errors.add("expression", message));
    let zone = zone(timezone.unwrap_or("UTC")).map_err(|message| errors.add("timezone", message));
    match (expression, zone) {
        (Ok(expression), Ok(zone)) => Ok(Cron {
            text: text.into(),
            expression,
            zone,
            gap,
            overlap,
        }),
        _ => Err(errors),
    }
}

fn zone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_| {
        let shown: String = name.chars().take(60).collect();
        match closest_zone(name) {
            Some(zone) => format!("`{shown}` is not an IANA zone: did you mean `{zone}`?"),
            None => format!("`{shown}` is not an IANA zone: write a name such as `Europe/Berlin` or `UTC`"),
        }
    })
}

/// Whether this is the exact name of a zone.
pub(super) fn is_zone(name: &str) -> bool {
    name.contains('/') && name.parse::<Tz>().is_ok()
}

/// Abbreviations that are not names of zones, and a zone that uses them.
const ABBREVIATIONS: [(&str, &str); 15] = [
    ("PST", "America/Los_Angeles"),
    ("PDT", "America/Los_Angeles"),
    ("MDT", "America/Denver"),
    ("CST", "America/Chicago"),
    ("CDT", "America/Chicago"),
    ("EDT", "America/New_York"),
    ("BST", "Europe/London"),
    ("WEST", "Europe/Lisbon"),
    ("CEST", "Europe/Berlin"),
    ("MEZ", "Europe/Berlin"),
    ("EEST", "Europe/Helsinki"),
    ("IST", "Asia/Kolkata"),
    ("JST", "Asia/Tokyo"),
    ("AEST", "Australia/Sydney"),
    ("AEDT", "Australia/Sydney"),
];

/// The zone that was probably meant: other case, only its city, its offset in whole hours, or a typo.
pub(super) fn closest_zone(name: &str) -> Option<&'static str> {
    let names = || TZ_VARIANTS.iter().map(|zone| zone.name());
    let given = name.trim().replace(' ', "_");
    let same = |zone: &&str| zone.eq_ignore_ascii_case(&given);
    let city = |zone: &&str| {
        zone.rsplit('/')
            .next()
            .is_some_and(|city| city.eq_ignore_ascii_case(&given))
    };
    let by_offset = offset_zone(&given);
    let known: Vec<&str> = names().collect();
    names()
        .find(same)
        .or_else(|| names().find(city))
        .or_else(|| names().find(|zone| Some(*zone) == by_offset.as_deref()))
        .or_else(|| abbreviation(&given))
        // A similar abbreviation may be a different zone.
        .or_else(|| closest_match(&given, &known).filter(|_| given.len() > 4))
}

fn abbreviation(name: &str) -> Option<&'static str> {
    let same = |(known, _): &&(&str, &str)| known.eq_ignore_ascii_case(name);
    ABBREVIATIONS.iter().find(same).map(|(_, zone)| *zone)
}

/// `+02:00` and `UTC+2` are `Etc/GMT-2`: the sign of these names is the other way round.
fn offset_zone(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    let offset = upper.trim_start_matches("UTC").trim_start_matches("GMT");
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => ('-', digits),
        ("-", digits) => ('+', digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "00"));
    let (hours, minutes) = match hours.len() {
        4 => hours.split_at(2),
        _ => (hours, minutes),
    };
    let hours: u8 = hours.parse().ok()?;
    (minutes == "00").then(|| format!("Etc/GMT{sign}{hours}"))
}
