//! Schedules in the syntax of other systems: intervals, times of day, lines of a crontab.

use super::{
    super::{
        config::Moment,
        cron::{self, Expression, is_blank},
        schedule,
    },
    EXAMPLE, starts_with, words,
};
use serde_json::{Value, json};

/// Forms of other systems, which people paste.
pub fn pasted(text: &str) -> Option<String> {
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
            r#"is an interval that does not parse: write, for example, `{"type":"interval","minutes":5}`"#.to_owned(),
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

/// The interval meant by a field that Attune does not have: `"days": 2`, `"every": "10s"`.
pub fn interval_of(field: &str, value: &Value) -> Option<(&'static str, u64)> {
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

/// Letters that are not the name of a day or month: `root`.
fn is_word(word: &str) -> bool {
    let mut names = cron::MONTH.names.iter().chain(cron::WEEKDAY.names);
    word.len() > 2 && word.bytes().all(|b| b.is_ascii_alphabetic()) && !names.any(|name| starts_with(word, name))
}
