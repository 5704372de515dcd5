//! The edge cases of timers, and properties against oracles that count instead of computing.

mod advice;
mod at_once;
mod changes;
mod configuration;
mod cron_cases;
mod due_properties;
mod edge_cases;
mod expressions;
mod misfires;
mod ranges;
mod replay;
mod zone_oracle;

use super::{Due, Gap, GapReason, Timer, TimerConfig, due, occurrences};
use crate::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn config(json: &Value) -> TimerConfig {
    TimerConfig::parse(json).unwrap_or_else(|errors| panic!("{json}: {errors}"))
}

fn timer(json: &Value) -> Timer {
    Timer::compile(&config(json), TriggerId(7)).expect("a parsed configuration")
}

/// The first `n` occurrences after an instant, as text.
fn next(json: &Value, after: &str, n: usize) -> Vec<String> {
    let timer = timer(json);
    let found = occurrences(&timer, at(after), None).take(n);
    found.map(|found| text(found.scheduled_at)).collect()
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

const MANY: u32 = 1_000_000;

fn second(mut more: Value) -> Timer {
    more["type"] = json!("interval");
    more["seconds"] = json!(1);
    timer(&more)
}

fn due_between(timer: &Timer, next_fire_at: &str, now: &str) -> Due {
    due(timer, at(next_fire_at), at(now), None, MANY)
}

fn emitted(due: &Due) -> Vec<String> {
    due.emit.iter().copied().map(text).collect()
}

fn gap(from: &str, to: &str, missed: u64, reason: GapReason) -> Gap {
    Gap {
        from: at(from),
        to: at(to),
        missed,
        reason,
    }
}
