//! `attune timer`: previews schedules without a server, and starts and stops timers in the database.

use crate::{
    cli::{Preview, TimerArgs, TimerCommand},
    database::{self, Database},
    output,
};
use anyhow::Context as _;
use attune_common::{
    bus::InProcessBus,
    clock,
    service::{Context, Tasks},
    store::{Transaction, trigger},
};
use attune_domain::{
    FieldErrors, TriggerId,
    definition::TriggerKind,
    reference::Key,
    timer::{Limits, Note, Occurrence, ScheduleConfig, Timer, TimerConfig, occurrences},
};
use attune_sensor::TimerManager;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::sync::Arc;

pub fn run(command: &TimerCommand) -> anyhow::Result<()> {
    match command {
        TimerCommand::Preview(options) => preview(options),
        TimerCommand::Start(timer) => database::with(&timer.database, |on| start(on, timer)),
        TimerCommand::Noun(verbs) => crate::noun::run(&verbs.0),
        TimerCommand::Stop(timer) => database::with(&timer.database, |on| stop(on, timer)),
    }
}

async fn start(on: Database, timer: &TimerArgs) -> anyhow::Result<()> {
    let id = find(&on, timer).await?;
    anyhow::ensure!(manager(&on).start_timer(id).await?, "{} is not stopped", timer.trigger);
    note(&on, "start_timer", timer).await?;
    eprintln!("started the timer {}", timer.trigger);
    Ok(())
}

async fn stop(on: Database, timer: &TimerArgs) -> anyhow::Result<()> {
    let id = find(&on, timer).await?;
    anyhow::ensure!(
        manager(&on).stop_timer(id).await?,
        "{} is not armed: it is disabled, stopped, spent or in error",
        timer.trigger
    );
    note(&on, "stop_timer", timer).await?;
    eprintln!(
        "stopped the timer {0}; `attune timer start {0}` starts it again",
        timer.trigger
    );
    Ok(())
}

/// The id of the timer's trigger.
async fn find(on: &Database, timer: &TimerArgs) -> anyhow::Result<TriggerId> {
    let found = trigger::get(&on.pool, &Key::Ref(timer.trigger.to_string())).await?;
    let found = found.with_context(|| format!("no trigger {} exists", timer.trigger))?;
    anyhow::ensure!(found.kind == TriggerKind::Timer, "{} is not a timer", timer.trigger);
    Ok(found.id)
}

/// Running sensors notice the change within a second, because they poll.
fn manager(on: &Database) -> TimerManager {
    let (config, bus) = (Arc::new(on.config.clone()), Arc::new(InProcessBus::new()));
    TimerManager::new(&Context::new(config, on.pool.clone(), bus, &Tasks::default()))
}

async fn note(on: &Database, verb: &str, timer: &TimerArgs) -> anyhow::Result<()> {
    let mut tx = Transaction::begin(&on.pool).await?;
    output::note(&mut tx, verb, &format!("trigger {}", timer.trigger)).await?;
    tx.commit().await?;
    Ok(())
}

fn preview(options: &Preview) -> anyhow::Result<()> {
    let now = clock::now();
    let (config, timer) = compile(options, now).map_err(|errors| anyhow::anyhow!("{errors}"))?;
    let after = options.after.map_or(now, |after| after.instant(&timer));
    let zoned = matches!(&config.schedule, ScheduleConfig::Cron { timezone: Some(_), .. });
    let mut shown = 0;
    for occurrence in occurrences(&timer, after, None).take(options.count.into()) {
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

/// Compiles the schedule with the checks of a timer that is created now.
fn compile(options: &Preview, now: DateTime<Utc>) -> Result<(TimerConfig, Timer), FieldErrors> {
    if options.schedule.trim_start().starts_with('{') {
        return checked(&as_json(options)?, now);
    }
    checked(&as_cron(options), now).map_err(|errors| {
        let mut renamed = FieldErrors::new();
        for error in errors.into_vec() {
            // The names of the options, not those of the fields.
            let option = cron_options(options)
                .into_iter()
                .find(|(_, field, _)| *field == error.path);
            renamed.add(
                option.map_or(error.path, |(option, _, _)| option.to_owned()),
                error.message,
            );
        }
        renamed
    })
}

fn checked(config: &Value, now: DateTime<Utc>) -> Result<(TimerConfig, Timer), FieldErrors> {
    let config = TimerConfig::check(config, None, now, Limits::default())?;
    let timer = Timer::compile(&config, TriggerId(0))?;
    Ok((config, timer))
}

/// The configuration that was given as JSON.
fn as_json(options: &Preview) -> Result<Value, FieldErrors> {
    let mut errors = FieldErrors::new();
    for (option, field, given) in cron_options(options) {
        if given.is_some() {
            errors.add(
                option,
                format!("is only allowed with a cron expression; set {field:?} in the JSON configuration instead"),
            );
        }
    }
    errors.into_result()?;
    serde_json::from_str(&options.schedule)
        .context("is not JSON")
        .map_err(|error| FieldErrors::one("schedule", format!("{error:#}")))
}

/// The configuration of a cron expression and its options.
fn as_cron(options: &Preview) -> Value {
    let mut config = Map::new();
    config.insert("type".to_owned(), json!("cron"));
    config.insert("expression".to_owned(), json!(options.schedule));
    for (_, field, value) in cron_options(options) {
        if let Some(value) = value {
            config.insert(field.to_owned(), json!(value));
        }
    }
    Value::Object(config)
}

/// Each option with its field of the configuration and its value.
fn cron_options(preview: &Preview) -> [(&'static str, &'static str, Option<&str>); 3] {
    [
        ("--timezone", "timezone", preview.timezone.as_deref()),
        ("--dst-gap", "dst_gap", preview.dst_gap.as_deref()),
        ("--dst-overlap", "dst_overlap", preview.dst_overlap.as_deref()),
    ]
}

fn line(occurrence: &Occurrence, zoned: bool) -> String {
    let utc = occurrence.scheduled_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let local = occurrence.local_time.format("%a %Y-%m-%d %H:%M:%S %:z").to_string();
    let note = match occurrence.note {
        None => "",
        Some(Note::DstGap) => "   clocks went forward: moved to the first instant after the gap",
        Some(Note::DstOverlap) => "   clocks went back: this local time occurs twice",
    };
    if zoned {
        format!("{utc}   {local}{note}")
    } else {
        format!("{utc}{note}")
    }
}
