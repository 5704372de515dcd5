//! How long a caller's key is remembered: within the window, a duplicate returns the first event.
//!
//! Every trigger whose events are submitted may set it: `{"dedup_window_seconds": 3600}` in its configuration.

use crate::{FieldErrors, json, whole};
use serde_json::Value;

pub const WINDOW_SECONDS_MIN: i64 = 3_600;
pub const WINDOW_SECONDS_MAX: i64 = 30 * 86_400;
pub const WINDOW_SECONDS_DEFAULT: i64 = 7 * 86_400;
const FIELD: &str = "dedup_window_seconds";

fn given(config: &Value) -> Option<i64> {
    let seconds = config.get(FIELD)?.as_i64()?;
    (WINDOW_SECONDS_MIN..=WINDOW_SECONDS_MAX)
        .contains(&seconds)
        .then_some(seconds)
}

/// The window of a trigger with this configuration. Other fields are ignored.
pub fn parse(config: &Value) -> Result<i64, FieldErrors> {
    if !config.is_object() {
        return Err(FieldErrors::one(
            "",
            format!("must be an object, not {}", json::kind(config)),
        ));
    }
    match config.get(FIELD).filter(|window| !window.is_null()) {
        Some(window) => whole::read(FIELD, window, WINDOW_SECONDS_MIN..=WINDOW_SECONDS_MAX)
            .map_err(|message| FieldErrors::one(FIELD, message)),
        None => Ok(WINDOW_SECONDS_DEFAULT),
    }
}

/// A duplicate must return an event that is still retained. The default never exceeds the retention.
pub fn check_retention(config: &Value, retention_seconds: i64) -> Result<(), FieldErrors> {
    let Some(window) = given(config).filter(|window| *window > retention_seconds) else {
        return Ok(());
    };
    let days = retention_seconds / 86_400;
    let message = format!(
        "is {window}: must not exceed the retention of events ({retention_seconds} seconds: retention.events_days is {days})"
    );
    Err(FieldErrors::one(FIELD, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_hour_to_thirty_days() {
        let check = |config: Value, window: i64, good: bool| {
            assert_eq!(parse(&config).ok(), good.then_some(window), "{config}");
        };
        check(json!({}), 604_800, true);
        check(json!({"dedup_window_seconds": null}), 604_800, true);
        check(json!({"dedup_window_seconds": 3600, "path": "/x"}), 3_600, true);
        check(json!({"dedup_window_seconds": 2_592_000}), 2_592_000, true);
        check(json!({"dedup_window_seconds": 3599}), 0, false);
        check(json!({"dedup_window_seconds": 2_592_001}), 0, false);
        check(json!({"dedup_window_seconds": "1h"}), 0, false);
        check(json!([]), 0, false);
    }

    #[test]
    fn the_window_must_not_exceed_the_retention() {
        let day = 86_400;
        assert!(check_retention(&json!({"dedup_window_seconds": 7 * day}), 7 * day).is_ok());
        let refused = check_retention(&json!({"dedup_window_seconds": 7 * day}), 6 * day).expect_err("it is refused");
        assert_eq!(
            refused.to_string(),
            "dedup_window_seconds: is 604800: must not exceed the retention of events (518400 seconds: retention.events_days is 6)"
        );
        assert!(
            check_retention(&json!({}), day).is_ok(),
            "the default ends with the event"
        );
        assert!(check_retention(&json!({"dedup_window_seconds": 3600}), day).is_ok());
    }
}
