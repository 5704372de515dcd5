//! `due` against an oracle that lists every occurrence and applies the definition of the policy to the list.

use super::{at, timer};
use crate::timer::{Due, Gap, Timer, due};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::{Value, json};

#[derive(Debug, Clone)]
struct Policy {
    misfire: &'static str,
    grace: i64,
    window: i64,
    max: usize,
    max_age: i64,
    spread: bool,
}

fn policy() -> impl Strategy<Value = Policy> {
    let misfire = prop::sample::select(vec!["catch_up", "latest", "skip"]);
    (misfire, 0..30_i64, 0..2000_i64, 1..60_usize, 1..3000_i64, any::<bool>()).prop_map(
        |(misfire, grace, window, max, max_age, spread)| Policy {
            misfire,
            grace,
            window,
            max,
            max_age,
            spread,
        },
    )
}

/// Schedules with a period of about a second to about ten minutes.
fn schedule() -> impl Strategy<Value = Value> {
    let interval = (1..600_u32, 0..600_i64).prop_map(|(seconds, phase)| {
        let anchor = at("2026-01-01T00:00:00Z") + TimeDelta::milliseconds(phase * 250);
        json!({"type": "interval", "seconds": seconds, "anchor": anchor.to_rfc3339()})
    });
    let expressions = vec![
        "* * * * * *",
        "*/7 * * * *",
        "*/20 3,4,50 * * * *",
        "0 0-59 * * * *",
        "5,35 10-20/5 1-3 * * *",
    ];
    let zones = vec!["UTC", "Europe/Berlin", "Australia/Lord_Howe"];
    let cron = (prop::sample::select(expressions), prop::sample::select(zones))
        .prop_map(|(expression, zone)| json!({"type": "cron", "expression": expression, "timezone": zone}));
    prop_oneof![interval, cron]
}

fn build(mut json: Value, policy: &Policy) -> Timer {
    json["misfire"] = json!(policy.misfire);
    json["grace_seconds"] = json!(policy.grace);
    json["catchup_window_seconds"] = json!(policy.window);
    json["catchup_max"] = json!(policy.max);
    json["max_age_seconds"] = json!(policy.max_age);
    let longest = json["seconds"].as_u64().unwrap_or(0) / 2;
    json["spread_seconds"] = json!(if policy.spread { longest } else { 0 });
    timer(&json)
}

/// Every occurrence from one instant to another, by stepping.
fn list(timer: &Timer, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let before = from - TimeDelta::microseconds(1);
    let next = |at: &DateTime<Utc>| timer.next_after(*at).filter(|next| *next <= to);
    std::iter::successors(next(&before), next).collect()
}

/// Which of the due occurrences fire, according to the design.
fn expected(all: &[DateTime<Utc>], now: DateTime<Utc>, policy: &Policy) -> Vec<DateTime<Utc>> {
    let within = |at: &DateTime<Utc>, seconds: i64| now - *at <= TimeDelta::seconds(seconds);
    let (on_time, late): (Vec<_>, Vec<_>) = all.iter().partition(|at| within(at, policy.grace));
    let newest: Vec<_> = late
        .last()
        .filter(|at| within(at, policy.max_age))
        .into_iter()
        .copied()
        .collect();
    let mut fire = match policy.misfire {
        "latest" if on_time.is_empty() => newest,
        "skip" | "latest" => Vec::new(),
        _ => {
            let allowed = |at: &DateTime<Utc>| within(at, policy.window) && within(at, policy.max_age);
            let inside: Vec<_> = late.into_iter().filter(allowed).collect();
            let kept = inside[inside.len().saturating_sub(policy.max)..].to_vec();
            if kept.is_empty() { newest } else { kept }
        }
    };
    fire.extend(on_time);
    fire
}

/// Calls `due` until nothing is left, like a sensor whose transactions hold `emit_max` events.
fn drain(timer: &Timer, from: DateTime<Utc>, now: DateTime<Utc>, emit_max: u32) -> (Vec<DateTime<Utc>>, Vec<Gap>, Due) {
    let (mut emit, mut gaps) = (Vec::new(), Vec::new());
    let mut answer = due(timer, from, now, None, emit_max);
    loop {
        assert!(
            answer.emit.len() <= emit_max as usize,
            "more than a transaction may hold"
        );
        emit.extend(answer.emit.iter().copied());
        gaps.extend(answer.gap.clone());
        match answer.next.filter(|next| *next <= now) {
            Some(next) => answer = due(timer, next, now, answer.recovery.as_ref(), emit_max),
            None => return (emit, gaps, answer),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_due_occurrence_fires_or_is_counted(
        schedule in schedule(), policy in policy(),
        from in 0..86_400_000_i64, span in 0..2_000_000_i64, emit_max in 1..200_u32,
    ) {
        let timer = build(schedule, &policy);
        let offset = TimeDelta::microseconds(timer.offset);
        let start = at("2026-03-28T12:00:00Z") + TimeDelta::milliseconds(from);
        let first = timer.next_after(start).expect("a schedule without end");
        let now = first + offset + TimeDelta::milliseconds(span);
        let all = list(&timer, first, now - offset);
        let fire = expected(&all, now - offset, &policy);

        let (emit, gaps, last) = drain(&timer, first + offset, now, emit_max);
        prop_assert_eq!(&emit, &fire);
        let missed = &all[..all.len() - fire.len()];
        prop_assert_eq!(gaps.len(), usize::from(!missed.is_empty()));
        for gap in &gaps {
            prop_assert_eq!(gap.missed, missed.len() as u64);
            prop_assert_eq!((Some(&gap.from), Some(&gap.to)), (missed.first(), missed.last()));
        }
        prop_assert_eq!(last.next, timer.next_after(now - offset).map(|next| next + offset));
    }

    #[test]
    fn counting_agrees_with_stepping(schedule in schedule(), from in 0..90_000_000_i64, span in 0..3_000_000_i64) {
        let timer = timer(&schedule);
        let from = at("2026-10-24T12:00:00Z") + TimeDelta::milliseconds(from);
        let to = from + TimeDelta::milliseconds(span);
        let all = list(&timer, from, to);
        prop_assert_eq!(timer.count(from - TimeDelta::microseconds(1), to), all.len() as u64);
        let (a, b) = (from.timestamp_micros(), to.timestamp_micros() + 1);
        prop_assert_eq!(timer.last(a, b), all.last().map(DateTime::timestamp_micros));
        for n in [1, 2, 7, all.len()] {
            let begin = timer.nth_newest(n as u64, a, b).and_then(|begin| timer.first(begin));
            let nth = if n == 0 { None } else { all.len().checked_sub(n).map(|index| all[index].timestamp_micros()) };
            prop_assert_eq!(begin, nth);
        }
    }
}
