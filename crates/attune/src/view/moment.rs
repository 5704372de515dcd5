//! Durations and instants as people write and read them.

use chrono::{DateTime, Local, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use std::{str::FromStr, time::Duration};

/// Parses `10s`, `5m`, `2h`, `7d` or `1w`.
pub fn span(text: &str) -> Result<Duration, String> {
    let error = || "must be a number and a unit, such as 30s, 5m, 2h or 7d".to_owned();
    let unit = text.chars().next_back().ok_or_else(error)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(error()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| error())?;
    // A hundred years are enough, and do not overflow anything.
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds <= 3_153_600_000);
    seconds.map(Duration::from_secs).ok_or_else(error)
}

/// Parses a moment in the past: `2h` ago, `today`, `2026-11-30` or an instant.
pub fn past(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if let Ok(span) = span(text) {
        return Ok(now - TimeDelta::from_std(span).unwrap_or_default());
    }
    let midnight = |day: NaiveDate| Local.from_local_datetime(&day.and_time(NaiveTime::MIN)).earliest();
    let day = match text {
        "today" => midnight(now.with_timezone(&Local).date_naive()),
        "yesterday" => midnight(now.with_timezone(&Local).date_naive() - TimeDelta::days(1)),
        other => other.parse().ok().and_then(midnight),
    };
    day.map(|day| day.to_utc())
        .or_else(|| text.parse().ok())
        .ok_or_else(|| {
            "must be a duration such as 2h, today, a day such as 2026-11-30, or an instant such as 2026-11-30T08:00:00Z"
                .to_owned()
        })
}

/// The zone in which times are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Mine,
    Utc,
    Named(Tz),
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "mine" => Ok(Self::Mine),
            "utc" | "UTC" => Ok(Self::Utc),
            name => name
                .parse()
                .map(Self::Named)
                .map_err(|_| "must be mine, utc, or an IANA zone such as Europe/Berlin".to_owned()),
        }
    }
}

impl Zone {
    pub fn show(self, at: DateTime<Utc>) -> String {
        match self {
            Self::Utc => utc(at),
            Self::Mine => at.with_timezone(&Local).to_rfc3339_opts(SecondsFormat::Secs, false),
            Self::Named(zone) => at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, false),
        }
    }

    /// The time of day, for lines that follow each other.
    pub fn clock(self, at: DateTime<Utc>) -> String {
        const FORMAT: &str = "%H:%M:%S%.3f";
        match self {
            Self::Utc => at.format(FORMAT).to_string(),
            Self::Mine => at.with_timezone(&Local).format(FORMAT).to_string(),
            Self::Named(zone) => at.with_timezone(&zone).format(FORMAT).to_string(),
        }
    }
}

pub fn utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// `3 min ago`, `in 2 h`.
pub fn relative(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (at - now).num_seconds();
    let amount = duration(seconds.unsigned_abs());
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {amount}"),
        _ => format!("{amount} ago"),
    }
}

/// The largest unit is precise enough for people.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_moments() {
        let seconds = |text| span(text).map(|span| span.as_secs());
        assert_eq!(seconds("10s"), Ok(10));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("7d"), Ok(604_800));
        for bad in [
            "",
            "s",
            "10",
            "1.5h",
            "-1s",
            "10ü",
            "99999999999999999999d",
            "9999999999w",
        ] {
            assert!(span(bad).is_err(), "{bad}");
        }
        let now: DateTime<Utc> = "2026-11-30T12:00:00Z".parse().expect("an instant");
        assert_eq!(past("2h", now).map(utc), Ok("2026-11-30T10:00:00Z".to_owned()));
        assert_eq!(
            past("2026-11-29T08:00:00+01:00", now).map(utc),
            Ok("2026-11-29T07:00:00Z".to_owned())
        );
        assert!(past("noon", now).is_err());
        for (offset, expected) in [
            (0, "now"),
            (-5, "5 s ago"),
            (-200, "3 min ago"),
            (7_300, "in 2 h"),
            (-400_000, "4 d ago"),
        ] {
            assert_eq!(relative(now + TimeDelta::seconds(offset), now), expected);
        }
    }
}
