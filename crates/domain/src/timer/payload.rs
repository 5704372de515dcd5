//! The payload of a timer's event.

use super::{
    Timer,
    due::Missed,
    schedule::{SECOND, Schedule},
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The payload of an occurrence that fired at `fired_at`.
pub fn payload(timer: &Timer, scheduled_at: DateTime<Utc>, fired_at: DateTime<Utc>, missed: Option<&Missed>) -> Value {
    let mut payload = describe(timer, scheduled_at, fired_at);
    payload["scheduled_at"] = json!(scheduled_at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    payload["late_ms"] = json!((fired_at - scheduled_at).num_milliseconds().max(0));
    if let Some(missed) = missed {
        payload["missed_count"] = json!(missed.count);
        payload["first_missed_at"] = json!(missed.first_at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
    }
    payload
}

/// The payload of a manually fired event. It is outside the grid, so it has no `scheduled_at`.
pub fn manual_payload(timer: &Timer, fired_at: DateTime<Utc>) -> Value {
    describe(timer, fired_at, fired_at)
}

/// The fields of every event of a timer. `at` is the instant of the reported local time.
fn describe(timer: &Timer, at: DateTime<Utc>, fired_at: DateTime<Utc>) -> Value {
    let fired_at = fired_at.to_rfc3339_opts(SecondsFormat::Millis, true);
    match &timer.schedule {
        Schedule::Interval { period, .. } => {
            json!({"type": "interval", "fired_at": fired_at, "interval_seconds": period / SECOND})
        }
        Schedule::Cron(cron) => json!({
            "type": "cron",
            "fired_at": fired_at,
            "expression": cron.text,
            "timezone": cron.zone.name(),
            "local_time": timer.local_time(at).to_rfc3339_opts(SecondsFormat::AutoSi, false),
        }),
        Schedule::Once { .. } => json!({"type": "one_shot", "fired_at": fired_at}),
    }
}
