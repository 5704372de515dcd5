use super::{at, config, timer};
use crate::{
    TriggerId,
    timer::{Limits, Timer, TimerConfig, occurrences},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every error as `path: message`.
fn errors(json: &Value) -> Vec<String> {
    let checked = TimerConfig::check(json, None, at("2026-11-24T12:00:00Z"), Limits::default());
    let errors = checked.err().map(crate::FieldErrors::into_vec).unwrap_or_default();
    errors
        .into_iter()
        .map(|error| format!("{}: {}", error.path, error.message))
        .collect()
}

pub(super) fn check(json: &Value, expected: &[&str]) {
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
    check(&json!({"type": "hourly"}), &["type: is \"hourly\": write `cron`"]);
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
        &["second: is not a field of this type"],
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
        &[
            "max_age_seconds: is 2592000: must be shorter than the retention of events (2592000 seconds: retention.events_days is 30)",
        ],
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
        &["timezone: `europe/berlin` is not an IANA zone: did you mean `Europe/Berlin`?"],
    );
    check(&cron("CET+1"), &["timezone: `CET+1` is not an IANA zone: did you mean"]);
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

#[test]
fn many_unknown_fields_are_answered_briefly() {
    let mut json = json!({"type": "interval", "seconds": 1});
    for number in 0..1000 {
        json[format!("{number}{}", "x".repeat(1000))] = json!(1);
    }
    let found = errors(&json);
    assert!(
        found.len() == 10 && found.iter().all(|error| error.len() < 400),
        "{found:?}"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[0-9*/,?@ -]{0,24}|([0-9]{1,2}|\\*|[0-9]-[0-9]|\\*/[1-9]|[0-6],?7)( ([0-9]|\\*|[1-3]-[4-6])){4,6}") {
        let json = json!({"type": "cron", "expression": text, "timezone": "Europe/Berlin"});
        if let Ok(config) = TimerConfig::parse(&json) {
            let timer = Timer::compile(&config, TriggerId(1)).expect("what was read compiles");
            let from = at("2026-03-29T00:59:59Z");
            if let Some(next) = timer.next_after(from) {
                prop_assert!(next > from);
                prop_assert_eq!(timer.count(from, next), 1);
            }
        }
    }

    #[test]
    fn any_value_in_any_field_is_read_or_refused(
        kind in prop::sample::select(vec!["interval", "cron", "one_shot"]),
        fields in prop::collection::btree_map(prop::sample::select(FIELDS.to_vec()), prop::sample::select(values()), 0..8),
    ) {
        let mut json = json!({"type": kind});
        for (name, value) in fields {
            json[name] = value;
        }
        if let Ok(config) = TimerConfig::parse(&json) {
            let _ = config.validate(at("2026-11-24T12:00:00Z"), Limits::default());
            let written = serde_json::to_value(&config).expect("JSON");
            prop_assert_eq!(TimerConfig::parse(&written).expect("what was written is read"), config);
        }
    }
}

const FIELDS: [&str; 17] = [
    "seconds",
    "minutes",
    "hours",
    "anchor",
    "expression",
    "timezone",
    "dst_gap",
    "dst_overlap",
    "fire_at",
    "allow_past",
    "start_at",
    "end_at",
    "spread_seconds",
    "misfire",
    "grace_seconds",
    "catchup_max",
    "max_age_seconds",
];

fn values() -> Vec<Value> {
    vec![
        json!(0),
        json!(1),
        json!(-1),
        json!(60),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!(true),
        json!(null),
        json!([]),
        json!({}),
        json!(""),
        json!("\u{0}"),
        json!("epoch"),
        json!("@daily"),
        json!("* * * * * * 2199"),
        json!("UTC"),
        json!("skip"),
        json!("second"),
        json!("latest"),
        json!("0000-01-01T00:00:00Z"),
        json!("9999-12-31T23:59:60Z"),
        json!("2026-11-24T12:00:00.123456789-23:59"),
    ]
}
