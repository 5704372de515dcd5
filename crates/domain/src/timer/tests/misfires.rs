//! The rows of the design's table of edge cases about lateness, changes and one-shots, one test each.

use super::{at, text, timer};
use crate::timer::{
    Change, Due, Gap, GapReason, Limits, Origin, Plan, Recovery, Timer, TimerConfig, due, plan, settle,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

const MANY: u32 = 1_000_000;

fn second(mut more: Value) -> Timer {
    more["type"] = json!("interval");
    more["seconds"] = json!(1);
    timer(&more)
}

fn ask(timer: &Timer, next_fire_at: &str, now: &str) -> Due {
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

fn once(more: Value) -> Timer {
    let mut json = more;
    json["type"] = json!("one_shot");
    json["fire_at"] = json!("2026-01-01T15:00:00Z");
    timer(&json)
}

const FIRE_AT: &str = "2026-01-01T15:00:00Z";

fn after(seconds: i64) -> DateTime<Utc> {
    at(FIRE_AT) + TimeDelta::seconds(seconds)
}

#[test]
fn one_second_timer_five_seconds_failover() {
    for misfire in ["catch_up", "latest", "skip"] {
        let due = ask(
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
    let ask = |misfire: &str| {
        ask(
            &second(json!({"misfire": misfire})),
            "2026-01-01T00:00:01Z",
            "2026-01-01T01:00:00.5Z",
        )
    };
    let due = ask("catch_up");
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
        .expect("the first event tells what was missed");
    assert_eq!((missed.count, missed.first_at), (3540, at("2026-01-01T00:00:01Z")));
    assert!(due.events().skip(1).all(|(_, missed)| missed.is_none()));
    for (misfire, reason) in [("latest", GapReason::Latest), ("skip", GapReason::Skip)] {
        let due = ask(misfire);
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
    let due = ask(&timer, "2026-01-01T00:00:01Z", "2026-01-01T00:10:00Z");
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
    let due = ask(&daily, "2026-01-01T01:00:00Z", "2026-01-01T03:00:00Z");
    assert_eq!(emitted(&due), ["2026-01-01T01:00:00Z"]);
    assert_eq!((due.gap, due.missed), (None, None));
    assert_eq!(due.next, Some(at("2026-01-02T01:00:00Z")));
}

#[test]
fn down_for_two_days_and_longer_than_max_age() {
    let daily = |misfire: &str| timer(&json!({"type": "cron", "expression": "0 1 * * *", "misfire": misfire}));
    let due = ask(&daily("catch_up"), "2026-01-01T01:00:00Z", "2026-01-03T03:00:00Z");
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
    let due = ask(&daily("latest"), "2026-01-01T01:00:00Z", "2026-01-03T03:00:00Z");
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
    let due = ask(&yearly, "2026-01-01T00:00:00Z", "2026-01-08T00:00:00.000001Z");
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
        emitted(&ask(&yearly, "2026-01-01T00:00:00Z", "2026-01-08T00:00:00Z")),
        ["2026-01-01T00:00:00Z"]
    );
}

#[test]
fn what_nothing_told_is_told_by_the_next_event() {
    let timer = timer(&json!({"type": "interval", "minutes": 1, "misfire": "skip"}));
    let first = ask(&timer, "2026-01-01T00:01:00Z", "2026-01-01T00:10:30Z");
    assert_eq!(
        (first.emit.len(), first.gap.as_ref().map(|gap| gap.missed)),
        (0, Some(10))
    );
    let stored = serde_json::to_value(&first.recovery).expect("JSON");
    let recovery: Option<Recovery> = serde_json::from_value(stored).expect("what was written is read");
    let second = due(
        &timer,
        first.next.expect("a next one"),
        at("2026-01-01T00:11:00Z"),
        recovery.as_ref(),
        MANY,
    );
    let told = second.events().next().and_then(|(_, missed)| missed).expect("told");
    assert_eq!((told.count, told.first_at), (10, at("2026-01-01T00:01:00Z")));
    assert_eq!(second.recovery, None);
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
fn counting_does_not_take_longer_when_more_was_missed() {
    let years = ("2016-01-01T00:00:01Z", "2026-01-01T00:00:00Z");
    let expected = (at(years.1) - at(years.0)).num_seconds() - 60;
    for json in [
        json!({"type": "interval", "seconds": 1}),
        json!({"type": "cron", "expression": "* * * * * *", "timezone": "America/New_York"}),
    ] {
        let due = ask(&timer(&json), years.0, years.1);
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
fn spread_counts_for_lateness_and_next_fire_at_but_not_for_the_nominal_instant() {
    let timer =
        timer(&json!({"type": "interval", "hours": 1, "spread_seconds": 900, "grace_seconds": 0, "misfire": "skip"}));
    let fire_at = at("2026-01-01T01:00:00Z") + TimeDelta::microseconds(timer.offset);
    let planned = plan(&timer, at("2026-01-01T00:30:00Z"), Origin::Created, None);
    assert_eq!(
        (planned.next, planned.next_at),
        (Some(fire_at), Some(at("2026-01-01T01:00:00Z")))
    );
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
fn one_shot_in_the_past_at_creation() {
    let config = |allow_past: bool| {
        let json = json!({"type": "one_shot", "fire_at": FIRE_AT, "allow_past": allow_past});
        TimerConfig::parse(&json).expect("a configuration")
    };
    assert!(config(false).validate(after(60), Limits::default()).is_ok());
    let refused = config(false)
        .validate(after(61), Limits::default())
        .expect_err("too late");
    assert!(
        refused.to_string().starts_with("fire_at: lies 61 seconds in the past"),
        "{refused}"
    );
    assert!(config(true).validate(after(86_400), Limits::default()).is_ok());
    assert!(
        config(true).validate(after(8 * 86_400), Limits::default()).is_err(),
        "older than max_age never fires"
    );

    // A little late: fires now, whatever the policy. Much too late (put there by SQL): a gap.
    for (timer, late) in [
        (once(json!({"misfire": "skip"})), 45),
        (once(json!({"allow_past": true, "misfire": "skip"})), 86_400),
    ] {
        let planned = plan(&timer, after(late), Origin::Created, None);
        assert_eq!((planned.next, planned.next_at), (Some(after(late)), Some(after(0))));
        let found = due(&timer, after(late), after(late + 1), None, MANY);
        assert_eq!((emitted(&found), found.next), (vec![FIRE_AT.to_owned()], None));
    }
    let planned = plan(&once(json!({})), after(61), Origin::Created, None);
    assert_eq!(
        planned,
        Plan {
            gap: Some(gap(FIRE_AT, FIRE_AT, 1, GapReason::PastAtCreation)),
            ..Plan::default()
        }
    );
}

#[test]
fn one_shot_spent() {
    let now = after(100);
    let config = |fire_at: DateTime<Utc>| {
        TimerConfig::parse(&json!({"type": "one_shot", "fire_at": fire_at.to_rfc3339()})).expect("a configuration")
    };
    let edit = |fire_at, spent| config(fire_at).validate_edit(&config(after(50)), spent, now, Limits::default());
    assert!(
        edit(after(50), true)
            .expect_err("the same instant")
            .to_string()
            .contains("has fired already")
    );
    assert!(
        edit(after(70), true)
            .expect_err("the past")
            .to_string()
            .contains("lies in the past")
    );
    assert!(edit(after(101), true).is_ok());
    assert!(edit(after(50), false).is_ok());
    assert_eq!(
        plan(&once(json!({})), after(10), Origin::Edited, Some(after(0))),
        Plan::default()
    );
    assert_eq!(
        plan(&once(json!({})), after(-10), Origin::Edited, Some(after(-20))).next,
        Some(after(0))
    );
}

#[test]
fn one_shot_missed_in_an_outage() {
    let ask = |more: Value, late| due(&once(more), after(0), after(late), None, MANY);
    for misfire in ["catch_up", "latest"] {
        let found = ask(json!({"misfire": misfire}), 2 * 86_400);
        assert_eq!(
            (found.emit.len(), found.next, found.gap, found.last),
            (1, None, None, Some(after(0)))
        );
    }
    let found = ask(json!({}), 7 * 86_400 + 1);
    assert_eq!(
        (found.emit.len(), found.next, found.gap),
        (0, None, Some(gap(FIRE_AT, FIRE_AT, 1, GapReason::MaxAge)))
    );
    let found = ask(json!({"misfire": "skip"}), 11);
    assert_eq!(
        (found.emit.len(), found.gap, found.last),
        (0, Some(gap(FIRE_AT, FIRE_AT, 1, GapReason::Skip)), Some(after(0)))
    );
    assert_eq!(ask(json!({"misfire": "skip"}), 10).emit.len(), 1);
}

#[test]
fn disable_then_enable() {
    let hourly = timer(&json!({"type": "interval", "hours": 1}));
    // What was due at the disabling is settled, the time until the enabling is not missed.
    let change = Change {
        at: at("2026-01-01T05:30:00Z"),
        reason: GapReason::Disabled,
    };
    let settled = settle(
        &hourly,
        at("2026-01-01T03:00:00Z"),
        change,
        at("2026-01-01T09:00:00Z"),
        None,
        MANY,
    );
    assert_eq!(emitted(&settled), ["2026-01-01T05:00:00Z"]);
    assert_eq!(
        settled.gap,
        Some(gap(
            "2026-01-01T03:00:00Z",
            "2026-01-01T04:00:00Z",
            2,
            GapReason::Disabled
        ))
    );
    assert_eq!((settled.next, settled.recovery), (None, None));
    let planned = plan(&hourly, at("2026-01-01T09:00:00Z"), Origin::Enabled, settled.last);
    assert_eq!((planned.next, planned.gap), (Some(at("2026-01-01T10:00:00Z")), None));

    let planned = plan(&once(json!({"allow_past": true})), after(30), Origin::Enabled, None);
    assert_eq!(
        (planned.next, planned.gap),
        (None, Some(gap(FIRE_AT, FIRE_AT, 1, GapReason::Disabled)))
    );
    assert_eq!(
        plan(&once(json!({})), after(-30), Origin::Enabled, None).next,
        Some(after(0))
    );
}

#[test]
fn edit_is_never_retroactive() {
    let timer = second(json!({"misfire": "skip"}));
    let change = Change {
        at: at("2026-01-01T00:00:20Z"),
        reason: GapReason::Edited,
    };
    let now = at("2026-01-01T00:00:25Z");
    let first = settle(&timer, at("2026-01-01T00:00:01Z"), change, now, None, 4);
    assert_eq!(
        first.gap,
        Some(gap(
            "2026-01-01T00:00:01Z",
            "2026-01-01T00:00:14Z",
            14,
            GapReason::Edited
        ))
    );
    assert_eq!(
        (first.emit.len(), first.next),
        (4, Some(at("2026-01-01T00:00:19Z"))),
        "not everything fits"
    );
    let second = settle(
        &timer,
        at("2026-01-01T00:00:19Z"),
        change,
        now,
        first.recovery.as_ref(),
        4,
    );
    assert_eq!(emitted(&second), ["2026-01-01T00:00:19Z", "2026-01-01T00:00:20Z"]);
    assert_eq!((second.next, second.recovery), (None, None));
    let planned = plan(&timer, change.at, Origin::Edited, second.last);
    assert_eq!(planned.next, Some(at("2026-01-01T00:00:21Z")), "strictly after");
    // A tick that went further than the change (its transaction began earlier) is not repeated.
    let further = Some(at("2026-01-01T00:00:23Z"));
    assert_eq!(
        plan(&timer, change.at, Origin::Edited, further).next,
        Some(at("2026-01-01T00:00:24Z"))
    );
    let nothing = settle(&timer, at("2026-01-01T00:00:24Z"), change, now, None, 4);
    assert_eq!(nothing, Due::default());
}

#[test]
fn an_edit_inside_the_spread_loses_nothing() {
    let timer = timer(&json!({"type": "interval", "hours": 1, "spread_seconds": 900}));
    let fire_at = plan(&timer, at("2026-01-01T00:30:00Z"), Origin::Created, None)
        .next
        .expect("a next one");
    let change = Change {
        at: at("2026-01-01T01:00:00.5Z"),
        reason: GapReason::Edited,
    };
    let settled = settle(&timer, fire_at, change, change.at, None, MANY);
    assert_eq!(emitted(&settled), ["2026-01-01T01:00:00Z"]);
    assert_eq!(
        plan(&timer, change.at, Origin::Edited, settled.last).next_at,
        Some(at("2026-01-01T02:00:00Z"))
    );
}

#[test]
fn a_timer_past_its_end_is_done() {
    let timer = second(json!({"end_at": "2026-01-01T00:00:05Z"}));
    let found = ask(&timer, "2026-01-01T00:00:01Z", "2026-01-01T00:00:09Z");
    assert_eq!((found.emit.len(), found.next), (5, None));
}
