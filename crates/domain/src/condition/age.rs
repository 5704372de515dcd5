//! `younger_than` and `older_than`: how old an instant was when the event was received.

use crate::json;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Number, Value};
use std::time::Duration;

const SHAPE: &str = "a number of seconds, or text such as \"90m\", \"1h30m\" or \"7d\"";
const SECONDS_MAX: u64 = 100 * 366 * 86_400;
/// A Unix time from here on is in milliseconds. In seconds, it would be the year 5138.
const MILLISECONDS_FROM: f64 = 1e11;

/// The `value` of a clause.
pub fn parse(value: &Value) -> Result<TimeDelta, String> {
    let age = match value {
        Value::Number(seconds) => seconds.as_f64().and_then(|s| Duration::try_from_secs_f64(s).ok()),
        Value::String(text) => parts(text).map(Duration::from_secs),
        _ => None,
    };
    age.filter(|age| age.as_secs() <= SECONDS_MAX)
        .and_then(|age| TimeDelta::from_std(age).ok())
        .ok_or_else(|| format!("must be {SHAPE}, at most 100 years, not {value}"))
}

/// The seconds of `1h30m`: numbers with units, the largest unit first.
fn parts(text: &str) -> Option<u64> {
    let (mut rest, mut total, mut larger) = (text, 0_u64, u64::MAX);
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = match rest.as_bytes().get(digits)? {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        if unit >= larger {
            return None;
        }
        total = total.checked_add(rest[..digits].parse::<u64>().ok()?.checked_mul(unit)?)?;
        larger = unit;
        rest = &rest[digits + 1..];
        if rest.is_empty() {
            return Some(total);
        }
    }
}

/// The age of an instant when the event was received; negative when it is in the future.
pub fn of(actual: &Value, event: &Value) -> Result<TimeDelta, String> {
    let instant = match actual {
        Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc()),
        Value::Number(number) => unix_time(number),
        _ => return Err(format!("is {}, not a time", json::kind(actual))),
    };
    let instant = instant.ok_or_else(|| {
        format!("is {actual}, not a time such as \"2027-01-20T15:00:00Z\" or a Unix time in seconds or milliseconds")
    })?;
    let received_at = event["received_at"].as_str().unwrap_or_default();
    let received_at = DateTime::parse_from_rfc3339(received_at)
        .map_err(|_| "cannot be compared: the event has no received_at".to_owned())?;
    Ok(received_at.to_utc() - instant)
}

fn unix_time(number: &Number) -> Option<DateTime<Utc>> {
    let value = number.as_f64()?;
    let seconds = if value.abs() >= MILLISECONDS_FROM {
        value / 1000.0
    } else {
        value
    };
    let distance = TimeDelta::from_std(Duration::try_from_secs_f64(seconds.abs()).ok()?).ok()?;
    let distance = if seconds < 0.0 { -distance } else { distance };
    DateTime::UNIX_EPOCH.checked_add_signed(distance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_clauses() {
        let check = |value: Value, seconds: f64| {
            let age = parse(&value).unwrap_or_else(|error| panic!("{value} {error}"));
            assert_eq!(age.as_seconds_f64().to_string(), seconds.to_string(), "{value}");
        };
        check(json!(0), 0.0);
        check(json!(90), 90.0);
        check(json!(0.5), 0.5);
        check(json!("90m"), 5400.0);
        check(json!("1h30m"), 5400.0);
        check(json!("1w2d3h4m5s"), 788_645.0);
        check(json!("0s"), 0.0);
        for value in [
            json!(-1),
            json!(1e300),
            json!("90"),
            json!("m"),
            json!(""),
            json!("1.5h"),
            json!("-1h"),
            json!("30m1h"),
            json!("1h 30m"),
            json!("1y"),
            json!("99999999999999999999s"),
            json!("6000w"),
            json!(null),
            json!(["1h"]),
        ] {
            let error = parse(&value).expect_err("an error");
            assert!(error.contains("number of seconds"), "{value} {error}");
        }
    }

    #[test]
    fn ages_of_instants() {
        let event = json!({"received_at": "2027-01-15T08:00:00Z"});
        let check = |actual: Value, seconds: Option<i64>| {
            let age = of(&actual, &event).map(|age| age.num_seconds()).ok();
            assert_eq!(age, seconds, "{actual}");
        };
        check(json!("2027-01-15T07:59:00Z"), Some(60));
        check(json!("2027-01-15T10:00:00+02:00"), Some(0));
        check(json!("2027-01-15T08:00:01Z"), Some(-1));
        check(json!(1_800_000_000), Some(0));
        check(json!(1_799_999_940.0), Some(60));
        check(json!(1_799_999_940_000_i64), Some(60));
        check(json!(-1), Some(1_800_000_001));
        check(json!(1e300), None);
        check(json!("1800000000"), None);
        check(json!("yesterday"), None);
        check(json!("2027-01-15T08:00:00"), None);
        check(json!(null), None);
        check(json!({}), None);
    }
}
