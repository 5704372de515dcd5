//! What the design's table of edge cases says, and properties against oracles that count instead of computing.

mod configuration;
mod cron_cases;
mod due_properties;
mod edge_cases;
mod expressions;
mod misfires;
mod zone_oracle;

use super::{Timer, TimerConfig, occurrences};
use crate::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::Value;

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
