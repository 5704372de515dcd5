//! `attune timer preview`: when a configuration would fire, without a server.

use crate::cli::{Preview, TimerCommand};
use anyhow::Context as _;
use attune_common::clock;
use attune_domain::{
    FieldErrors, TriggerId,
    timer::{Limits, Note, Occurrence, ScheduleConfig, Timer, TimerConfig, occurrences},
};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};
use std::str::FromStr;

pub fn run(command: &TimerCommand) -> anyhow::Result<()> {
    match command {
        TimerCommand::Preview(asked) => preview(asked),
    }
}

/// From where to look ahead, as a person writes it.
#[derive(Debug, Clone, Copy)]
pub enum After {
    Instant(DateTime<Utc>),
    /// By a clock in the timer's zone.
    Local(NaiveDateTime),
    /// From the beginning of the day on, in the timer's zone.
    Day(NaiveDate),
}

impl FromStr for After {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let local = || {
            text.parse()
                .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M"))
        };
        (text.parse().map(Self::Instant))
            .or_else(|_| text.parse().map(Self::Day))
            .or_else(|_| local().map(Self::Local))
            .map_err(
                |_| "write 2027-01-01 or 2027-01-01T08:00 (in the timer's zone), or an instant: 2027-01-01T08:00:00Z",
            )
    }
}

impl After {
    fn instant(self, timer: &Timer) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Local(local) => timer.instant_of(local),
            Self::Day(day) => timer.instant_of(day.and_time(NaiveTime::MIN)) - TimeDelta::microseconds(1),
        }
    }
}

fn preview(asked: &Preview) -> anyhow::Result<()> {
    let now = clock::now();
    let (config, timer) = compile(asked, now).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let after = asked.after.map_or(now, |after| after.instant(&timer));
    let zoned = matches!(&config.schedule, ScheduleConfig::Cron { timezone: Some(_), .. });
    let mut shown = 0;
    for occurrence in occurrences(&timer, after, None).take(asked.count.into()) {
        println!("{}", line(&occurrence, zoned));
        shown += 1;
    }
    anyhow::ensure!(
        shown > 0,
        "{} has no occurrence after {}",
        serde_json::to_string(&config)?,
        after.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    );
    Ok(())
}

/// The same checks as when the timer is made now.
fn compile(asked: &Preview, now: DateTime<Utc>) -> Result<(TimerConfig, Timer), FieldErrors> {
    if asked.schedule.trim_start().starts_with('{') {
        return checked(&as_json(asked)?, now);
    }
    checked(&as_cron(asked), now).map_err(|errors| {
        let mut told = FieldErrors::new();
        for error in errors.into_vec() {
            // As it is spelled here.
            let option = options(asked).into_iter().find(|(_, field, _)| *field == error.path);
            told.add(
                option.map_or(error.path, |(option, _, _)| option.to_owned()),
                error.message,
            );
        }
        told
    })
}

fn checked(config: &Value, now: DateTime<Utc>) -> Result<(TimerConfig, Timer), FieldErrors> {
    let config = TimerConfig::check(config, None, now, Limits::default())?;
    let timer = Timer::compile(&config, TriggerId(0))?;
    Ok((config, timer))
}

/// A whole configuration.
fn as_json(asked: &Preview) -> Result<Value, FieldErrors> {
    let mut errors = FieldErrors::new();
    for (option, field, given) in options(asked) {
        if given.is_some() {
            errors.add(
                option,
                format!("goes with a cron expression: a configuration in JSON says it itself, as {field:?}"),
            );
        }
    }
    errors.into_result()?;
    serde_json::from_str(&asked.schedule)
        .context("is not JSON")
        .map_err(|error| FieldErrors::one("schedule", format!("{error:#}")))
}

/// A cron expression with its options.
fn as_cron(asked: &Preview) -> Value {
    let mut config = Map::new();
    config.insert("type".to_owned(), json!("cron"));
    config.insert("expression".to_owned(), json!(asked.schedule));
    for (_, field, value) in options(asked) {
        if let Some(value) = value {
            config.insert(field.to_owned(), json!(value));
        }
    }
    Value::Object(config)
}

/// Each option with its field of the configuration.
fn options(asked: &Preview) -> [(&'static str, &'static str, Option<&str>); 3] {
    [
        ("--timezone", "timezone", asked.timezone.as_deref()),
        ("--dst-gap", "dst_gap", asked.dst_gap.as_deref()),
        ("--dst-overlap", "dst_overlap", asked.dst_overlap.as_deref()),
    ]
}

fn line(occurrence: &Occurrence, zoned: bool) -> String {
    let utc = occurrence.scheduled_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let local = occurrence.local_time.format("%a %Y-%m-%d %H:%M:%S %:z").to_string();
    let note = match occurrence.note {
        None => "",
        Some(Note::DstGap) => "   clocks went forward: moved to the first instant after the gap",
        Some(Note::DstOverlap) => "   clocks went back: this local time comes twice",
    };
    if zoned {
        format!("{utc}   {local}{note}")
    } else {
        format!("{utc}{note}")
    }
}
