use super::{at, config, timer};
use crate::timer::{Limits, TimerConfig, occurrences};
use serde_json::{Value, json};

/// Every error as `path: message`, from reading or, when that is fine, from checking against the present.
fn errors(json: &Value) -> Vec<String> {
    let checked =
        TimerConfig::parse(json).and_then(|config| config.validate(at("2026-11-24T12:00:00Z"), Limits::default()));
    let errors = checked.err().map(crate::FieldErrors::into_vec).unwrap_or_default();
    errors
        .into_iter()
        .map(|error| format!("{}: {}", error.path, error.message))
        .collect()
}

fn check(json: &Value, expected: &[&str]) {
    let found = errors(json);
    assert_eq!(found.len(), expected.len(), "{json}: {found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.starts_with(expected),
            "{json}: {found:?} should start with {expected:?}"
        );
    }
}

#[test]
fn the_three_forms_are_accepted_and_come_back_as_written() {
    let round_trip = |json: Value| {
        assert_eq!(errors(&json), Vec::<String>::new(), "{json}");
        let written = serde_json::to_value(config(&json)).expect("a configuration is JSON");
        assert_eq!(written, json);
        let read: TimerConfig = serde_json::from_value(written).expect("what was written is read");
        assert_eq!(read, config(&json));
    };
    round_trip(json!({"type": "interval", "seconds": 10}));
    round_trip(json!({"type": "interval", "seconds": 10, "minutes": 0, "hours": 0}));
    round_trip(json!({"type": "interval", "hours": 8784, "anchor": "epoch"}));
    round_trip(json!({"type": "interval", "minutes": 7, "anchor": "2026-01-01T00:00:30.250+01:00"}));
    round_trip(json!({"type": "cron", "expression": "0 0 * * * *", "timezone": "Europe/Berlin"}));
    round_trip(json!({"type": "cron", "expression": " @daily ", "dst_gap": "skip", "dst_overlap": "both"}));
    round_trip(json!({"type": "one_shot", "fire_at": "2027-01-20T15:00:00Z"}));
    round_trip(json!({"type": "one_shot", "fire_at": "2027-01-20T16:00:00.000+01:00", "allow_past": false}));
    round_trip(json!({
        "type": "interval", "hours": 1, "start_at": "2027-01-01T00:00:00Z", "end_at": "2027-02-01T00:00:00Z",
        "spread_seconds": 900, "misfire": "latest", "grace_seconds": 3600, "catchup_window_seconds": 2_592_000,
        "catchup_max": 10_000, "max_age_seconds": 86_400
    }));
}

#[test]
fn null_is_left_out() {
    let written = config(&json!({"type": "interval", "seconds": 1, "minutes": null, "end_at": null}));
    assert_eq!(
        serde_json::to_value(written).expect("JSON"),
        json!({"type": "interval", "seconds": 1})
    );
}

#[test]
fn wrong_shapes() {
    check(&json!("every 10 seconds"), &[": must be an object"]);
    check(&json!({"seconds": 10}), &["type: is missing"]);
    check(&json!({"type": "hourly"}), &["type: is \"hourly\": write `interval`"]);
    check(&json!({"type": 3}), &["type: is 3"]);
    check(&json!({"type": "one_shot"}), &["fire_at: is missing"]);
    check(&json!({"type": "cron"}), &["expression: is missing"]);
    check(
        &json!({"type": "cron", "expression": 5}),
        &["expression: is 5: write a cron expression"],
    );
    check(
        &json!({"type": "interval", "seconds": "10"}),
        &["seconds: is \"10\": write a whole number"],
    );
    check(
        &json!({"type": "interval", "seconds": 1.5}),
        &["seconds: is 1.5: write a whole number"],
    );
    check(
        &json!({"type": "interval", "seconds": 10, "anchor": "noon"}),
        &["anchor: is \"noon\": write `epoch`"],
    );
    check(
        &json!({"type": "interval", "seconds": 10, "misfire": "all"}),
        &["misfire: is \"all\": write one of `catch_up`"],
    );
    check(
        &json!({"type": "one_shot", "fire_at": "tomorrow"}),
        &["fire_at: is \"tomorrow\": write an instant"],
    );
    check(
        &json!({"type": "one_shot", "fire_at": "2027-01-20T15:00:00"}),
        &["fire_at: "],
    );
    check(
        &json!({"type": "one_shot", "fire_at": 1_800_000_000}),
        &["fire_at: is 1800000000"],
    );
}

#[test]
fn unknown_fields_are_refused_by_name() {
    check(
        &json!({"type": "interval", "seconds": 10, "second": 1}),
        &["second: is no field of this type"],
    );
    check(
        &json!({"type": "interval", "seconds": 10, "expression": "* * * * *"}),
        &["expression: belongs to a cron timer"],
    );
    check(
        &json!({"type": "cron", "expression": "* * * * *", "seconds": 1}),
        &["seconds: belongs to an interval"],
    );
}

#[test]
fn every_bad_field_at_once() {
    check(
        &json!({
            "type": "cron", "expression": "61 * * * *", "timezone": "Europe/Berlyn", "dst_gap": "jump",
            "grace_seconds": 3601, "catchup_max": 0, "extra": true, "end_at": 5
        }),
        &[
            "extra",
            "dst_gap",
            "end_at",
            "expression: minute `61`",
            "timezone: `Europe/Berlyn`",
            "grace_seconds",
            "catchup_max",
        ],
    );
}

#[test]
fn bounds() {
    let interval = |key: &str, value: Value| {
        let mut json = json!({"type": "interval", "hours": 2});
        json[key] = value;
        json
    };
    check(&json!({"type": "interval"}), &["seconds: the sum"]);
    check(
        &json!({"type": "interval", "seconds": 0}),
        &["seconds: the sum of seconds, minutes and hours must be at least 1"],
    );
    check(
        &json!({"type": "interval", "seconds": -1}),
        &["seconds: must not be negative"],
    );
    check(&json!({"type": "interval", "hours": 8784}), &[]);
    check(
        &json!({"type": "interval", "hours": 8784, "seconds": 1}),
        &["hours: the sum"],
    );
    check(
        &json!({"type": "interval", "minutes": u32::MAX, "hours": u32::MAX}),
        &["hours: the sum"],
    );
    check(
        &json!({"type": "interval", "hours": u64::MAX}),
        &["hours: is 18446744073709551615, which is too large"],
    );
    check(
        &interval("grace_seconds", json!(3601)),
        &["grace_seconds: is 3601: must be 0 to 3600"],
    );
    check(&interval("grace_seconds", json!(0)), &[]);
    check(
        &interval("catchup_window_seconds", json!(2_592_001)),
        &["catchup_window_seconds"],
    );
    check(&interval("catchup_max", json!(10_001)), &["catchup_max"]);
    check(&interval("max_age_seconds", json!(0)), &["max_age_seconds"]);
    check(
        &interval("max_age_seconds", json!(30 * 86_400)),
        &["max_age_seconds: is 2592000: must be shorter than events"],
    );
    check(
        &interval("spread_seconds", json!(901)),
        &["spread_seconds: is 901: must be 0 to 900"],
    );
    check(&json!({"type": "interval", "seconds": 10, "spread_seconds": 5}), &[]);
    check(
        &json!({"type": "interval", "seconds": 10, "spread_seconds": 6}),
        &["spread_seconds: is 6: must be at most half"],
    );
    check(
        &json!({"type": "cron", "expression": "*/5 * * * *", "spread_seconds": 150}),
        &[],
    );
    check(
        &json!({"type": "cron", "expression": "*/5 * * * *", "spread_seconds": 151}),
        &["spread_seconds"],
    );
    check(
        &json!({"type": "cron", "expression": "@yearly", "spread_seconds": 900}),
        &[],
    );
}

#[test]
fn start_and_end() {
    let hourly = |start: &str, end: &str| json!({"type": "interval", "hours": 1, "start_at": start, "end_at": end});
    check(&hourly("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"), &[]);
    check(
        &hourly("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        &["end_at: must be after start_at"],
    );
    check(
        &hourly("2027-01-01T00:00:00+01:00", "2026-12-31T23:00:00Z"),
        &["end_at: must be after start_at"],
    );
    check(
        &hourly("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        &["end_at: 2021-01-01T00:00:00Z has passed"],
    );
    check(
        &hourly("2027-01-01T00:10:00Z", "2027-01-01T00:20:00Z"),
        &["end_at: no occurrence lies before"],
    );

    let timer = timer(&hourly("2027-01-01T00:00:00Z", "2027-01-01T02:00:00Z"));
    assert_eq!(
        occurrences(&timer, at("2026-01-01T00:00:00Z"), None).count(),
        3,
        "both ends belong to it"
    );
}

#[test]
fn expressions_that_never_occur() {
    let cron = |expression: &str| json!({"type": "cron", "expression": expression});
    check(
        &cron("0 0 0 30 2 *"),
        &["expression: never occurs: no month of `2` has the day of month `30`"],
    );
    check(&cron("0 0 31 4,6,9,11 *"), &["expression: never occurs"]);
    check(
        &cron("0 0 0 1 1 * 2020"),
        &["expression: has no occurrence within ten years"],
    );
    check(
        &cron("0 0 0 1 1 * 2099"),
        &["expression: has no occurrence within ten years"],
    );
    check(&cron("0 0 29 2 *"), &[]);
    check(&cron("0 0 30 2 1"), &[]);
    let mut late = cron("0 0 0 1 1 * 2099");
    late["start_at"] = json!("2095-01-01T00:00:00Z");
    check(&late, &[]);
}

#[test]
fn zones_are_checked_and_suggested() {
    let cron = |zone: &str| json!({"type": "cron", "expression": "@daily", "timezone": zone});
    check(&cron("Europe/Berlin"), &[]);
    check(
        &cron("europe/berlin"),
        &["timezone: `europe/berlin` is no IANA zone: did you mean `Europe/Berlin`?"],
    );
    check(
        &cron("CET+1"),
        &["timezone: `CET+1` is no IANA zone: write a name such as"],
    );
    check(&cron(""), &["timezone"]);
}

#[test]
fn hostile_values_are_answered_briefly() {
    let long = "9".repeat(100_000);
    for json in [
        json!({"type": "cron", "expression": long}),
        json!({"type": "cron", "expression": "@daily", "timezone": long}),
        json!({"type": "one_shot", "fire_at": long}),
        json!({"type": long}),
        json!({"type": "interval", "seconds": long}),
    ] {
        let found = errors(&json);
        assert!(
            found.len() == 1 && found[0].len() < 300,
            "{:?}",
            found.iter().map(String::len).collect::<Vec<_>>()
        );
    }
}
