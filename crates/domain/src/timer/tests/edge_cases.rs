//! The rows of the design's table of edge cases about calendars, one test each. Those about lateness are in `misfires`.

use super::{at, next, text, timer};
use crate::{
    TriggerId,
    timer::{Note, Timer, TimerConfig, manual_payload, occurrences, payload},
};
use serde_json::{Value, json};

fn cron(expression: &str, zone: &str) -> Value {
    json!({"type": "cron", "expression": expression, "timezone": zone})
}

fn with(mut json: Value, key: &str, value: &str) -> Value {
    json[key] = json!(value);
    json
}

fn check(json: &Value, after: &str, expected: &[&str]) {
    assert_eq!(next(json, after, expected.len()), expected, "{json} after {after}");
}

/// Local times with their notes, as a preview shows them.
fn preview(json: &Value, after: &str, n: usize) -> Vec<(String, Option<Note>)> {
    let timer = timer(json);
    let found = occurrences(&timer, at(after), None).take(n);
    found.map(|found| (found.local_time.to_rfc3339(), found.note)).collect()
}

#[test]
fn dst_gap_fixed_time() {
    let berlin = cron("30 2 * * *", "Europe/Berlin");
    check(
        &berlin,
        "2026-03-28T00:00:00Z",
        &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
    // From just before, and from the very instant of the change.
    check(&berlin, "2026-03-29T00:59:59Z", &["2026-03-29T01:00:00Z"]);
    check(&berlin, "2026-03-29T01:00:00Z", &["2026-03-30T00:30:00Z"]);
    check(
        &with(berlin, "dst_gap", "skip"),
        "2026-03-28T12:00:00Z",
        &["2026-03-30T00:30:00Z"],
    );
    // Several times in one gap, one of them at its end anyway: once.
    check(
        &cron("*/20 0,15,30 2,3 * * *", "Europe/Berlin"),
        "2026-03-29T00:30:00Z",
        &[
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:00:20Z",
            "2026-03-29T01:00:40Z",
            "2026-03-29T01:15:00Z",
        ],
    );
}

#[test]
fn dst_overlap_fixed_time() {
    let berlin = cron("30 2 * * *", "Europe/Berlin");
    let after = "2026-10-24T12:00:00Z";
    check(&berlin, after, &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    check(
        &with(berlin.clone(), "dst_overlap", "first"),
        after,
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
    check(
        &with(berlin.clone(), "dst_overlap", "second"),
        after,
        &["2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"],
    );
    let both = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"];
    check(&with(berlin, "dst_overlap", "both"), after, &both);
}

#[test]
fn wildcard_or_step_in_hour_or_minute_is_real_time() {
    let quarter = cron("*/30 * * * *", "Europe/Berlin");
    let forward = ["2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"];
    check(&quarter, "2026-03-29T00:00:00Z", &forward);
    let back = [
        "2026-10-25T00:00:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-25T01:00:00Z",
        "2026-10-25T01:30:00Z",
    ];
    check(&quarter, "2026-10-24T23:30:00Z", &back);
    // A step in the hour alone is enough: nothing in the gap, both passes in the overlap, whatever the policies are.
    let stepped = with(
        with(cron("30 */2 * * *", "Europe/Berlin"), "dst_gap", "run"),
        "dst_overlap",
        "first",
    );
    check(&stepped, "2026-03-29T00:00:00Z", &["2026-03-29T02:30:00Z"]);
    check(
        &stepped,
        "2026-10-25T00:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T03:30:00Z"],
    );
    // A step in the second is none in hour and minute.
    check(
        &cron("*/30 30 2 * * *", "Europe/Berlin"),
        "2026-03-29T00:00:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
    check(
        &json!({"type": "interval", "hours": 1}),
        "2026-03-29T00:30:00Z",
        &forward[1..2],
    );
}

#[test]
fn gap_at_midnight_in_cairo() {
    let cairo = cron("0 0 * * *", "Africa/Cairo");
    check(
        &cairo,
        "2026-04-23T12:00:00Z",
        &["2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"],
    );
    check(
        &with(cairo, "dst_gap", "skip"),
        "2026-04-23T12:00:00Z",
        &["2026-04-24T21:00:00Z"],
    );
    // Back at midnight: 23:00 to 23:59 of 29 October exist twice.
    check(
        &cron("30 23 * * *", "Africa/Cairo"),
        "2026-10-29T12:00:00Z",
        &["2026-10-29T20:30:00Z", "2026-10-30T21:30:00Z"],
    );
}

#[test]
fn half_an_hour_of_dst_on_lord_howe() {
    let howe = cron("15 2 * * *", "Australia/Lord_Howe");
    check(
        &howe,
        "2026-10-03T00:00:00Z",
        &["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"],
    );
    check(
        &cron("45 1 * * *", "Australia/Lord_Howe"),
        "2026-04-04T00:00:00Z",
        &["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"],
    );
}

#[test]
fn skipped_day_in_apia() {
    // 2011-12-30 does not exist. Its fixed times move to the first instant after the gap, the midnight of the 31st.
    let apia = cron("0 9 * * *", "Pacific/Apia");
    let days = ["2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"];
    check(&apia, "2011-12-29T00:00:00Z", &days);
    check(&with(apia, "dst_gap", "skip"), "2011-12-29T19:00:00Z", &days[2..]);
    check(
        &cron("0 */12 * * *", "Pacific/Apia"),
        "2011-12-29T22:00:00Z",
        &["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"],
    );
}

#[test]
fn negative_dst_in_dublin_and_casablanca() {
    check(
        &cron("30 1 * * *", "Europe/Dublin"),
        "2026-03-28T12:00:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
    );
    check(
        &cron("30 1 * * *", "Europe/Dublin"),
        "2026-10-24T12:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
    );
    // Back at the beginning of Ramadan, forward at its end.
    check(
        &cron("30 2 * * *", "Africa/Casablanca"),
        "2026-02-14T12:00:00Z",
        &["2026-02-15T01:30:00Z", "2026-02-16T02:30:00Z"],
    );
    check(
        &cron("30 2 * * *", "Africa/Casablanca"),
        "2026-03-21T12:00:00Z",
        &["2026-03-22T02:00:00Z", "2026-03-23T01:30:00Z"],
    );
}

#[test]
fn impossible_date_is_refused_with_the_reason() {
    let errors = TimerConfig::parse(&cron("0 0 0 30 2 *", "Europe/Berlin")).expect_err("30 February");
    assert_eq!(
        errors.to_string(),
        "expression: never occurs: no month of `2` has the day of month `30`: write, for example, `0 0 0 29 2 *`"
    );
}

#[test]
fn preview_marks_the_days_on_which_clocks_change() {
    let note = |time: &str, note| (time.to_owned(), note);
    assert_eq!(
        preview(&cron("30 2 * * *", "America/New_York"), "2026-03-07T04:00:00Z", 3),
        [
            note("2026-03-07T02:30:00-05:00", None),
            note("2026-03-08T03:00:00-04:00", Some(Note::DstGap)),
            note("2026-03-09T02:30:00-04:00", None),
        ]
    );
    assert_eq!(
        preview(&cron("30 1 * * *", "America/New_York"), "2026-10-31T20:00:00Z", 2),
        [
            note("2026-11-01T01:30:00-04:00", Some(Note::DstOverlap)),
            note("2026-11-02T01:30:00-05:00", None)
        ]
    );
    assert_eq!(
        preview(&cron("0 * * * *", "America/New_York"), "2026-11-01T04:30:00Z", 3),
        [
            note("2026-11-01T01:00:00-04:00", Some(Note::DstOverlap)),
            note("2026-11-01T01:00:00-05:00", Some(Note::DstOverlap)),
            note("2026-11-01T02:00:00-05:00", None),
        ]
    );
    assert_eq!(
        serde_json::to_value(occurrences(&timer(&cron("@daily", "UTC")), at("2026-01-01T00:00:00Z"), None).next())
            .expect("JSON"),
        json!({"scheduled_at": "2026-01-02T00:00:00Z", "local_time": "2026-01-02T00:00:00+00:00", "note": null})
    );
}

#[test]
fn interval_grid_does_not_drift_or_move() {
    check(
        &json!({"type": "interval", "seconds": 10}),
        "2026-01-01T00:00:03.5Z",
        &["2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"],
    );
    let seven = json!({"type": "interval", "minutes": 7, "anchor": "2030-01-01T00:00:01Z"});
    let first = timer(&seven)
        .next_after(at("2026-01-01T00:00:00Z"))
        .expect("an occurrence");
    assert_eq!(
        (at("2030-01-01T00:00:01Z") - first).num_seconds() % 420,
        0,
        "the grid reaches back before its anchor"
    );
    let started = json!({"type": "interval", "minutes": 7, "start_at": "2026-01-01T00:00:01Z"});
    let until = occurrences(
        &timer(&started),
        at("2020-01-01T00:00:00Z"),
        Some(at("2026-01-01T00:14:00Z")),
    )
    .count();
    assert_eq!(until, 2, "the end of the range is included");
    check(&started, "2020-01-01T00:00:00Z", &["2026-01-01T00:07:00Z"]);
}

#[test]
fn spread_is_stable_and_keeps_the_nominal_instant() {
    let json = json!({"type": "cron", "expression": "@hourly", "spread_seconds": 900});
    let config = TimerConfig::parse(&json).expect("a configuration");
    let offsets: Vec<_> = (0..1000)
        .map(|id| {
            let timer = Timer::compile(&config, TriggerId(id)).expect("a timer");
            assert_eq!(timer, Timer::compile(&config, TriggerId(id)).expect("the same timer"));
            timer.offset / 1000
        })
        .collect();
    assert!(offsets.iter().all(|offset| (0..=900_000).contains(offset)));
    let early = offsets.iter().filter(|offset| **offset < 450_000).count();
    assert!((400..600).contains(&early), "{early} of 1000 in the first half");
    check(&json, "2026-01-01T00:00:00Z", &["2026-01-01T01:00:00Z"]);
}

#[test]
fn payloads() {
    let fired = at("2026-03-08T07:00:01.234567Z");
    let scheduled = at("2026-03-08T07:00:00Z");
    assert_eq!(
        payload(&timer(&cron("30 2 * * *", "America/New_York")), scheduled, fired, None),
        json!({
            "type": "cron", "fired_at": "2026-03-08T07:00:01.234Z", "scheduled_at": "2026-03-08T07:00:00Z",
            "expression": "30 2 * * *", "timezone": "America/New_York", "local_time": "2026-03-08T03:00:00-04:00",
            "late_ms": 1234
        })
    );
    let missed = crate::timer::Missed {
        count: 3,
        first_at: at("2026-03-08T06:00:00Z"),
    };
    assert_eq!(
        payload(
            &timer(&json!({"type": "interval", "minutes": 20})),
            scheduled,
            fired,
            Some(&missed)
        ),
        json!({
            "type": "interval", "fired_at": "2026-03-08T07:00:01.234Z", "scheduled_at": "2026-03-08T07:00:00Z",
            "interval_seconds": 1200, "late_ms": 1234, "missed_count": 3, "first_missed_at": "2026-03-08T06:00:00Z"
        })
    );
    let once = timer(&json!({"type": "one_shot", "fire_at": "2026-03-08T07:00:00Z"}));
    let early = scheduled - chrono::TimeDelta::seconds(1);
    assert_eq!(
        payload(&once, scheduled, early, None)["late_ms"],
        0,
        "the clock went back"
    );
    assert_eq!(
        payload(&once, scheduled, scheduled, None),
        json!({"type": "one_shot", "fired_at": "2026-03-08T07:00:00.000Z", "scheduled_at": "2026-03-08T07:00:00Z", "late_ms": 0})
    );
}

#[test]
fn a_manual_event_is_outside_the_grid() {
    let once = timer(&json!({"type": "one_shot", "fire_at": "2020-03-08T07:00:00Z"}));
    let found = manual_payload(&once, at("2026-03-08T07:00:00Z"));
    assert_eq!(
        found,
        json!({"type": "one_shot", "fired_at": "2026-03-08T07:00:00.000Z"})
    );
    assert_eq!(text(at("2026-03-08T07:00:00Z")), "2026-03-08T07:00:00Z");
}
