//! Suggests a replacement for a cron expression that does not parse.
//!
//! Every message ends with a replacement in backquotes, which is valid by construction: it is parsed before it is shown. A
//! test follows it. A replacement in braces names several fields of the configuration; one with a `type` replaces it all.

mod pasted;

pub(super) use pasted::interval_of;

use super::{
    config::Moment,
    cron::{self, Expression, Kind, is_blank},
};
use pasted::pasted;
use serde_json::Value;

const EXAMPLE: &str = "30 2 * * *";

impl Expression {
    /// The error describes the problem and suggests what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text).map_err(|problem| message(text, &problem))
    }
}

/// The whole message for an expression with this problem.
pub(super) fn message(text: &str, problem: &str) -> String {
    let text = text.trim_matches(is_blank);
    // The nearest expression may not be the intended one.
    pasted(text).unwrap_or_else(|| format!("{problem}: write, for example, `{}`", corrected(text)))
}

/// The nearest expression that parses.
fn corrected(text: &str) -> String {
    let given: Vec<&str> = words(text).collect();
    let mut kinds: Vec<&Kind> = vec![&cron::MINUTE, &cron::HOUR, &cron::DAY, &cron::MONTH, &cron::WEEKDAY];
    if matches!(given.len(), 6 | 7) {
        kinds.insert(0, &cron::SECOND);
    }
    if given.len() == 7 {
        kinds.push(&cron::YEAR);
    }
    if given.is_empty() || text.len() > cron::LENGTH_MAX {
        return EXAMPLE.to_owned();
    }
    let given = given.into_iter().chain(std::iter::repeat("*"));
    let fields: Vec<String> = kinds
        .iter()
        .zip(given)
        .map(|(kind, word)| correct(kind, word))
        .collect();
    let day = kinds.iter().position(|kind| kind.name == cron::DAY.name);
    // The last day of a month that lacks the given day.
    let later_days = ["30", "29"].into_iter().filter_map(|replaced| {
        let mut fields = fields.clone();
        replaced.clone_into(fields.get_mut(day?)?);
        Some(fields.join(" "))
    });
    let mut candidates = std::iter::once(fields.join(" ")).chain(later_days);
    candidates
        .find(|candidate| Expression::read(candidate).is_ok())
        .unwrap_or_else(|| EXAMPLE.to_owned())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_blank).filter(|word| !word.is_empty())
}

/// One field: valid parts unchanged, the others corrected or dropped.
fn correct(kind: &Kind, word: &str) -> String {
    let word = word.replace(['–', '—', '−', '‑'], "-");
    let items: Vec<String> = word.split(',').filter_map(|item| correct_item(kind, item)).collect();
    match (items.is_empty(), kind.name) {
        (false, _) => items.join(","),
        (true, "year") => "*".to_owned(),
        (true, _) => kind.min.max(u32::from(kind.name == cron::WEEKDAY.name)).to_string(),
    }
}

fn correct_item(kind: &Kind, item: &str) -> Option<String> {
    if cron::values(kind, item).is_ok() {
        return Some(item.to_owned());
    }
    let is_calendar = match kind.name {
        "day of month" => item.contains(['L', 'W']),
        "day of week" => item.ends_with('L') || item.contains('#'),
        _ => false,
    };
    if is_calendar {
        return calendar(kind, item);
    }
    let hashed = item.strip_prefix('H').map(|rest| rest.replace(['(', ')'], ""));
    let (range, step) = match hashed.as_deref() {
        // `H(0-29)/10` is a step in a range; `H(0-29)` one value of it.
        Some(rest) => match rest.split_once('/') {
            Some((range, step)) => (if range.is_empty() { "*" } else { range }, Some(step)),
            None => (rest.split('-').next().filter(|low| !low.is_empty())?, None),
        },
        None => match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        },
    };
    let range = correct_range(kind, range)?;
    match step.and_then(|step| correct_step(kind, step)) {
        Some(step) => Some(format!("{range}/{step}")),
        None => Some(range),
    }
}

/// `L`, `15W` and `5#2` are Quartz's: the plain day that is meant, or one that every month has.
fn calendar(kind: &Kind, item: &str) -> Option<String> {
    let plain = item.split('#').next()?.trim_end_matches(['L', 'W']);
    match kind.name {
        "day of month" => Some(correct_value(kind, plain).unwrap_or_else(|| "28".to_owned())),
        _ => correct_value(kind, plain),
    }
}

fn correct_range(kind: &Kind, range: &str) -> Option<String> {
    if range.contains(['*', '?']) {
        return Some("*".to_owned());
    }
    let Some((low, high)) = range.split_once('-') else {
        return correct_value(kind, range);
    };
    match (correct_value(kind, low), correct_value(kind, high)) {
        // Only years do not recur.
        (Some(low), Some(high)) if kind.name == cron::YEAR.name && high < low => Some(format!("{high}-{low}")),
        (Some(low), Some(high)) => Some(format!("{low}-{high}")),
        (low, high) => low.or(high),
    }
}

fn correct_step(kind: &Kind, step: &str) -> Option<u32> {
    let number: u32 = digits(step)?.parse().unwrap_or(u32::MAX);
    Some(number.clamp(1, kind.max - kind.min + 1))
}

/// The nearest value: `MONDAY` is `MON`, minute 60 is 0, day 32 is 31.
fn correct_value(kind: &Kind, text: &str) -> Option<String> {
    if let Some(name) = kind.names.iter().find(|name| starts_with(text, name)) {
        return Some((*name).to_owned());
    }
    if kind.name == cron::WEEKDAY.name && text.len() == 2 {
        // `Mo-Fr`
        let is_start = |name: &&&str| starts_with(name, text);
        return kind.names.iter().find(is_start).map(|name| (*name).to_owned());
    }
    let number: u32 = digits(text)?.parse().unwrap_or(u32::MAX);
    if kind.name == cron::YEAR.name && !(kind.min..=kind.max).contains(&number) {
        return None;
    }
    let is_time = kind.min == 0 && kind.names.is_empty();
    let value = if is_time && number > kind.max {
        kind.min
    } else {
        number.clamp(kind.min, kind.max)
    };
    Some(value.to_string())
}

fn starts_with(text: &str, name: &str) -> bool {
    text.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// The first digits of a text.
fn digits(text: &str) -> Option<&str> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let rest = text.get(start..)?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)
}

/// The same expression in every year, for one that names only years that are over or far away.
pub(super) fn in_every_year(text: &str) -> String {
    let mut fields: Vec<&str> = words(text).collect();
    if fields.len() == 7 {
        fields[6] = "*";
        return fields.join(" ");
    }
    EXAMPLE.to_owned()
}

/// The intended instant with its offset, from invalid input.
pub(super) fn instant(value: &Value) -> String {
    const FAR_AWAY: &str = "2099-01-01T00:00:00Z";
    let found = match value {
        Value::String(text) => from_text(text.trim_matches(is_blank)),
        Value::Number(number) => number.as_i64().and_then(from_number),
        _ => None,
    };
    found.unwrap_or_else(|| FAR_AWAY.to_owned())
}

/// Without an offset, with a blank in place of the `+` (as an unencoded query has it), or with a date only.
fn from_text(text: &str) -> Option<String> {
    let blank = text.replace(' ', "T");
    let candidates = [
        text.replacen(' ', "+", 1),
        // The offset is what follows the last blank.
        text.rsplit_once(' ')
            .map(|(time, offset)| format!("{}+{offset}", time.replace(' ', "T")))
            .unwrap_or_default(),
        blank.clone(),
        format!("{blank}Z"),
        format!("{blank}:00Z"),
        format!("{blank}T00:00:00Z"),
    ];
    let usual = |text: &String| Moment::parse(text).is_some();
    let short_offset = || chrono::DateTime::parse_from_str(&blank, "%Y-%m-%dT%H:%M:%S%.f%z").ok();
    let found = candidates.into_iter().find(usual);
    found.or_else(|| short_offset().map(|at| at.to_rfc3339()))
}

/// Seconds or milliseconds since 1970.
fn from_number(number: i64) -> Option<String> {
    let seconds = if number > 100_000_000_000 {
        number / 1000
    } else {
        number
    };
    let at = chrono::DateTime::from_timestamp(seconds, 0).filter(|at| Moment::parse(&at.to_rfc3339()).is_some())?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}
