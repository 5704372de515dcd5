//! The rows of the design's table of edge cases about one-shots and about changes, one test each.

use super::{MANY, at, emitted, gap, second, timer};
use crate::timer::{
    Change, Due, GapReason, Limits, Origin, Plan, Recovery, Timer, TimerConfig, due, due_before_change, plan,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

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
fn the_oldest_that_fires_follows_the_retention_of_events() {
    let config = |more: Value| {
        let mut json = json!({"type": "one_shot", "fire_at": FIRE_AT, "allow_past": true});
        json.as_object_mut()
            .expect("an object")
            .extend(more.as_object().cloned().unwrap_or_default());
        TimerConfig::parse(&json).expect("a configuration")
    };
    let day = 86_400;
    let check = |more: Value, days: i32, late: i64, good: bool| {
        let checked = config(more.clone()).validate(after(late), Limits::of_days(days));
        assert_eq!(checked.is_ok(), good, "{more} {days} {late}: {checked:?}");
    };
    check(json!({}), 30, 7 * day, true);
    check(json!({}), 30, 7 * day + 1, false);
    check(json!({}), 7, 7 * day - 1, true);
    check(json!({}), 7, 7 * day, false);
    check(json!({}), 1, day - 1, true);
    check(json!({}), 1, day, false);
    check(json!({"max_age_seconds": day}), 1, 0, false);
    check(json!({"max_age_seconds": day - 1}), 1, 0, true);
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
    for (late, expected) in [
        (119, "119 seconds"),
        (120, "2 minutes"),
        (3 * 86_400, "3 days"),
        (63_072_000, "2 years"),
    ] {
        let refused = config(false)
            .validate(after(late), Limits::default())
            .expect_err("too late")
            .to_string();
        assert!(refused.contains(&format!("lies {expected} in the past")), "{refused}");
    }
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
        assert_eq!(planned.next, Some(after(late)));
        let found = due(&timer, after(late), after(late + 1), None, MANY);
        assert_eq!((emitted(&found), found.next), (vec![FIRE_AT.to_owned()], None));
    }
    let strict = config_with_age(100).validate(after(120), Limits::default());
    assert!(
        strict
            .expect_err("older than its max_age")
            .to_string()
            .contains("max_age_seconds (100)")
    );
    assert!(config_with_age(50).validate(after(60), Limits::default()).is_ok());
    assert_eq!(
        plan(&once(json!({})), after(60), Origin::Created, None).next,
        Some(after(60))
    );
    let planned = plan(&once(json!({})), after(61), Origin::Created, None);
    assert_eq!(
        planned,
        Plan {
            gap: Some(gap(FIRE_AT, FIRE_AT, 1, GapReason::PastAtCreation)),
            ..Plan::default()
        }
    );
}

fn config_with_age(max_age: u32) -> TimerConfig {
    let json = json!({"type": "one_shot", "fire_at": FIRE_AT, "allow_past": true, "max_age_seconds": max_age});
    TimerConfig::parse(&json).expect("a configuration")
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
    assert!(edit(after(100), true).is_err());
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
    let due_late = |more: Value, late| due(&once(more), after(0), after(late), None, MANY);
    for misfire in ["catch_up", "latest"] {
        let found = due_late(json!({"misfire": misfire}), 2 * 86_400);
        assert_eq!(
            (found.emit.len(), found.next, found.gap.as_ref(), found.newest()),
            (1, None, None, Some(after(0)))
        );
    }
    let found = due_late(json!({}), 7 * 86_400 + 1);
    assert_eq!(
        (found.emit.len(), found.next, found.gap),
        (0, None, Some(gap(FIRE_AT, FIRE_AT, 1, GapReason::MaxAge)))
    );
    let found = due_late(json!({"misfire": "skip"}), 11);
    assert_eq!(
        (found.emit.len(), found.gap.clone(), found.newest()),
        (0, Some(gap(FIRE_AT, FIRE_AT, 1, GapReason::Skip)), Some(after(0)))
    );
    assert_eq!(due_late(json!({"misfire": "skip"}), 10).emit.len(), 1);
}

#[test]
fn disable_then_enable() {
    let hourly = timer(&json!({"type": "interval", "hours": 1}));
    // Occurrences before the disabling are accounted for; those until the enabling do not count as missed.
    let change = Change {
        at: at("2026-01-01T05:30:00Z"),
        reason: GapReason::Disabled,
    };
    let accounted = due_before_change(
        &hourly,
        at("2026-01-01T03:00:00Z"),
        change,
        at("2026-01-01T09:00:00Z"),
        None,
        MANY,
    );
    assert_eq!(emitted(&accounted), ["2026-01-01T05:00:00Z"]);
    assert_eq!(
        accounted.gap,
        Some(gap(
            "2026-01-01T03:00:00Z",
            "2026-01-01T04:00:00Z",
            2,
            GapReason::Disabled
        ))
    );
    assert_eq!((accounted.next, &accounted.recovery), (None, &None));
    let planned = plan(&hourly, at("2026-01-01T09:00:00Z"), Origin::Enabled, accounted.newest());
    assert_eq!((planned.next, planned.gap), (Some(at("2026-01-01T10:00:00Z")), None));

    assert_eq!(plan(&once(json!({})), after(0), Origin::Enabled, None).next, None);
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
    let first = due_before_change(&timer, at("2026-01-01T00:00:01Z"), change, now, None, 4);
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
    let second = due_before_change(
        &timer,
        at("2026-01-01T00:00:19Z"),
        change,
        now,
        first.recovery.as_ref(),
        4,
    );
    assert_eq!(emitted(&second), ["2026-01-01T00:00:19Z", "2026-01-01T00:00:20Z"]);
    assert_eq!((second.next, &second.recovery), (None, &None));
    let planned = plan(&timer, change.at, Origin::Edited, second.newest());
    assert_eq!(planned.next, Some(at("2026-01-01T00:00:21Z")), "strictly after");
    // A tick that went further than the change (its transaction began earlier) is not repeated.
    let further = Some(at("2026-01-01T00:00:23Z"));
    assert_eq!(
        plan(&timer, change.at, Origin::Edited, further).next,
        Some(at("2026-01-01T00:00:24Z"))
    );
    let nothing = due_before_change(&timer, at("2026-01-01T00:00:24Z"), change, now, None, 4);
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
    let accounted = due_before_change(&timer, fire_at, change, change.at, None, MANY);
    assert_eq!(emitted(&accounted), ["2026-01-01T01:00:00Z"]);
    assert_eq!(
        plan(&timer, change.at, Origin::Edited, accounted.newest()).next,
        Some(at("2026-01-01T02:00:00Z") + TimeDelta::microseconds(timer.offset))
    );
}

#[test]
fn an_edit_replaces_the_old_configuration_completely() {
    let timer = second(json!({"misfire": "skip", "grace_seconds": 0}));
    let (next, now) = (at("2026-01-01T00:00:01Z"), at("2026-01-01T01:00:00Z"));
    let change = |at| Change {
        at,
        reason: GapReason::Edited,
    };
    let accounted = due_before_change(&timer, next, change(at("2026-01-01T00:00:20Z")), now, None, MANY);
    assert_eq!((accounted.emit.len(), accounted.next), (0, None));
    assert_eq!(
        accounted.recovery, None,
        "occurrences missed before an edit are not reported after it"
    );

    // A recovery window that reaches beyond the change ends with it.
    let recovery = due(&timer, next, at("2026-01-01T00:00:40Z"), None, 0).recovery;
    let promised = Recovery {
        until: Some(at("2026-01-01T00:00:40Z")),
        remaining: 40,
        missed: None,
    };
    assert!(recovery.is_some());
    let accounted = due_before_change(
        &timer,
        next,
        change(at("2026-01-01T00:00:20Z")),
        now,
        Some(&promised),
        MANY,
    );
    assert_eq!(accounted.newest(), Some(at("2026-01-01T00:00:20Z")));
}
