//! Parses a cron expression like crontab: 5 fields (minute first), 6 (second first), 7 (year last) or a nickname.
//!
//! The tricky part is where crontab differs from other parsers: 0 and 7 are both Sunday, and when neither day field
//! starts with `*` a day needs to match only one of them. Ranges may wrap around the end of a field: `FRI-MON`, `22-2`.

use super::fields::{Fields, YEAR_MAX, YEAR_MIN};

pub(super) const LENGTH_MAX: usize = 256;

/// A parsed expression: its sets, and whether it names times of day or a repeating pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expression {
    pub fields: Fields,
    /// No wildcard or step in hour and minute: such times of day are moved and not repeated when clocks change.
    pub fixed: bool,
}

/// One kind of field: its name, its values, and their names.
pub(super) struct Kind {
    pub name: &'static str,
    pub min: u32,
    pub max: u32,
    pub names: &'static [&'static str],
}

pub(super) const SECOND: Kind = Kind {
    name: "second",
    min: 0,
    max: 59,
    names: &[],
};
pub(super) const MINUTE: Kind = Kind {
    name: "minute",
    min: 0,
    max: 59,
    names: &[],
};
pub(super) const HOUR: Kind = Kind {
    name: "hour",
    min: 0,
    max: 23,
    names: &[],
};
pub(super) const DAY: Kind = Kind {
    name: "day of month",
    min: 1,
    max: 31,
    names: &[],
};
pub(super) const MONTH: Kind = Kind {
    name: "month",
    min: 1,
    max: 12,
    names: &[
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ],
};
pub(super) const WEEKDAY: Kind = Kind {
    name: "day of week",
    min: 0,
    max: 7,
    names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
};
pub(super) const YEAR: Kind = Kind {
    name: "year",
    min: YEAR_MIN,
    max: YEAR_MAX,
    names: &[],
};

pub(super) const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

impl Expression {
    /// The error only states the problem. `parse` adds advice.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.chars().count() > LENGTH_MAX {
            return Err(format!("must be at most {LENGTH_MAX} characters"));
        }
        let plain = expand_nickname(text.trim_matches(is_blank))?;
        let words: Vec<&str> = plain.split(is_blank).filter(|word| !word.is_empty()).collect();
        let (second, [minute, hour, day, month, weekday], year) = match words[..] {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday], "*"),
            [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday], "*"),
            [second, minute, hour, day, month, weekday, year] => (second, [minute, hour, day, month, weekday], year),
            _ => return Err(wrong_field_count(words.len())),
        };
        // All invalid fields are reported at once.
        let mut errors = Vec::new();
        let mut read = |kind, text| set(kind, text).unwrap_or_else(|error| wrong(&mut errors, error));
        let mut fields = Fields {
            seconds: read(&SECOND, second),
            minutes: read(&MINUTE, minute),
            hours: read(&HOUR, hour),
            days: read(&DAY, day),
            months: read(&MONTH, month),
            weekdays: read(&WEEKDAY, weekday),
            either_day: is_restricted(day) && is_restricted(weekday),
            years: None,
        };
        fields.years = years(year).unwrap_or_else(|error| wrong(&mut errors, error));
        if !errors.is_empty() {
            return Err(errors.join("; "));
        }
        if !fields.has_any_day() {
            return Err(format!(
                "never occurs: no month of `{month}` has the day of month `{day}`"
            ));
        }
        let fixed = !minute.contains(['*', '/']) && !hour.contains(['*', '/']);
        Ok(Self { fields, fixed })
    }
}

fn wrong<T: Default>(errors: &mut Vec<String>, error: String) -> T {
    errors.push(error);
    T::default()
}

fn expand_nickname(text: &str) -> Result<&str, String> {
    if !text.starts_with('@') {
        return Ok(text);
    }
    let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    known
        .map(|(_, plain)| *plain)
        .ok_or_else(|| "is not a nickname".to_owned())
}

/// What separates fields; text that was copied from a web page may hold any of these.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\u{2060}')
}

fn wrong_field_count(found: usize) -> String {
    format!(
        "has {found} field{} in place of 5 (minute, hour, day of month, month, day of week), 6 (second first) or 7 (year last)",
        if found == 1 { "" } else { "s" }
    )
}

/// Whether a day field is restricted, for crontab's rule of two restricted day fields.
fn is_restricted(field: &str) -> bool {
    !field.starts_with(['*', '?'])
}

fn set(kind: &Kind, text: &str) -> Result<u64, String> {
    Ok(values(kind, text)?.into_iter().fold(0, |set, value| set | 1 << value))
}

fn years(text: &str) -> Result<Option<Box<[bool]>>, String> {
    if text == "*" {
        return Ok(None);
    }
    let mut years = vec![false; (YEAR_MAX - YEAR_MIN + 1) as usize];
    for year in values(&YEAR, text)? {
        years[(year - YEAR_MIN) as usize] = true;
    }
    Ok(Some(years.into()))
}

/// Every value that a list such as `1,10-20/5,*/30` names.
pub(super) fn values(kind: &Kind, text: &str) -> Result<Vec<u32>, String> {
    let (end, span) = (last(kind), last(kind) - kind.min + 1);
    let mut all = Vec::new();
    for item in text.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(read_step(kind, item, step)?)),
            None => (item, None),
        };
        let (low, high) = read_range(kind, item, range, step.is_some())?;
        // Values beyond the end of the field wrap around; 7 as a day of the week is such a value.
        let around = |value: u32| if value > end { value - span } else { value };
        all.extend((low..=high).step_by(step.unwrap_or(1)).map(around));
    }
    Ok(all)
}

fn read_step(kind: &Kind, item: &str, text: &str) -> Result<usize, String> {
    let span = (kind.max - kind.min + 1) as usize;
    match text.parse::<usize>() {
        Ok(step) if (1..=span).contains(&step) && is_digits(text) => Ok(step),
        _ => Err(format!(
            "{} `{item}`: the step must be a whole number from 1 to {span}",
            kind.name
        )),
    }
}

/// The ends of one item. A single value with a step runs to the end of the field (`5/15` is `5-59/15`). A descending
/// range wraps around the end of the field: its end is beyond the last value.
fn read_range(kind: &Kind, item: &str, text: &str, stepped: bool) -> Result<(u32, u32), String> {
    if text == "*" || (text == "?" && is_day(kind)) {
        return Ok((kind.min, last(kind)));
    }
    let Some((low, high)) = text.split_once('-') else {
        let value = read_value(kind, item, text)?;
        let high = if stepped { value.max(last(kind)) } else { value };
        return Ok((value, high));
    };
    let (low, high) = (read_value(kind, item, low)?, read_value(kind, item, high)?);
    if high >= low {
        return Ok((low, high));
    }
    if kind.name == YEAR.name {
        return Err(format!("year `{item}`: the range runs backwards"));
    }
    Ok((low, high + last(kind) - kind.min + 1))
}

/// The last value that is not an alias (7 is Sunday again).
fn last(kind: &Kind) -> u32 {
    if kind.name == WEEKDAY.name { 6 } else { kind.max }
}

fn read_value(kind: &Kind, item: &str, text: &str) -> Result<u32, String> {
    let position = kind.names.iter().position(|name| name.eq_ignore_ascii_case(text));
    let value = match position {
        Some(index) => u32::try_from(index).ok().map(|index| index + kind.min),
        None if is_digits(text) => text.parse().ok(),
        None => None,
    };
    value
        .filter(|value| (kind.min..=kind.max).contains(value))
        .ok_or_else(|| {
            let names = match kind.names {
                [first, .., last] => format!(" or {first} to {last}"),
                _ => String::new(),
            };
            let hint = match text {
                _ if text.starts_with('H') => ", and `spread_seconds` spreads timers in place of `H`",
                _ if text.contains(['L', 'W', '#']) && is_day(kind) => ", without `L`, `W` and `#`",
                _ => "",
            };
            format!(
                "{} `{item}`: values are {} to {}{names}{hint}",
                kind.name, kind.min, kind.max
            )
        })
}

fn is_day(kind: &Kind) -> bool {
    kind.name == DAY.name || kind.name == WEEKDAY.name
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
