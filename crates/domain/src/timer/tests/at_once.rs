//! All errors are reported at once, including those that depend on the current time.

use super::{at, config, configuration::check};
use crate::timer::{Limits, TimerConfig};
use serde_json::{Value, json};

#[test]
fn errors_of_the_present_are_reported_with_other_errors() {
    let now = at("2026-06-01T00:00:00Z");
    let check = |json: Value, expected: &[&str]| {
        let found = TimerConfig::check(&json, None, now, Limits::default()).expect_err("it is refused");
        let paths: Vec<&str> = found.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(paths, expected, "{found}");
    };
    let past = "2020-01-01T00:00:00Z";
    check(
        json!({"type": "one_shot", "fire_at": past, "grace_seconds": 3601, "extra": 1}),
        &["extra", "grace_seconds", "fire_at"],
    );
    check(
        json!({"type": "one_shot", "fire_at": past, "end_at": "2019-01-01T00:00:00Z", "misfire": "never"}),
        &["misfire", "fire_at", "end_at"],
    );
    check(
        json!({"type": "cron", "expression": "0 0 0 29 2 * 2027", "catchup_max": 0, "max_age_seconds": 2_592_000}),
        &["catchup_max", "max_age_seconds", "expression"],
    );
    check(
        json!({"type": "interval", "hours": 1, "end_at": past, "seconds": "x", "max_age_seconds": 2_592_000}),
        &["seconds"],
    );
    let spent = config(&json!({"type": "one_shot", "fire_at": past}));
    let again = json!({"type": "one_shot", "fire_at": past, "catchup_max": 0});
    let found = TimerConfig::check(&again, Some((&spent, true)), now, Limits::default()).expect_err("it is refused");
    assert_eq!(found.iter().count(), 2, "{found}");
    let same = json!({"type": "one_shot", "fire_at": "2020-01-01T01:00:00+01:00"});
    let same = TimerConfig::check(&same, Some((&spent, true)), now, Limits::default());
    assert!(same.is_ok(), "the same again changes nothing: {same:?}");
}

#[test]
fn every_bad_field_of_an_expression_at_once() {
    check(
        &json!({"type": "cron", "expression": "60 24 * 13 MONDAY"}),
        &[
            "expression: minute `60`: values are 0 to 59; hour `24`: values are 0 to 23; month `13`: values are 1 to 12 or JAN to DEC; \
           day of week `MONDAY`: values are 0 to 7 or SUN to SAT",
        ],
    );
    check(
        &json!({"type": "cron", "expression": "x 0 0 1 1 * 1969"}),
        &["expression: second `x`: values are 0 to 59; year `1969`: values are 1970 to 2199"],
    );
}
