//! What to write in place of a cron expression that cannot be read.
//!
//! Every message ends with a replacement in backquotes, which is right by construction: it is read before it is shown. A
//! test follows it. A replacement in braces names several fields of the configuration; one with a `type` replaces it all.

use super::{
    config::Moment,
    cron::{self, Expression, Kind, is_blank},
    schedule,
};
use serde_json::{Value, json};

const EXAMPLE: &str = "30 2 * * *";

/// The whole message for an expression with this problem.
pub(super) fn message(text: &str, problem: &str) -> String {
    let text = text.trim_matches(is_blank);
    // The nearest expression may be another one than was meant.
    pasted(text).unwrap_or_else(|| format!("{problem}: write, for example, `{}`", mended(text)))
}

/// Forms of other systems, which people paste.
fn pasted(text: &str) -> Option<String> {
    quoted(text)
        .or_else(|| with_zone(text))
        .or_else(|| zone_or_year_behind(text))
        .or_else(|| daily(text))
        .or_else(|| interval(text))
        .or_else(|| nickname(text))
        .or_else(|| amazon(text))
        .or_else(|| time_or_date(text))
        .or_else(|| crontab_line(text))
}

fn quoted(text: &str) -> Option<String> {
    let quotes = ['"', '\'', '`', '“', '”', '‘', '’'];
    let inner = text.trim_matches(quotes);
    let is_quoted = inner.len() < text.len() && Expression::read(inner).is_ok();
    is_quoted.then(|| format!("is quoted: write `{}`", inner.trim_matches(is_blank)))
}

/// `CRON_TZ=Europe/Berlin 0 9 * * *`
fn with_zone(text: &str) -> Option<String> {
    let (name, rest) = text.split_once('=')?;
    if !["TZ", "CRON_TZ"].iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return None;
    }
    let (zone, rest) = rest.split_once(is_blank).unwrap_or((rest, EXAMPLE));
    let zone = schedule::closest_zone(zone.trim_matches(['"', '\''])).unwrap_or("UTC");
    let fields = json!({"expression": rest.trim_matches(is_blank), "timezone": zone});
    Some(format!("holds a zone, which belongs into `timezone`: write `{fields}`"))
}

/// `0 9 * * * Europe/Berlin`, and `0 9 1 1 * 2027`, which has a year but no seconds.
fn zone_or_year_behind(text: &str) -> Option<String> {
    let given: Vec<&str> = words(text).collect();
    let (last, schedule) = given.split_last().filter(|(_, schedule)| schedule.len() >= 5)?;
    let schedule = schedule.join(" ");
    if schedule::is_zone(last) && Expression::read(&schedule).is_ok() {
        let fields = json!({"expression": schedule, "timezone": last});
        return Some(format!("holds a zone, which belongs into `timezone`: write `{fields}`"));
    }
    let with_seconds = format!("0 {text}");
    let has_year = given.len() == 6 && last.len() == 4 && last.bytes().all(|b| b.is_ascii_digit());
    (has_year && Expression::read(&with_seconds).is_ok()).then(|| {
        format!(
            "has a year but no seconds: write `{}`",
            words(&with_seconds).collect::<Vec<_>>().join(" ")
        )
    })
}

/// `daily at 02:00`, `every day at 9am`
fn daily(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let rest = lower
        .strip_prefix("daily")
        .or_else(|| lower.strip_prefix("every day"))?;
    let time = rest.trim_matches(is_blank);
    let time = time.strip_prefix("at").unwrap_or(time).trim_matches(is_blank);
    let (minute, hour) = if time.is_empty() { (0, 0) } else { time_of_day(time)? };
    Some(format!("is not a cron expression: write `{minute} {hour} * * *`"))
}

/// `02:00`, `9am`, `9:30 pm`, `noon`: the minute and the hour.
fn time_of_day(text: &str) -> Option<(u32, u32)> {
    match text {
        "noon" => return Some((0, 12)),
        "midnight" => return Some((0, 0)),
        _ => {}
    }
    let half = ["am", "pm"].into_iter().find(|half| text.ends_with(half));
    let clock = half
        .map_or(text, |half| text.trim_end_matches(half))
        .trim_matches(is_blank);
    let (hour, minute) = match clock.split_once(':') {
        Some((hour, minute)) => (hour, minute),
        None => (clock, half.map(|_| "0")?),
    };
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match half {
        Some(half) if (1..=12).contains(&hour) => hour % 12 + if half == "pm" { 12 } else { 0 },
        Some(_) => return None,
        None => hour,
    };
    (hour < 24 && minute < 60).then_some((minute, hour))
}

/// `@every 5m`, `every 5 minutes`, `rate(5 minutes)`, `PT5M`, `5m`
fn interval(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let every = lower.trim_start_matches('@').strip_prefix("every");
    let length = match lower.strip_prefix("rate(") {
        Some(inner) => Some(inner.trim_end_matches(')')),
        None => every,
    };
    let seconds = match length {
        Some(length) => duration(length),
        None => Some(
            duration(&lower)
                .filter(|seconds| *seconds > 0)
                .or_else(|| iso_duration(text))?,
        ),
    };
    let Some((unit, value)) = seconds.and_then(in_units) else {
        return Some(
            r#"is an interval that cannot be read: write, for example, `{"type":"interval","minutes":5}`"#.to_owned(),
        );
    };
    let config = json!({"type": "interval", unit: value});
    Some(format!("is an interval: write `{config}`"))
}

/// The largest unit of an interval that holds these seconds. No interval is longer than a year.
fn in_units(seconds: u64) -> Option<(&'static str, u64)> {
    let seconds = Some(seconds).filter(|seconds| *seconds > 0)?.min(366 * 86_400);
    let units = [("hours", 3600), ("minutes", 60), ("seconds", 1)];
    let (unit, length) = units.into_iter().find(|(_, length)| seconds.is_multiple_of(*length))?;
    Some((unit, seconds.checked_div(length)?))
}

/// The interval that a field means which Attune does not have: `"days": 2`, `"every": "10s"`.
pub(super) fn interval_of(field: &str, value: &Value) -> Option<(&'static str, u64)> {
    let days = match field {
        "days" | "day" => 1,
        "weeks" | "week" => 7,
        "every" | "interval" | "period" | "duration" | "frequency" => {
            let text = value.as_str()?;
            return in_units(duration(&text.to_ascii_lowercase()).or_else(|| iso_duration(text))?);
        }
        _ => return None,
    };
    Some(("hours", value.as_u64()?.checked_mul(24 * days)?))
}

/// `PT1H30M`, `P1D`, and `R/2027-01-01T00:00:00Z/PT5M`, which repeats.
fn iso_duration(text: &str) -> Option<u64> {
    let repeated = text.starts_with('R').then(|| text.rsplit('/').next()).flatten();
    let length = repeated.unwrap_or(text).strip_prefix('P')?;
    let (days, time) = length.split_once('T').unwrap_or((length, ""));
    let is_plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || b"DHMS".contains(&b));
    if !is_plain(days) || !is_plain(time) || days.contains(['H', 'M', 'S']) || time.contains('D') {
        return None;
    }
    let days = duration(&days.to_ascii_lowercase())?;
    days.checked_add(duration(&time.to_ascii_lowercase())?)
        .filter(|seconds| *seconds > 0)
}

/// `cron(0 12 * * ? *)`: minutes first, the year last. Its numbers of weekdays are not ours.
fn amazon(text: &str) -> Option<String> {
    let inner = text.strip_prefix("cron(")?.strip_suffix(')')?;
    let given: Vec<&str> = words(inner).collect();
    let [schedule @ .., weekday, "*"] = given.as_slice() else {
        return None;
    };
    let expression = format!("{} {weekday}", schedule.join(" "));
    let is_plain = schedule.len() == 4 && !weekday.contains(|c: char| c.is_ascii_digit());
    (is_plain && Expression::read(&expression).is_ok()).then(|| format!("is wrapped in `cron()`: write `{expression}`"))
}

/// `1h30m`, `90 s`, `5 minutes`, in whole seconds.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text.trim_matches(is_blank);
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        // `every hour` is every one hour.
        let number: u64 = match rest.get(..digits)? {
            "" if seconds == 0 && !["s", "m", "h", "d"].contains(&rest) => 1,
            number => number.parse().ok()?,
        };
        rest = rest.get(digits..)?.trim_start_matches(is_blank);
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let length = match rest.get(..letters)? {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(length)?)?;
        rest = rest.get(letters..)?.trim_start_matches(is_blank);
    }
    Some(seconds)
}

fn nickname(text: &str) -> Option<String> {
    if !text.starts_with('@') {
        return None;
    }
    if text.eq_ignore_ascii_case("@reboot") {
        return Some(
            "`@reboot` is not a time, and timers follow the clock only: write a schedule such as `@hourly`".to_owned(),
        );
    }
    let shown: String = text.chars().take(30).collect();
    let names: Vec<String> = cron::NICKNAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
    Some(format!(
        "`{shown}` is not a nickname: write one of {}",
        names.join(", ")
    ))
}

/// `09:30` and `2027-01-20T15:00:00Z`
fn time_or_date(text: &str) -> Option<String> {
    if let Some(moment) = Moment::parse(text) {
        let config = json!({"type": "one_shot", "fire_at": moment.at()});
        return Some(format!("is an instant, which belongs to a one-shot: write `{config}`"));
    }
    let parts: Vec<u32> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let expression = match parts[..] {
        [hour, minute] => format!("{minute} {hour} * * *"),
        [hour, minute, second] => format!("{second} {minute} {hour} * * *"),
        _ => return None,
    };
    let readable = Expression::read(&expression).is_ok();
    readable.then(|| format!("is a time of day: write `{expression}`"))
}

/// A line of a crontab, with its command and maybe a user.
fn crontab_line(text: &str) -> Option<String> {
    let words: Vec<&str> = words(text).collect();
    let (schedule, rest) = words.split_at_checked(5)?;
    let foreign = |word: &&str| {
        word.chars()
            .any(|c| !c.is_ascii_alphanumeric() && !"*,-/?#".contains(c))
            || is_word(word)
    };
    let schedule = schedule.join(" ");
    let is_line = rest.iter().any(foreign) && Expression::read(&schedule).is_ok();
    is_line.then(|| format!("holds a command, which belongs into an action: write `{schedule}`"))
}

/// Letters that are no name of a day or month: `root`.
fn is_word(word: &str) -> bool {
    let mut names = cron::MONTH.names.iter().chain(cron::WEEKDAY.names);
    word.len() > 2 && word.bytes().all(|b| b.is_ascii_alphabetic()) && !names.any(|name| starts_with(word, name))
}

/// The nearest expression that can be read.
fn mended(text: &str) -> String {
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
    let fields: Vec<String> = kinds.iter().zip(given).map(|(kind, word)| mend(kind, word)).collect();
    let day = kinds.iter().position(|kind| kind.name == cron::DAY.name);
    // The last day that a month has, when it lacks the one that was written.
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

/// One field: its parts that can be read as they are, the others mended or left out.
fn mend(kind: &Kind, word: &str) -> String {
    let word = word.replace(['–', '—', '−', '‑'], "-");
    let items: Vec<String> = word.split(',').filter_map(|item| mend_item(kind, item)).collect();
    match (items.is_empty(), kind.name) {
        (false, _) => items.join(","),
        (true, "year") => "*".to_owned(),
        (true, _) => kind.min.max(u32::from(kind.name == cron::WEEKDAY.name)).to_string(),
    }
}

fn mend_item(kind: &Kind, item: &str) -> Option<String> {
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
    let range = mend_range(kind, range)?;
    match step.and_then(|step| mend_step(kind, step)) {
        Some(step) => Some(format!("{range}/{step}")),
        None => Some(range),
    }
}

/// `L`, `15W` and `5#2` are Quartz's: the plain day that is meant, or one that every month has.
fn calendar(kind: &Kind, item: &str) -> Option<String> {
    let plain = item.split('#').next()?.trim_end_matches(['L', 'W']);
    match kind.name {
        "day of month" => Some(mend_value(kind, plain).unwrap_or_else(|| "28".to_owned())),
        _ => mend_value(kind, plain),
    }
}

fn mend_range(kind: &Kind, range: &str) -> Option<String> {
    if range.contains(['*', '?']) {
        return Some("*".to_owned());
    }
    let Some((low, high)) = range.split_once('-') else {
        return mend_value(kind, range);
    };
    match (mend_value(kind, low), mend_value(kind, high)) {
        // Only years do not come again.
        (Some(low), Some(high)) if kind.name == cron::YEAR.name && high < low => Some(format!("{high}-{low}")),
        (Some(low), Some(high)) => Some(format!("{low}-{high}")),
        (low, high) => low.or(high),
    }
}

fn mend_step(kind: &Kind, step: &str) -> Option<u32> {
    let number: u32 = digits(step)?.parse().unwrap_or(u32::MAX);
    Some(number.clamp(1, kind.max - kind.min + 1))
}

/// The nearest value: `MONDAY` is `MON`, minute 60 is 0, day 32 is 31.
fn mend_value(kind: &Kind, text: &str) -> Option<String> {
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

/// An instant with its offset, out of what a person wrote in its place.
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
