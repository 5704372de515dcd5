//! An instant in the query of a URL: `2026-11-30T10:00:00Z`, `2026-11-30`, `24h`, `-7d`.
//!
//! In a URL, a `+` that is not encoded is decoded as a blank. An instant never contains a blank at these places, so it is
//! read as a plus.

use chrono::{DateTime, NaiveDate, SecondsFormat, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{borrow::Cow, str::FromStr};

/// Longer offsets exceed the range of the database's timestamps.
const OFFSET_MAX_SECONDS: i64 = 100 * 366 * 86_400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    At(DateTime<Utc>),
    /// `-24h`, `+1h`.
    Offset(TimeDelta),
    /// `24h`: without a sign, the direction is that of the field.
    Distance(TimeDelta),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoment {
    #[error(
        "must be a time such as 2027-01-20T15:00:00Z, a date such as 2027-01-20 (its midnight in UTC), or an offset from now such as 1h, -24h or 7d"
    )]
    Unreadable,
    #[error("has no time zone: add Z for UTC, as in {0}Z")]
    NoZone(String),
    #[error("is a Unix timestamp: write {0}")]
    Unix(String),
}

impl Moment {
    /// In a field about the past: `24h` is 24 hours ago.
    pub fn in_past(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Offset(offset) => shifted(now, offset),
            Self::Distance(distance) => shifted(now, -distance),
        }
    }

    /// In a field about the future: `24h` is in 24 hours.
    pub fn in_future(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Offset(offset) | Self::Distance(offset) => shifted(now, offset),
        }
    }
}

fn shifted(now: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    now.checked_add_signed(by).unwrap_or(now)
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        let text = text.trim_end();
        if ["now", "now()"].contains(&text) {
            return Ok(Self::Offset(TimeDelta::zero()));
        }
        if let Some(moment) = relative(text) {
            return Ok(moment);
        }
        let text = text.trim_start();
        if let Some(midnight) = date(text).and_then(|date| date.and_hms_opt(0, 0, 0)) {
            return Ok(Self::At(midnight.and_utc()));
        }
        if let Some(at) = unix(text) {
            return Err(InvalidMoment::Unix(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)));
        }
        absolute(text)
    }
}

/// Seconds or milliseconds since 1970, as other systems write instants.
fn unix(text: &str) -> Option<DateTime<Utc>> {
    let number = text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))?;
    match text.len() {
        10 => DateTime::from_timestamp(number, 0),
        13 => DateTime::from_timestamp_millis(number),
        _ => None,
    }
}

/// `90s`, `5m`, `24h`, `7d`, `2w`, with a sign or without.
fn relative(text: &str) -> Option<Moment> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (Some(-1), &text[1..]),
        b'+' | b' ' => (Some(1), text[1..].trim_start()),
        _ => (None, text),
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match &rest[digits..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    let seconds = rest[..digits].parse::<i64>().ok()?.checked_mul(unit)?;
    if seconds > OFFSET_MAX_SECONDS {
        return None;
    }
    let distance = TimeDelta::seconds(seconds);
    Some(match sign {
        None => Moment::Distance(distance),
        Some(sign) => Moment::Offset(distance * sign),
    })
}

fn date(text: &str) -> Option<NaiveDate> {
    let shaped = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| shaped)
}

fn absolute(text: &str) -> Result<Moment, InvalidMoment> {
    let text = with_plus(text);
    if let Ok(at) = DateTime::parse_from_rfc3339(&text) {
        return Ok(Moment::At(at.to_utc()));
    }
    // RFC 3339 requires seconds and `+02:00`. People also omit the seconds and write `+0200`.
    for format in ["%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z"] {
        if let Ok(at) = DateTime::parse_from_str(&text, format) {
            return Ok(Moment::At(at.to_utc()));
        }
    }
    let zoned = format!("{text}Z");
    let complete =
        DateTime::parse_from_rfc3339(&zoned).is_ok() || DateTime::parse_from_str(&zoned, "%Y-%m-%dT%H:%M%#z").is_ok();
    Err(if complete {
        InvalidMoment::NoZone(text.into_owned())
    } else {
        InvalidMoment::Unreadable
    })
}

/// A blank after the time was a plus; one between date and time is a `T`.
fn with_plus(text: &str) -> Cow<'_, str> {
    if !text.contains(' ') || !text.is_ascii() || text.len() < 11 {
        return text.into();
    }
    let (date, time) = text.split_at(10);
    let time = time.replacen(' ', if time.starts_with(' ') { "T" } else { "+" }, 1);
    format!("{date}{}", time.replacen(' ', "+", 1)).into()
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn common_spellings() {
        let now = instant("2026-11-30T12:00:00Z");
        let check = |text: &str, back: &str, ahead: &str| {
            let moment: Moment = text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"));
            assert_eq!(moment.in_past(now), instant(back), "{text:?}");
            assert_eq!(moment.in_future(now), instant(ahead), "{text:?}");
        };
        let same = |text: &str, at: &str| check(text, at, at);
        for text in [
            "2026-11-30T10:00:00Z",
            "2026-11-30t10:00:00z",
            "2026-11-30T12:00:00+02:00",
            "2026-11-30T12:00:00 02:00",
            "2026-11-30 12:00:00 02:00",
            "2026-11-30T12:00:00.000 02:00",
            "2026-11-30T12:00:00+0200",
            "2026-11-30T12:00:00 0200",
            "2026-11-30T12:00:00+02",
            "2026-11-30T12:00:00 02",
            "2026-11-30T12:00+02:00",
            "2026-11-30T12:00 02:00",
            "2026-11-30 10:00:00Z",
            "2026-11-30T10:00Z",
            "2026-11-30T05:00:00-05:00",
        ] {
            same(text, "2026-11-30T10:00:00Z");
        }
        same("2026-11-30", "2026-11-30T00:00:00Z");
        same("now", "2026-11-30T12:00:00Z");
        same("now()", "2026-11-30T12:00:00Z");
        same("-24h", "2026-11-29T12:00:00Z");
        same("+24h", "2026-12-01T12:00:00Z");
        same(" 24h", "2026-12-01T12:00:00Z");
        check("1h", "2026-11-30T11:00:00Z", "2026-11-30T13:00:00Z");
        check("90s", "2026-11-30T11:58:30Z", "2026-11-30T12:01:30Z");
        check("5m", "2026-11-30T11:55:00Z", "2026-11-30T12:05:00Z");
        check("7d", "2026-11-23T12:00:00Z", "2026-12-07T12:00:00Z");
        check("2w", "2026-11-16T12:00:00Z", "2026-12-14T12:00:00Z");
    }

    #[test]
    fn unix_timestamps_are_refused_with_the_instant_to_write() {
        for (text, instant) in [
            ("1764495254", "2025-11-30T09:34:14Z"),
            ("1764495254123", "2025-11-30T09:34:14.123Z"),
        ] {
            let error = text.parse::<Moment>().expect_err(text);
            assert_eq!(error.to_string(), format!("is a Unix timestamp: write {instant}"));
            assert!(instant.parse::<Moment>().is_ok());
        }
    }

    #[test]
    fn invalid_moments() {
        for text in [
            "",
            " ",
            "yesterday",
            "2026",
            "2026-11",
            "2026-99-01",
            "2026-11-31",
            "1",
            "h",
            "1y",
            "1.5h",
            "-",
            "1h1",
            "--1h",
            "99999999999999999999h",
            "999999w",
            "2026-11-30T25:00:00Z",
            "2026-11-30T10:00:00Zx",
            "30.11.2026",
            "2026-1-1",
            "2026-11-30T12:00:00 02:00 x",
            "é026-11-30",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(InvalidMoment::Unreadable), "{text:?}");
        }
        for text in [
            "2026-11-30T10:00:00",
            "2026-11-30 10:00:00",
            "2026-11-30T10:00",
            "2026-11-30 10:00",
        ] {
            let error = text.parse::<Moment>().expect_err(text);
            let InvalidMoment::NoZone(rest) = error else {
                panic!("{text}: {error}")
            };
            assert!(
                format!("{rest}Z").parse::<Moment>().is_ok(),
                "the advice works: {rest}Z"
            );
        }
    }
}
