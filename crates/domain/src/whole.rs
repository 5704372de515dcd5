//! Whole numbers from outside: every message names the accepted range, and what was probably meant when a person wrote a
//! number in another form (`"5m"`, `"1,000"`, `1e3`).

use serde_json::Value;
use std::{fmt::Display, ops::RangeInclusive};

/// The number if it is whole and within the range; otherwise what to write. `field` is the name or path of the field: its
/// last word is its unit (`_seconds`, `_days`, `_mb`, `bytes_max`).
pub fn read<T>(field: &str, value: &Value, range: RangeInclusive<T>) -> Result<T, String>
where
    T: Copy + PartialOrd + Display + TryFrom<i64>,
{
    let number = value.as_i64().and_then(|number| T::try_from(number).ok());
    if let Some(number) = number.filter(|number| range.contains(number)) {
        return Ok(number);
    }
    let fits = |whole: i64| T::try_from(whole).is_ok_and(|number| range.contains(&number));
    let advice = advice(field, value, fits);
    Err(format!(
        "must be a whole number from {} to {}{advice}",
        range.start(),
        range.end()
    ))
}

/// The number if it is within the range; otherwise what to write.
pub fn decimal(field: &str, value: &Value, range: RangeInclusive<f64>) -> Result<f64, String> {
    if let Some(number) = value.as_f64().filter(|number| range.contains(number)) {
        return Ok(number);
    }
    #[expect(clippy::cast_precision_loss, reason = "the ranges are far below 2^52")]
    let advice = advice(field, value, |whole| range.contains(&(whole as f64)));
    Err(format!(
        "must be a number from {} to {}{advice}",
        range.start(),
        range.end()
    ))
}

/// What is wrong with the form of a number, and the number to write if that would be accepted.
fn advice(field: &str, value: &Value, fits: impl Fn(i64) -> bool) -> String {
    let Some((reason, meant)) = form_of(field, value) else {
        return String::new();
    };
    match meant.filter(|meant| fits(*meant)) {
        Some(meant) => format!("{reason}; write `{meant}`"),
        None => reason.to_owned(),
    }
}

/// The whole number that was probably meant.
pub fn meant(field: &str, value: &Value) -> Option<i64> {
    form_of(field, value).and_then(|(_, meant)| meant)
}

/// What is wrong with the form of a number, without the number.
pub fn form_error(value: &Value) -> &'static str {
    form_of("", value).map_or("", |(reason, _)| reason)
}

fn form_of(field: &str, value: &Value) -> Option<(&'static str, Option<i64>)> {
    let text = match value {
        Value::Number(number) => return Some(("", whole(number.as_f64()?))).filter(|_| number.is_f64()),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || is_separator(c) || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (number, unit) = (text[..end].trim(), text[end..].trim());
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if unit.is_empty() {
        if let Ok(number) = number.parse() {
            return Some((", not a string", Some(number)));
        }
        if number.contains(is_separator) {
            return Some((", without thousands separators", joined(number)));
        }
        return Some(("", number.parse().ok().and_then(whole)));
    }
    if let Some(exact) = text.parse().ok().and_then(whole) {
        return Some(("", Some(exact)));
    }
    let amount: f64 = match joined(number) {
        Some(whole) if number.contains(is_separator) => whole.to_string().parse().ok()?,
        _ => number.parse().ok()?,
    };
    let factor = factor(field, &unit.to_ascii_lowercase());
    Some((", without a unit", factor.and_then(|factor| whole(amount * factor))))
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | '_' | '\'' | '’' | ' ' | '\u{a0}' | '\u{2009}' | '\u{202f}')
}

/// `1,000` and `12 345 678`: groups of three digits.
fn joined(number: &str) -> Option<i64> {
    let digits = number.trim_start_matches(['+', '-']);
    let mut groups = digits.split(is_separator);
    let is_group = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    let first = groups.next().filter(|first| (1..=3).contains(&first.len()))?;
    if !is_group(first) || !groups.all(|group| group.len() == 3 && is_group(group)) {
        return None;
    }
    let plain: String = number.chars().filter(|c| !is_separator(*c)).collect();
    plain.parse().ok()
}

fn whole(number: f64) -> Option<i64> {
    let whole = crate::number::truncated(number).filter(|_| number.fract() == 0.0)?;
    i64::try_from(whole).ok()
}

/// How many of the field's unit one of the written unit is. Of a field without a unit, the number alone was meant; a
/// unit of time or memory has no meaning there.
fn factor(field: &str, unit: &str) -> Option<f64> {
    let name = field.rsplit('.').next().unwrap_or(field);
    let has = |words: &[&str]| words.iter().any(|word| name.split('_').any(|part| part == *word));
    let seconds = match unit {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => 0.0,
    };
    let bytes = match unit {
        "b" | "byte" | "bytes" => 1.0,
        "k" | "kb" | "kib" => 1_024.0,
        "m" | "mb" | "mib" => 1_048_576.0,
        "g" | "gb" | "gib" => 1_073_741_824.0,
        "t" | "tb" | "tib" => 1_099_511_627_776.0,
        _ => 0.0,
    };
    let factor = if has(&["seconds", "wait"]) {
        seconds
    } else if has(&["minutes"]) {
        seconds / 60.0
    } else if has(&["hours"]) {
        seconds / 3_600.0
    } else if has(&["days"]) {
        seconds / 86_400.0
    } else if has(&["mb"]) {
        bytes / 1_048_576.0
    } else if has(&["bytes"]) {
        bytes
    } else if unit == "%" || seconds + bytes > 0.0 {
        0.0
    } else {
        1.0
    };
    (factor > 0.0).then_some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_message_names_the_accepted_range_and_what_was_meant() {
        let check = |field: &str, value: Value, expected: &str| {
            let message = read(field, &value, 1_i64..=10_000).expect_err("a wrong number");
            assert_eq!(
                message,
                format!("must be a whole number from 1 to 10000{expected}"),
                "{value}"
            );
        };
        for plain in [
            json!(0),
            json!(10_001),
            json!(-5),
            json!(null),
            json!([1]),
            json!(true),
            json!("x"),
            json!("now()"),
        ] {
            check("limit", plain, "");
        }
        check("limit", json!(1e30), "");
        check("limit", json!(1.5), "");
        check("limit", json!(5.0), "; write `5`");
        check("limit", json!("7"), ", not a string; write `7`");
        check("limit", json!("-7"), ", not a string");
        check("limit", json!("1,000"), ", without thousands separators; write `1000`");
        check("limit", json!("1_000"), ", without thousands separators; write `1000`");
        check("limit", json!("1 000"), ", without thousands separators; write `1000`");
        check("limit", json!("1'000"), ", without thousands separators; write `1000`");
        check("limit", json!("1,000,000"), ", without thousands separators");
        check("limit", json!("1,5"), ", without thousands separators");
        check("limit", json!("1e3"), "; write `1000`");
        check("limit", json!("2.0"), "; write `2`");
        check("limit", json!("50%"), ", without a unit");
        check("limit", json!("5m"), ", without a unit");
        check("limit", json!("3 times"), ", without a unit; write `3`");
        check("timeout_seconds", json!("5m"), ", without a unit; write `300`");
        check("timeout_seconds", json!("1.5 hours"), ", without a unit; write `5400`");
        check("timeout_seconds", json!("100ms"), ", without a unit");
        check("timeout_seconds", json!("1d"), ", without a unit");
        check("events_days", json!("2 weeks"), ", without a unit; write `14`");
        check("resources.memory_mb", json!("2GB"), ", without a unit; write `2048`");
        check("body_bytes_max", json!("8 KiB"), ", without a unit; write `8192`");
    }

    #[test]
    fn numbers_within_the_range_are_read() {
        assert_eq!(read("n", &json!(1), 1_u16..=9), Ok(1));
        assert_eq!(read("n", &json!(9), 1_u16..=9), Ok(9));
        assert!(read("n", &json!(70_000), 1_u16..=u16::MAX).is_err());
        assert!(read("n", &json!(-1), 0_u32..=9).is_err());
    }
}
