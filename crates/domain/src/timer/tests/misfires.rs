//! The rows of the design's table of edge cases about lateness, one test each.

use super::{MANY, at, due_between, emitted, gap, second, timer};
use crate::timer::{Due, GapReason, Origin, Recovery, Timer, due, plan};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

#[test]
fn one_second_timer_five_seconds_failover() {
    for misfire in ["catch_up", "latest", "skip"] {
        let due = due_between(
            &second(json!({"misfire": misfire})),
            "2026-01-01T00:00:01Z",
            "2026-01-01T00:00:05.4Z",
        );
        assert_eq!(due.emit.len(), 5, "{misfire}");
        assert_eq!((due.gap, due.recovery, due.missed), (None, None, None));
        assert_eq!(due.next, Some(at("2026-01-01T00:00:06Z")));
    }
}

#[test]
fn sensor_down_one_hour_one_second_interval() {
    let due_after_outage = |misfire: &str| {
        due_between(
            &second(json!({"misfire": misfire})),
            "2026-01-01T00:00:01Z",
            "2026-01-01T01:00:00.5Z",
        )
    };
    let due = due_after_outage("catch_up");
    assert_eq!((due.emit.len(), due.emit[0]), (60, at("2026-01-01T00:59:01Z")));
    assert_eq!(
        due.gap,
        Some(gap(
            "2026-01-01T00:00:01Z",
            "2026-01-01T00:59:00Z",
            3540,
            GapReason::CatchupWindow
        ))
    );
    assert_eq!(due.next, Some(at("2026-01-01T01:00:01Z")));
    let missed = due
        .events()
        .next()
        .and_then(|(_, missed)| missed)
        .expect("the first event reports the missed occurrences");
    assert_eq!((missed.count, missed.first_at), (3540, at("2026-01-01T00:00:01Z")));
    assert!(due.events().skip(1).all(|(_, missed)| missed.is_none()));
    for (misfire, reason) in [("latest", GapReason::Latest), ("skip", GapReason::Skip)] {
        let due = due_after_outage(misfire);
        assert_eq!(
            (due.emit.len(), due.emit[0]),
            (10, at("2026-01-01T00:59:51Z")),
            "those within grace"
        );
        assert_eq!(
            due.gap,
            Some(gap("2026-01-01T00:00:01Z", "2026-01-01T00:59:50Z", 3590, reason))
        );
    }
    // Exactly on a second there are 61 within the last minute, and the grace's ends belong to it.
    let exact = due_exact("catch_up", 0);
    assert_eq!(exact.emit.len(), 61);
    assert_eq!(due_exact("skip", 0).emit.len(), 11);
}

fn due_exact(misfire: &str, micros: i64) -> Due {
    let now = at("2026-01-01T01:00:00Z") + TimeDelta::microseconds(micros);
    due(
        &second(json!({"misfire": misfire})),
        at("2026-01-01T00:00:01Z"),
        now,
        None,
        MANY,
    )
}

#[test]
fn catchup_max_keeps_the_newest_oldest_first() {
    let timer = second(json!({"catchup_max": 3, "catchup_window_seconds": 3600}));
    let due = due_between(&timer, "2026-01-01T00:00:01Z", "2026-01-01T00:10:00Z");
    // 11 on time, and 3 late ones.
    assert_eq!((due.emit.len(), due.emit[0]), (14, at("2026-01-01T00:09:47Z")));
    assert_eq!(
        due.gap,
        Some(gap(
            "2026-01-01T00:00:01Z",
            "2026-01-01T00:09:46Z",
            586,
            GapReason::CatchupMax
        ))
    );
}

#[test]
fn sensor_down_three_hours_daily_job_inside() {
    let daily = timer(&json!({"type": "cron", "expression": "0 1 * * *"}));
    let due = due_between(&daily, "2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z");
    assert_eq!(emitted(&due), ["2026-01-01T01:00:00Z"]);
    assert_eq!((due.gap, due.missed), (None, None));
    assert_eq!(due.next, Some(at("2026-01-02T01:00:00Z")));
}

#[test]
fn down_for_two_days_and_longer_than_max_age() {
    let daily = |misfire: &str| timer(&json!({"type": "cron", "expression": "0 1 * * *", "misfire": misfire}));
    let due = due_between(&daily("catch_up"), "2026-01-01T01:00:00Z", "2026-01-03T03:00:00Z");
    assert_eq!(emitted(&due), ["2026-01-03T01:00:00Z"]);
    assert_eq!(
        due.gap,
        Some(gap(
            "2026-01-01T01:00:00Z",
            "2026-01-02T01:00:00Z",
            2,
            GapReason::CatchupWindow
        ))
    );
    let due = due_between(&daily("latest"), "2026-01-01T01:00:00Z", "2026-01-03T03:00:00Z");
    assert_eq!(emitted(&due), ["2026-01-03T01:00:00Z"]);
    assert_eq!(
        due.gap,
        Some(gap(
            "2026-01-01T01:00:00Z",
            "2026-01-02T01:00:00Z",
            2,
            GapReason::Latest
        ))
    );

    let yearly = timer(&json!({"type": "cron", "expression": "@yearly"}));
    let due = due_between(&yearly, "2026-01-01T00:00:00Z", "2026-01-08T00:00:00.000001Z");
    assert_eq!(
        (due.emit.len(), due.gap),
        (
            0,
            Some(gap(
                "2026-01-01T00:00:00Z",
                "2026-01-01T00:00:00Z",
                1,
                GapReason::MaxAge
            ))
        )
    );
    assert_eq!(
        emitted(&due_between(&yearly, "2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z")),
        ["2026-01-01T00:00:00Z"]
    );
}

#[test]
fn unreported_missed_occurrences_are_reported_by_the_next_event() {
    let timer = timer(&json!({"type": "interval", "minutes": 1, "misfire": "skip"}));
    let first = due_between(&timer, "2026-01-01T00:01:00Z", "2026-01-01T00:10:30Z");
    assert_eq!(
        (first.emit.len(), first.gap.as_ref().map(|gap| gap.missed)),
        (0, Some(10))
    );
    let stored = serde_json::to_value(&first.recovery).expect("JSON");
    let recovery: Option<Recovery> = serde_json::from_value(stored).expect("what was written is read");
    let second = due(
        &timer,
        first.next.expect("a next one"),
        at("2026-01-01T00:12:30Z"),
        recovery.as_ref(),
        MANY,
    );
    assert_eq!(second.emit.len(), 0);
    let third = due(
        &timer,
        second.next.expect("a next one"),
        at("2026-01-01T00:13:00Z"),
        second.recovery.as_ref(),
        MANY,
    );
    let missed = third.events().next().and_then(|(_, missed)| missed).expect("reported");
    assert_eq!((missed.count, missed.first_at), (12, at("2026-01-01T00:01:00Z")));
    assert_eq!(third.recovery, None);
}

#[test]
fn a_transaction_fires_a_bounded_number_and_the_rest_is_promised() {
    let timer = second(json!({"catchup_window_seconds": 3600, "catchup_max": 10_000}));
    let first = due(
        &timer,
        at("2026-01-01T00:00:01Z"),
        at("2026-01-01T02:00:00Z"),
        None,
        1000,
    );
    assert_eq!(first.emit.len(), 1000);
    let promised = first.recovery.as_ref().expect("a recovery");
    assert_eq!(
        (promised.until, promised.remaining),
        (Some(at("2026-01-01T02:00:00Z")), 2601)
    );
    // An hour later the promise still holds: it is not judged again.
    let now = at("2026-01-01T03:00:00Z");
    let second = due(&timer, first.next.expect("next"), now, first.recovery.as_ref(), 2000);
    assert_eq!((second.emit.len(), &second.gap), (2000, &None));
    let third = due(&timer, second.next.expect("next"), now, second.recovery.as_ref(), 2000);
    assert_eq!((third.emit.len(), &third.recovery), (601, &None));
    assert_eq!(third.next, Some(at("2026-01-01T02:00:01Z")));
    // Nothing fits: nothing is lost either.
    let none = due(&timer, at("2026-01-01T00:00:01Z"), at("2026-01-01T00:00:05Z"), None, 0);
    assert_eq!((none.emit.len(), none.next), (0, Some(at("2026-01-01T00:00:01Z"))));
    assert_eq!(none.recovery.map(|recovery| recovery.remaining), Some(5));
}

#[test]
fn counting_takes_constant_time() {
    let years = ("2016-01-01T00:00:01Z", "2026-01-01T00:00:00Z");
    let expected = (at(years.1) - at(years.0)).num_seconds() - 60;
    for json in [
        json!({"type": "interval", "seconds": 1}),
        json!({"type": "cron", "expression": "* * * * * *", "timezone": "America/New_York"}),
    ] {
        let due = due_between(&timer(&json), years.0, years.1);
        assert_eq!(due.gap.map(|gap| gap.missed), u64::try_from(expected).ok(), "{json}");
    }
}

#[test]
fn database_clock_back_means_nothing_until_next_fire_at() {
    let recovery = Recovery {
        until: Some(at("2026-01-01T00:00:20Z")),
        remaining: 5,
        missed: None,
    };
    for recovery in [None, Some(&recovery)] {
        let found = due(
            &second(json!({})),
            at("2026-01-01T00:00:10Z"),
            at("2026-01-01T00:00:05Z"),
            recovery,
            MANY,
        );
        assert_eq!(
            (found.emit.len(), found.gap, found.next),
            (0, None, Some(at("2026-01-01T00:00:10Z")))
        );
        assert_eq!(found.recovery.as_ref(), recovery);
    }
}

#[test]
fn database_clock_back_during_a_recovery_fires_nothing_early() {
    let recovery = Recovery {
        until: Some(at("2026-01-01T00:00:20Z")),
        remaining: 11,
        missed: None,
    };
    let (next, now) = (at("2026-01-01T00:00:10Z"), at("2026-01-01T00:00:15Z"));
    let found = due(&second(json!({})), next, now, Some(&recovery), MANY);
    assert_eq!((found.emit.len(), found.next), (6, Some(at("2026-01-01T00:00:16Z"))));
}

#[test]
fn the_default_window_is_ten_periods_within_a_minute_and_an_hour() {
    let fires = |json: Value| {
        let timer = timer(&json);
        let next = at("2026-01-01T00:00:01Z");
        due_from(&timer, next, at("2026-01-03T12:00:30Z")).emit.len()
    };
    let cron = |expression: &str| json!({"type": "cron", "expression": expression});
    // 30 seconds after a full hour.
    assert_eq!(fires(json!({"type": "interval", "seconds": 1})), 61);
    assert_eq!(fires(cron("* * * * * *")), 61);
    assert_eq!(fires(json!({"type": "interval", "minutes": 1})), 10);
    assert_eq!(fires(cron("* * * * *")), 10);
    assert_eq!(fires(json!({"type": "interval", "minutes": 5})), 10);
    assert_eq!(fires(cron("*/5 * * * *")), 10);
    assert_eq!(fires(json!({"type": "interval", "minutes": 10})), 6);
    assert_eq!(fires(cron("*/10 * * * *")), 6);
    assert_eq!(fires(cron("@daily")), 1);
}

fn due_from(timer: &Timer, next: DateTime<Utc>, now: DateTime<Utc>) -> Due {
    due(timer, next, now, None, MANY)
}

#[test]
fn spread_counts_for_lateness_and_next_fire_at_but_not_for_the_nominal_instant() {
    let timer =
        timer(&json!({"type": "interval", "hours": 1, "spread_seconds": 900, "grace_seconds": 0, "misfire": "skip"}));
    let fire_at = at("2026-01-01T01:00:00Z") + TimeDelta::microseconds(timer.offset);
    let planned = plan(&timer, at("2026-01-01T00:30:00Z"), Origin::Created, None);
    assert_eq!(planned.next, Some(fire_at));
    let found = due(&timer, fire_at, fire_at, None, MANY);
    assert_eq!(emitted(&found), ["2026-01-01T01:00:00Z"]);
    assert_eq!(found.next, Some(fire_at + TimeDelta::hours(1)));
    assert_eq!(
        due(&timer, fire_at, fire_at + TimeDelta::microseconds(1), None, MANY)
            .emit
            .len(),
        0
    );
}

#[test]
fn a_timer_past_its_end_is_done() {
    let timer = second(json!({"end_at": "2026-01-01T00:00:05Z"}));
    let found = due_between(&timer, "2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z");
    assert_eq!((found.emit.len(), found.next), (5, None));
}
