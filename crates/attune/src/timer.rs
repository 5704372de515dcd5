//! `attune timer preview`: when a configuration would fire, without a server.

use crate::cli::{Preview, TimerCommand};
use anyhow::Context as _;
use attune_common::clock;
use attune_domain::{
    FieldErrors, TriggerId,
    timer::{Limits, Note, Occurrence, Timer, TimerConfig, occurrences},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

pub fn run(command: &TimerCommand) -> anyhow::Result<()> {
    match command {
        TimerCommand::Preview(asked) => preview(asked),
    }
}

fn preview(asked: &Preview) -> anyhow::Result<()> {
    let after = asked.after.unwrap_or_else(clock::now);
    let (config, timer) = compile(asked, after).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let mut shown = 0;
    for occurrence in occurrences(&timer, after, None).take(asked.count) {
        println!("{}", line(&occurrence, asked.timezone.is_some()));
        shown += 1;
    }
    anyhow::ensure!(
        shown > 0,
        "{} has no occurrence after {after}",
        serde_json::to_string(&config)?
    );
    Ok(())
}

/// The same checks as when the timer is saved.
fn compile(asked: &Preview, after: DateTime<Utc>) -> Result<(TimerConfig, Timer), FieldErrors> {
    let config =
        TimerConfig::parse(&config(asked).map_err(|error| FieldErrors::one("schedule", format!("{error:#}")))?)?;
    config.validate(after, Limits::default())?;
    let timer = Timer::compile(&config, TriggerId(0))?;
    Ok((config, timer))
}

/// A cron expression, or a whole configuration in JSON.
fn config(asked: &Preview) -> anyhow::Result<Value> {
    if asked.schedule.trim_start().starts_with('{') {
        return serde_json::from_str(&asked.schedule).context("is not JSON");
    }
    let mut config = Map::new();
    config.insert("type".to_owned(), json!("cron"));
    config.insert("expression".to_owned(), json!(asked.schedule));
    let options = [
        ("timezone", &asked.timezone),
        ("dst_gap", &asked.dst_gap),
        ("dst_overlap", &asked.dst_overlap),
    ];
    for (name, value) in options {
        if let Some(value) = value {
            config.insert(name.to_owned(), json!(value));
        }
    }
    Ok(Value::Object(config))
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
