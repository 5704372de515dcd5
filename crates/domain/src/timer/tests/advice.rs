//! The advice of every error is followed literally, and succeeds.

use super::at;
use crate::{
    FieldError,
    timer::{Limits, TimerConfig, cron::Expression},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// One mistake may hide another, but not many.
const STEPS_MAX: usize = 6;

/// Follows the advice of every error of a configuration until it is valid.
fn follow(json: &Value) -> Value {
    let mut config = json.clone();
    let mut followed = Vec::new();
    for _ in 0..=STEPS_MAX {
        let now = at("2026-11-24T12:00:00Z");
        let Err(errors) = TimerConfig::check(&config, None, now, Limits::default()) else {
            return config;
        };
        followed.push(format!("{config}: {errors}"));
        for error in errors.iter() {
            apply(&mut config, error);
        }
    }
    panic!(
        "the advice does not lead to a valid configuration:\n{}",
        followed.join("\n")
    );
}

fn apply(config: &mut Value, error: &FieldError) {
    let (path, message) = (error.path.as_str(), error.message.as_str());
    if message.ends_with("leave it out") {
        config.as_object_mut().expect("an object").remove(path);
        return;
    }
    let advice = message
        .rsplit('`')
        .nth(1)
        .unwrap_or_else(|| panic!("{path}: {message}: gives no advice"));
    if message.starts_with("is not a field") {
        let value = config.as_object_mut().expect("an object").remove(path);
        config[advice] = value.expect("the field is there");
        return;
    }
    match serde_json::from_str(advice) {
        Ok(Value::Object(fields)) if path.is_empty() || fields.contains_key("type") => *config = Value::Object(fields),
        Ok(Value::Object(fields)) => config.as_object_mut().expect("an object").extend(fields),
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => config[path] = value,
        Ok(_) | Err(_) => config[path] = json!(advice),
    }
}

fn expression(text: &str) -> Value {
    follow(&json!({"type": "cron", "expression": text}))
}

/// What people paste, and what they should end with: an expression, or a whole configuration.
#[rustfmt::skip]
const PASTED: [(&str, &str); 65] = [
    ("CRON_TZ=Europe/Berlin 0 9 * * *", r#"{"type": "cron", "expression": "0 9 * * *", "timezone": "Europe/Berlin"}"#),
    ("TZ=UTC 0 9 * * *", r#"{"type": "cron", "expression": "0 9 * * *", "timezone": "UTC"}"#),
    ("TZ=america/new_york @daily", r#"{"type": "cron", "expression": "@daily", "timezone": "America/New_York"}"#),
    ("CRON_TZ=Europe/Berlin @every 5m", r#"{"type": "interval", "minutes": 5}"#),
    ("@every 5m", r#"{"type": "interval", "minutes": 5}"#),
    ("@every 1h30m", r#"{"type": "interval", "minutes": 90}"#),
    ("@every 90s", r#"{"type": "interval", "seconds": 90}"#),
    ("@every 2h", r#"{"type": "interval", "hours": 2}"#),
    ("every 10 minutes", r#"{"type": "interval", "minutes": 10}"#),
    ("rate(5 minutes)", r#"{"type": "interval", "minutes": 5}"#),
    ("\"*/5 * * * *\"", "*/5 * * * *"),
    ("'0 0 * * MON'", "0 0 * * MON"),
    ("*/5 * * * * /usr/local/bin/job.sh --all", "*/5 * * * *"),
    ("0 3 * * * root /usr/bin/backup", "0 3 * * *"),
    ("cron(0 12 * * ? *)", "0 12 * * ?"),
    ("cron(0 18 ? * MON-FRI *)", "0 18 ? * MON-FRI"),
    ("09:30", "30 9 * * *"),
    ("23:59:30", "30 59 23 * * *"),
    ("2027-01-20T15:00:00Z", r#"{"type": "one_shot", "fire_at": "2027-01-20T15:00:00Z"}"#),
    ("H * * * *", "0 * * * *"),
    ("H/15 * * * *", "*/15 * * * *"),
    ("H(0-29)/10 * * * *", "0-29/10 * * * *"),
    ("0 H(2-4) * * *", "0 2 * * *"),
    ("0 9 * * 1–5", "0 9 * * 1-5"),
    ("0 9 * * MONDAY-FRIDAY", "0 9 * * MON-FRI"),
    ("0 9 1 january *", "0 9 1 JAN *"),
    ("60 * * * *", "0 * * * *"),
    ("* 24 * * *", "* 0 * * *"),
    ("0 0 32 * *", "0 0 31 * *"),
    ("0 0 0 13 *", "0 0 1 12 *"),
    ("0 0 * * 8", "0 0 * * 7"),
    ("0 0 L * *", "0 0 28 * *"),
    ("0 0 15W * *", "0 0 15 * *"),
    ("0 0 * * 5#2", "0 0 * * 5"),
    ("0 0 * * FRIL", "0 0 * * FRI"),
    ("0 0 0 30 2 *", "0 0 0 29 2 *"),
    ("0 0 31 4,6 *", "0 0 30 4,6 *"),
    ("0 0 0 1 1 * 2020", "0 0 0 1 1 * *"),
    ("0 0 0 1 1 * 2030-2027", "0 0 0 1 1 * 2027-2030"),
    ("*/90 * * * *", "*/60 * * * *"),
    ("1,,2 * * * *", "1,2 * * * *"),
    ("0 9 * *", "0 9 * * *"),
    ("* * * * * * * *", "* * * * *"),
    ("5m", r#"{"type": "interval", "minutes": 5}"#),
    ("30s", r#"{"type": "interval", "seconds": 30}"#),
    ("PT5M", r#"{"type": "interval", "minutes": 5}"#),
    ("P1D", r#"{"type": "interval", "hours": 24}"#),
    ("P1DT30M", r#"{"type": "interval", "minutes": 1470}"#),
    ("R/2027-01-01T00:00:00Z/PT10M", r#"{"type": "interval", "minutes": 10}"#),
    ("every hour", r#"{"type": "interval", "hours": 1}"#),
    ("@every day", r#"{"type": "interval", "hours": 24}"#),
    ("daily at 02:00", "0 2 * * *"),
    ("Every day at 9am", "0 9 * * *"),
    ("every day at 9:30 pm", "30 21 * * *"),
    ("daily at 12am", "0 0 * * *"),
    ("daily", "0 0 * * *"),
    ("0 2 * * * Europe/Berlin", r#"{"type": "cron", "expression": "0 2 * * *", "timezone": "Europe/Berlin"}"#),
    ("0 2 1 1 * 2027", "0 0 2 1 1 * 2027"),
    ("0 0 2 * * * 26", "0 0 2 * * * *"),
    ("0 0 2 * * * 12026", "0 0 2 * * * *"),
    ("0 9 * * Mo-Fr", "0 9 * * MON-FRI"),
    ("0 9 * * we", "0 9 * * WED"),
    ("@every 1h 30m", r#"{"type": "interval", "minutes": 90}"#),
    ("@every 1.5s", r#"{"type": "interval", "minutes": 5}"#),
    ("@every 0s", r#"{"type": "interval", "minutes": 5}"#),
];

/// Fields of other systems, and what they mean here.
#[test]
fn fields_of_other_systems() {
    for (given, meant) in [
        (
            json!({"type": "interval", "days": 1}),
            json!({"type": "interval", "hours": 24}),
        ),
        (
            json!({"type": "interval", "weeks": 2}),
            json!({"type": "interval", "hours": 336}),
        ),
        (
            json!({"type": "interval", "every": "10s"}),
            json!({"type": "interval", "seconds": 10}),
        ),
        (
            json!({"type": "interval", "interval": "PT2H"}),
            json!({"type": "interval", "hours": 2}),
        ),
        (
            json!({"type": "cron", "expression": "0 9 * * *", "tz": "Europe/Berlin"}),
            json!({"type": "cron", "expression": "0 9 * * *", "timezone": "Europe/Berlin"}),
        ),
        (
            json!({"type": "cron", "cron": "0 9 * * *"}),
            json!({"type": "cron", "expression": "0 9 * * *"}),
        ),
        (
            json!({"type": "cron", "expression": "0 9 * * *", "timezone": "PST"}),
            json!({"type": "cron", "expression": "0 9 * * *", "timezone": "America/Los_Angeles"}),
        ),
    ] {
        assert_eq!(follow(&given), meant, "{given}");
    }
}

#[test]
fn expressions_of_other_systems() {
    for (pasted, meant) in PASTED {
        let meant = serde_json::from_str(meant).unwrap_or_else(|_| json!({"type": "cron", "expression": meant}));
        assert_eq!(expression(pasted), meant, "{pasted}");
    }
}

#[rustfmt::skip]
const UNREADABLE: [&str; 63] = [
    "", " ", "\u{a0}", "@reboot", "@every", "@every 0s", "@every 500ms", "@every -5m",
    "@every 99999999999999999999h", "@minutely", "@noon", "@", "CRON_TZ=", "TZ=", "TZ=Nowhere/Else 61 * * * *",
    "CRON_TZ=\"Europe/Berlin\" 0 9 * * *", "TZ=+02:00 0 9 * * *", "rate()", "rate(0 minutes)", "cron(0 12 * * 2 *)",
    "LW * * * *", "0 0 LW * *", "0 0 L-3 * *", "0 0 ? * L", "0 0 * * L5", "* * * * MONTAG", "* * * * 1-",
    "* * * * -1", "1-2-3 * * * *", "*/0 * * * *", "*/x * * * *", "*/+5 * * * *", "+5 * * * *", "? * * * *",
    "1.5 * * * *", "99999999999 * * * *", "x x x x x", "a b c d e f g", "* * * * * * 1969", "* * * * * * 9999",
    "0 0 0 29 2 * 2027", "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "every monday", "Mon..Fri 09:00", "*-*-* 06:00:00",
    "25:00", "9:99", "2027-01-20", "\"x\"", "`", "``", "5/ * * * *", "/5 * * * *", "* * * * * %",
    "* * * * * # comment", "*/5,*/0 * * * *", "H H * * *", "H(x) * * * *", "H(0-99)/99 * * * *", "0 0 1-31/40 * *",
    "5-1/ * * * *", "١ * * * *",
];

#[test]
fn every_other_bad_expression() {
    let long = "1,".repeat(200) + "2 * * * *";
    for text in UNREADABLE.into_iter().chain([long.as_str()]) {
        assert!(
            Expression::parse(text).is_err() || text.contains("2027"),
            "{text:?} is not refused"
        );
        expression(text);
    }
}

/// Whole configurations.
#[rustfmt::skip]
const CONFIGURATIONS: [&str; 25] = [
    r#""every 10 seconds""#,
    "10",
    "null",
    "[]",
    "{}",
    r#"{"seconds": 10}"#,
    r#"{"expression": "* * * * *"}"#,
    r#"{"fire_at": "2027-01-20T15:00:00Z"}"#,
    r#"{"type": "hourly"}"#,
    r#"{"type": 3}"#,
    r#"{"type": "one_shot"}"#,
    r#"{"type": "cron"}"#,
    r#"{"type": "interval"}"#,
    r#"{"type": "one-shot", "fire_at": "x"}"#,
    r#"{"type": "cron", "expression": 5}"#,
    r#"{"type": "interval", "second": 10}"#,
    r#"{"type": "interval", "seconds": 10, "second": 1, "every": 3}"#,
    r#"{"type": "interval", "seconds": 10, "expression": "* * * * *", "fire_at": 5}"#,
    r#"{"type": "interval", "minutes": 4294967295, "hours": 4294967295, "seconds": 5}"#,
    r#"{"type": "interval", "hours": 8784, "seconds": 1}"#,
    r#"{"type": "interval", "seconds": 0, "minutes": 0}"#,
    r#"{"type": "interval", "seconds": 10, "spread_seconds": 6}"#,
    r#"{"type": "cron", "expression": "*/5 * * * *", "spread_seconds": 800}"#,
    r#"{"type": "cron", "expression": "* * * * * *", "spread_seconds": 3}"#,
    r#"{"type": "cron", "expression": "0 0 0 1 1 * 2020", "end_at": "2021-01-01T00:00:00Z"}"#,
];

#[rustfmt::skip]
const ZONES: [&str; 14] = [
    "Berlin", "europe/berlin", "Europe/Berlyn", "CET+1", "CEST", "PST", "", "+02:00", "UTC+2", "GMT-05:00", "+05:30", "W. Europe Standard Time", "New York", "Nowhere",
];

const NUMBERS: [&str; 8] = [
    "seconds",
    "minutes",
    "hours",
    "spread_seconds",
    "grace_seconds",
    "catchup_window_seconds",
    "catchup_max",
    "max_age_seconds",
];

const START_AND_END: [(&str, &str); 5] = [
    ("2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"),
    ("2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
    ("2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
    ("2027-01-01T00:10:00Z", "2027-01-01T00:20:00Z"),
    ("2027-02-01T00:00:00Z", "2027-03-01T00:00:00Z"),
];

/// Wrong numbers, and many that are right in one field and not in another.
fn numbers() -> Vec<Value> {
    let texts = r#"[-1, 0, 3601, 901, 1.5, "10", "10s", "x", true, [], {}]"#;
    let mut values: Vec<Value> = serde_json::from_str(texts).expect("JSON");
    values.extend([json!(i64::MIN), json!(u32::MAX), json!(u64::MAX)]);
    values
}

fn instants() -> Vec<Value> {
    let texts = r#"["tomorrow", "2027-01-20T15:00:00", "2027-01-20 15:00", "2027-01-20", "2027-01-20T15:00:00 02:00",
                    "2027-01-20T15:00:00+0200", 1800000000, 1800000000000, "1960-01-01T00:00:00Z", "2020-01-01T00:00:00Z",
                    "9999-12-31T23:59:59Z", true, ""]"#;
    serde_json::from_str(texts).expect("JSON")
}

fn with(mut config: Value, more: Value) -> Value {
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
    config
}

fn interval(more: Value) -> Value {
    with(json!({"type": "interval", "hours": 2}), more)
}

fn one_shot(more: Value) -> Value {
    with(json!({"type": "one_shot", "fire_at": "2027-01-20T15:00:00Z"}), more)
}

fn cron(more: Value) -> Value {
    with(json!({"type": "cron", "expression": "@daily"}), more)
}

#[test]
fn every_other_bad_field() {
    let whole = CONFIGURATIONS.map(|text| serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}")));
    let mut table: Vec<Value> = whole.into();
    table.extend(ZONES.map(|zone| cron(json!({"timezone": zone}))));
    for name in NUMBERS {
        table.extend(numbers().iter().map(|value| interval(json!({name: value}))));
        table.extend(numbers().iter().map(|value| one_shot(json!({name: value}))));
    }
    for name in ["fire_at", "anchor", "start_at", "end_at"] {
        table.extend(instants().iter().map(|value| one_shot(json!({name: value}))));
        table.extend(instants().iter().map(|value| interval(json!({name: value}))));
    }
    for name in ["misfire", "dst_gap", "dst_overlap", "allow_past", "timezone"] {
        table.extend([json!("all"), json!(1), json!("yes")].map(|value| cron(json!({name: value}))));
        table.push(one_shot(json!({name: "yes"})));
    }
    for (start, end) in START_AND_END {
        table.push(interval(json!({"start_at": start, "end_at": end})));
        table.push(one_shot(json!({"start_at": start, "end_at": end})));
    }
    table.push(one_shot(json!({"fire_at": "2020-01-01T00:00:00Z", "allow_past": true})));
    table.push(one_shot(
        json!({"fire_at": "2019-01-01T00:00:00Z", "end_at": "2018-01-01T00:00:00Z"}),
    ));
    assert!(table.len() > 300);
    for config in table {
        follow(&config);
    }
}

#[test]
fn a_spent_one_shot_is_armed_again_by_a_new_instant() {
    let now = at("2026-11-24T12:00:00Z");
    let config = |fire_at: &str| json!({"type": "one_shot", "fire_at": fire_at});
    let previous = TimerConfig::parse(&config("2026-11-24T11:59:50Z")).expect("a configuration");
    for fire_at in ["2026-11-24T11:59:50Z", "2026-11-24T11:59:55Z"] {
        let mut json = config(fire_at);
        json["misfire"] = json!("skip");
        let errors = TimerConfig::check(&json, Some((&previous, true)), now, Limits::default()).expect_err(fire_at);
        for error in errors.iter() {
            apply(&mut json, error);
        }
        assert!(
            TimerConfig::check(&json, Some((&previous, true)), now, Limits::default()).is_ok(),
            "{errors}"
        );
    }
}

#[test]
fn a_field_with_a_typo_is_named() {
    let config = follow(&json!({"type": "interval", "second": 10}));
    assert_eq!(config, json!({"type": "interval", "seconds": 10}));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn the_advice_on_any_text_is_right(text in "[0-9*/,?@LWHTZ#:=(). a-z–\u{a0}-]{0,40}") {
        expression(&text);
    }
}
