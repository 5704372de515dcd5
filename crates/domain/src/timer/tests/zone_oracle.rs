//! Cron in zones against two oracles: local days through chrono's own answers for local times, and minute by minute.

use super::timer;
use crate::timer::zoned::{STRIDE, offset_at};
use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::{TZ_VARIANTS, Tz};
use proptest::prelude::*;
use serde_json::json;

/// Changes at midnight, of half an hour, of two hours, at odd minutes, by Ramadan, negative, of a day, and none at all.
const ZONES: [Tz; 14] = [
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Africa__Cairo,
    Tz::Europe__Dublin,
    Tz::Africa__Casablanca,
    Tz::America__St_Johns,
    Tz::Asia__Gaza,
    Tz::Pacific__Chatham,
    Tz::Antarctica__Troll,
    Tz::America__Havana,
    Tz::America__Santiago,
    Tz::Asia__Kathmandu,
    Tz::Pacific__Apia,
];

/// The values of one field, read in the plainest way.
fn values(text: &str, min: u32, max: u32) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().expect("a number");
    let mut all: Vec<u32> = Vec::new();
    for item in text.split(',') {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (low, high) = match range.split_once('-') {
            _ if range == "*" => (min, max),
            Some((low, high)) => (number(low), number(high)),
            None if item.contains('/') => (number(range), max),
            None => (number(range), number(range)),
        };
        all.extend((low..=high).filter(|value| (value - low) % number(step) == 0));
    }
    all
}

/// A five-field expression.
struct Plain {
    fixed: bool,
    either_day: bool,
    minutes: Vec<u32>,
    hours: Vec<u32>,
    days: Vec<u32>,
    months: Vec<u32>,
    weekdays: Vec<u32>,
}

impl Plain {
    fn read(text: &str) -> Self {
        let fields: Vec<_> = text.split(' ').collect();
        let [minute, hour, day, month, weekday] = fields.try_into().expect("five fields");
        Self {
            fixed: !minute.contains(['*', '/']) && !hour.contains(['*', '/']),
            either_day: !day.starts_with('*') && !weekday.starts_with('*'),
            minutes: values(minute, 0, 59),
            hours: values(hour, 0, 23),
            days: values(day, 1, 31),
            months: values(month, 1, 12),
            weekdays: values(weekday, 0, 6),
        }
    }

    fn has_day(&self, date: NaiveDate) -> bool {
        let by_date = self.days.contains(&date.day());
        let by_weekday = self.weekdays.contains(&date.weekday().num_days_from_sunday());
        let matches = if self.either_day {
            by_date || by_weekday
        } else {
            by_date && by_weekday
        };
        matches && self.months.contains(&date.month())
    }

    fn has(&self, local: NaiveDateTime) -> bool {
        local.second() == 0
            && self.minutes.contains(&local.minute())
            && self.hours.contains(&local.hour())
            && self.has_day(local.date())
    }
}

/// Fixed times: each local day, each of its times, through chrono's answer for a local time.
fn by_days(plain: &Plain, zone: Tz, (gap, overlap): (&str, &str), days: (NaiveDate, NaiveDate)) -> Vec<DateTime<Utc>> {
    let mut all = Vec::new();
    for date in days
        .0
        .iter_days()
        .take_while(|date| *date < days.1)
        .filter(|date| plain.has_day(*date))
    {
        for hour in &plain.hours {
            for minute in &plain.minutes {
                let local = date.and_hms_opt(*hour, *minute, 0).expect("a time of day");
                match zone.from_local_datetime(&local) {
                    MappedLocalTime::Single(one) => all.push(one.to_utc()),
                    MappedLocalTime::Ambiguous(first, second) => match overlap {
                        "first" => all.push(first.to_utc()),
                        "second" => all.push(second.to_utc()),
                        _ => all.extend([first.to_utc(), second.to_utc()]),
                    },
                    MappedLocalTime::None if gap == "run" => all.push(after_gap(zone, local)),
                    MappedLocalTime::None => {}
                }
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The first instant after the gap that a local time falls into.
fn after_gap(zone: Tz, local: NaiveDateTime) -> DateTime<Utc> {
    let minutes = (1..).map(|minutes| local + TimeDelta::minutes(minutes));
    let mut valid = minutes.filter_map(|local| zone.from_local_datetime(&local).earliest());
    valid.next().expect("time passes").to_utc()
}

/// Real time: each minute whose local time matches.
fn by_minutes(plain: &Plain, zone: Tz, from: DateTime<Utc>, minutes: i64) -> Vec<DateTime<Utc>> {
    let instants = (0..minutes).map(|minute| from + TimeDelta::minutes(minute));
    instants
        .filter(|at| plain.has(at.with_timezone(&zone).naive_local()))
        .collect()
}

fn found(text: &str, zone: Tz, policies: (&str, &str), from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let timer = timer(&json!({
        "type": "cron", "expression": text, "timezone": zone.name(), "dst_gap": policies.0, "dst_overlap": policies.1
    }));
    let before = from - TimeDelta::microseconds(1);
    let next = |at: &DateTime<Utc>| timer.next_after(*at).filter(|next| *next < to);
    let all: Vec<_> = std::iter::successors(next(&before), next).collect();
    let last = to - TimeDelta::microseconds(1);
    assert_eq!(timer.count(before, last), all.len() as u64, "count of {text} in {zone}");
    all
}

fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, day).expect("a date")
}

/// The days on which a zone's offset changes between two years.
fn change_days(zone: Tz, years: (i32, i32)) -> Vec<DateTime<Utc>> {
    let noon = |date: NaiveDate| date.and_hms_opt(12, 0, 0).expect("noon").and_utc();
    let days = day(years.0, 1, 1)
        .iter_days()
        .take_while(|date| date.year() < years.1)
        .map(noon);
    let offset = |at: DateTime<Utc>| offset_at(zone, at.timestamp());
    days.filter(|at| offset(*at) != offset(*at - TimeDelta::days(1)))
        .collect()
}

#[test]
fn fixed_times_over_five_years() {
    let policies = [("run", "first"), ("skip", "second"), ("run", "both"), ("run", "second")];
    for (index, zone) in ZONES.into_iter().enumerate() {
        for (text, policies) in [
            "30 2 * * *",
            "0,1,30 0,1,2,23 * * *",
            "59 3 1-7 */2 1",
            "0,45 0-4,23 * 3-11 *",
        ]
        .into_iter()
        .zip(policies)
        {
            let (from, to) = (day(2024, 1, 1), day(2029, 1, 1));
            let expected = by_days(&Plain::read(text), zone, policies, (from, to));
            // Away from the ends, where a zone's day begins before or after UTC's.
            let inside = |days: i64, date: NaiveDate| (date + TimeDelta::days(days)).and_time(NaiveTime::MIN).and_utc();
            let (from, to) = (inside(2, from), inside(-2, to));
            let expected: Vec<_> = expected.into_iter().filter(|at| (from..to).contains(at)).collect();
            assert!(
                expected.len() > 30,
                "{text} in {zone} ({index}): only {}",
                expected.len()
            );
            assert_eq!(
                found(text, zone, policies, from, to),
                expected,
                "{text} in {zone}, {policies:?}"
            );
        }
    }
}

#[test]
fn real_time_around_every_change_of_five_years() {
    let mut changes = 0;
    for zone in ZONES {
        for (index, noon) in change_days(zone, (2024, 2029)).into_iter().enumerate() {
            changes += 1;
            let text = ["*/10 * * * *", "7 */2 * * *", "*/15 0-3 * * 0"][index % 3];
            let from = noon - TimeDelta::hours(30);
            let expected = by_minutes(&Plain::read(text), zone, from, 36 * 60);
            let found = found(text, zone, ("run", "first"), from, from + TimeDelta::hours(36));
            assert_eq!(found, expected, "{text} in {zone} around {noon}");
        }
    }
    assert!(changes > 100, "only {changes} changes of an offset were checked");
}

#[test]
fn a_day_that_apia_skipped() {
    let apia = change_days(Tz::Pacific__Apia, (2011, 2012));
    assert!(apia.len() >= 3, "{apia:?}");
    for (text, noon) in ["*/30 * * * *", "0 */5 * * *", "*/20 23 * * *"].into_iter().zip(apia) {
        let from = noon - TimeDelta::hours(60);
        let expected = by_minutes(&Plain::read(text), Tz::Pacific__Apia, from, 96 * 60);
        let found = found(
            text,
            Tz::Pacific__Apia,
            ("run", "first"),
            from,
            from + TimeDelta::hours(96),
        );
        assert_eq!(found, expected, "{text} around {noon}");
    }
}

/// What the search for changes relies on.
#[test]
fn no_zone_changes_twice_within_a_stride() {
    let half_a_day = 43_200;
    let first = DateTime::from_timestamp(0, 0).expect("1970").timestamp();
    let last = day(2040, 1, 1).and_time(NaiveTime::MIN).and_utc().timestamp();
    for zone in TZ_VARIANTS
        .into_iter()
        .step_by(11)
        .chain(ZONES)
        .chain([Tz::America__Recife, Tz::America__Noronha])
    {
        let mut changed = first - STRIDE;
        let mut offset = offset_at(zone, first);
        // Coarse steps suffice: a change that is undone within one would be two changes in a stride.
        for at in (first..last).step_by(half_a_day) {
            let here = offset_at(zone, at);
            if here != offset {
                assert!(at - changed >= STRIDE, "{zone} changes twice around {at}");
                (changed, offset) = (at, here);
            }
        }
    }
}

fn field(max: u32, min: u32) -> impl Strategy<Value = String> {
    let value = min..=max;
    prop_oneof![
        3 => Just("*".to_owned()),
        2 => value.clone().prop_map(|value| value.to_string()),
        1 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (value.clone(), value.clone()).prop_map(|(a, b)| format!("{a},{b}")),
        1 => (1..=max).prop_map(|step| format!("*/{step}")),
        1 => (value, 1..=max).prop_map(|(from, step)| format!("{from}/{step}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn any_expression_in_any_of_the_zones(
        minute in field(59, 0), hour in field(23, 0), day_field in field(28, 1), weekday in field(6, 0),
        zone in prop::sample::select(ZONES.to_vec()), change in 0..10_usize,
        gap in prop::sample::select(vec!["run", "skip"]), overlap in prop::sample::select(vec!["first", "second", "both"]),
    ) {
        let text = format!("{minute} {hour} {day_field} * {weekday}");
        let plain = Plain::read(&text);
        let changes = change_days(zone, (2025, 2027));
        let noon = changes.get(change % changes.len().max(1)).copied().unwrap_or(DateTime::UNIX_EPOCH);
        let from = (noon - TimeDelta::hours(36)).with_minute(0).expect("a minute");
        let to = from + TimeDelta::hours(48);
        let expected = if plain.fixed {
            let days = (from.date_naive() - TimeDelta::days(2), to.date_naive() + TimeDelta::days(2));
            by_days(&plain, zone, (gap, overlap), days).into_iter().filter(|at| (from..to).contains(at)).collect()
        } else {
            by_minutes(&plain, zone, from, 48 * 60)
        };
        prop_assert_eq!(found(&text, zone, (gap, overlap), from, to), expected, "{} in {}", text, zone);
    }
}
