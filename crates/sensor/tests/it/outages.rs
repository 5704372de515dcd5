//! The only sensor was down: events and gaps exactly as the policy defines.

use super::test_sensor::{TestSensor, after, at, gap, start};
use serde_json::{Value, json};

const HOUR: f64 = 3600.0;
const DAY: f64 = 24.0 * HOUR;

/// How many of a one-second timer's occurrences fire after an outage, and how many are counted as missed.
async fn check(sensor: &TestSensor, policy: &str, seconds: f64, fired: usize, missed: i64, reason: &str) {
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds")]
    let name = format!("{policy}_{}", seconds as i64);
    sensor.set_clock(start()).await;
    sensor
        .timer(&name, &json!({"type": "interval", "seconds": 1, "misfire": policy}))
        .await;
    sensor.fire_due().await;
    assert_eq!(sensor.fire_due_at(after(1.5)).await, 1, "{name}: one before the outage");

    let back = sensor.fire_due_at(after(1.5 + seconds)).await;
    assert_eq!(back, fired, "{name}: events");
    let gaps = sensor.gaps(&name).await;
    if missed == 0 {
        assert_eq!(gaps, [], "{name}");
    } else {
        #[expect(clippy::cast_precision_loss, reason = "days in seconds")]
        let end = after(1.0 + missed as f64);
        assert_eq!(gaps, [gap(after(2.0), end, missed, reason)], "{name}");
    }
    assert_missed_is_reported(sensor, &name, missed).await;
    assert_eq!(sensor.fire_due().await, 0, "{name}: a second tick finds nothing");
    assert_eq!(
        sensor.next(&name).await,
        Some(after(2.0 + seconds)),
        "{name}: the grid has not moved"
    );
    let (_, _, all_fired, all_missed) = sensor.row(&name).await;
    assert_eq!(
        (all_fired, all_missed),
        (i64::try_from(fired).expect("small") + 1, missed),
        "{name}: the ledger"
    );
    sensor.enable(&name, false).await;
    sensor.fire_due().await;
}

/// The first event after the outage reports how many were missed, and since when; no other event does.
async fn assert_missed_is_reported(sensor: &TestSensor, name: &str, missed: i64) {
    let events = sensor.events(name).await;
    let reported: Vec<&Value> = events[1..].iter().map(|event| &event.payload["missed_count"]).collect();
    let first = if missed == 0 { Value::Null } else { json!(missed) };
    assert_eq!(reported[0], &first, "{name}");
    assert!(
        reported[1..].iter().all(|count| count.is_null()),
        "{name}: only the first reports it"
    );
}

#[tokio::test]
async fn catch_up() {
    let sensor = TestSensor::new().await;
    let check =
        async |seconds, fired, missed| check(&sensor, "catch_up", seconds, fired, missed, "catchup_window").await;
    check(5.0, 5, 0).await;
    check(60.0, 60, 0).await;
    check(HOUR, 60, 3_540).await;
    check(3.0 * HOUR, 60, 10_740).await;
    check(2.0 * DAY, 60, 172_740).await;
    sensor.close().await;
}

#[tokio::test]
async fn latest_and_skip() {
    let sensor = TestSensor::new().await;
    for policy in ["latest", "skip"] {
        let check = async |seconds, fired, missed| check(&sensor, policy, seconds, fired, missed, policy).await;
        check(5.0, 5, 0).await;
        check(60.0, 10, 50).await;
        check(HOUR, 10, 3_590).await;
        check(3.0 * HOUR, 10, 10_790).await;
        check(2.0 * DAY, 10, 172_790).await;
    }
    sensor.close().await;
}

#[tokio::test]
async fn a_daily_job() {
    let sensor = TestSensor::new().await;
    for policy in ["catch_up", "latest", "skip"] {
        let config = json!({"type": "cron", "expression": "0 1 * * *", "misfire": policy});
        sensor.timer(policy, &config).await;
    }
    sensor.fire_due().await;
    // Down for three hours that include the job: it runs once, late, and nothing is missed.
    sensor.fire_due_at(at("2026-01-01T03:00:00Z")).await;
    for policy in ["catch_up", "latest"] {
        let events = sensor.events(policy).await;
        assert_eq!(sensor.scheduled(policy).await, [at("2026-01-01T01:00:00Z")], "{policy}");
        assert_eq!(events[0].payload["late_ms"], 2 * 3600 * 1000);
        assert_eq!(
            (&events[0].payload["missed_count"], sensor.gaps(policy).await.len()),
            (&Value::Null, 0)
        );
    }
    assert_eq!(sensor.scheduled("skip").await.len(), 0);
    let first = at("2026-01-01T01:00:00Z");
    assert_eq!(sensor.gaps("skip").await, [gap(first, first, 1, "skip")]);

    // Down for two days: the newest of the two fires, unless it is skipped.
    sensor.fire_due_at(at("2026-01-03T03:00:00Z")).await;
    let (second, third) = (at("2026-01-02T01:00:00Z"), at("2026-01-03T01:00:00Z"));
    for (policy, reason) in [("catch_up", "catchup_window"), ("latest", "latest")] {
        assert_eq!(sensor.scheduled(policy).await, [first, third], "{policy}");
        assert_eq!(sensor.gaps(policy).await, [gap(second, second, 1, reason)], "{policy}");
    }
    assert_eq!(sensor.gaps("skip").await[1..], [gap(second, third, 2, "skip")]);
    sensor.close().await;
}

#[tokio::test]
async fn a_one_shot() {
    let sensor = TestSensor::new().await;
    let config = |more: Value| {
        let mut config = json!({"type": "one_shot", "fire_at": "2026-01-01T01:00:00Z"});
        let fields = config.as_object_mut().expect("an object");
        fields.extend(more.as_object().cloned().unwrap_or_default());
        config
    };
    sensor.timer("plain", &config(json!({}))).await;
    sensor.timer("skip", &config(json!({"misfire": "skip"}))).await;
    sensor.timer("old", &config(json!({"max_age_seconds": 3600}))).await;
    sensor.fire_due().await;
    sensor.fire_due_at(at("2026-01-01T04:00:00Z")).await;
    let fire_at = at("2026-01-01T01:00:00Z");
    assert_eq!(sensor.scheduled("plain").await, [fire_at], "it fires on recovery");
    assert_eq!(sensor.events("plain").await[0].payload["late_ms"], 3 * 3600 * 1000);
    for (name, reason) in [("skip", "skip"), ("old", "max_age")] {
        assert_eq!(sensor.scheduled(name).await.len(), 0, "{name}");
        assert_eq!(sensor.gaps(name).await, [gap(fire_at, fire_at, 1, reason)], "{name}");
    }
    for name in ["plain", "skip", "old"] {
        assert_eq!(sensor.next(name).await, None, "{name} is spent");
    }
    assert_eq!(
        sensor.fire_due_at(at("2027-01-01T00:00:00Z")).await,
        0,
        "spent is spent"
    );
    sensor.close().await;
}

#[tokio::test]
async fn occurrences_older_than_the_retention_never_fire() {
    let sensor = TestSensor::new().await;
    let mondays = |max_age: Value| json!({"type": "cron", "expression": "0 1 * * 1", "max_age_seconds": max_age});
    sensor.timer("default", &mondays(Value::Null)).await;
    sensor.timer("longer", &mondays(json!(604_800))).await;
    sensor.fire_due().await;
    sensor
        .database
        .execute("update partitioned_table set keep_days = 1 where name = 'event'")
        .await;
    // Up after two days, and a week later after one.
    sensor.fire_due_at(at("2026-01-07T03:00:00Z")).await;
    sensor.fire_due_at(at("2026-01-13T00:59:59Z")).await;
    let (too_old, young) = (at("2026-01-05T01:00:00Z"), at("2026-01-12T01:00:00Z"));
    for name in ["default", "longer"] {
        assert_eq!(sensor.gaps(name).await, [gap(too_old, too_old, 1, "max_age")], "{name}");
        assert_eq!(sensor.scheduled(name).await, [young], "{name}");
    }
    sensor.close().await;
}

#[tokio::test]
async fn more_events_than_fit_into_one_transaction() {
    let sensor = TestSensor::new().await;
    let config = json!({"type": "interval", "seconds": 1, "catchup_max": 10_000, "catchup_window_seconds": 86_400});
    sensor.timer("many", &config).await;
    sensor.fire_due().await;
    assert_eq!(
        sensor.fire_due_at(after(7_200.5)).await,
        7_200,
        "all of two hours, in parts"
    );
    let scheduled = sensor.scheduled("many").await;
    assert_eq!((scheduled[0], scheduled[7_199]), (after(1.0), after(7_200.0)));
    assert_eq!(sensor.gaps("many").await, []);
    sensor.close().await;
}

#[tokio::test]
async fn a_clock_that_goes_back() {
    let sensor = TestSensor::new().await;
    sensor.timer("second", &json!({"type": "interval", "seconds": 1})).await;
    sensor.fire_due().await;
    assert_eq!(sensor.fire_due_at(after(3.0)).await, 3);
    assert_eq!(
        sensor.fire_due_at(after(-3600.0)).await,
        0,
        "nothing fires a second time"
    );
    assert_eq!(sensor.fire_due_at(after(3.5)).await, 0);
    assert_eq!(sensor.fire_due_at(after(4.0)).await, 1, "it continues from there");
    sensor.close().await;
}

#[tokio::test]
async fn a_clock_that_goes_forward() {
    let sensor = TestSensor::new().await;
    for policy in ["catch_up", "latest", "skip"] {
        let config = json!({"type": "interval", "minutes": 1, "misfire": policy});
        sensor.timer(policy, &config).await;
    }
    sensor.fire_due().await;
    // Set forward by an hour: the occurrences in between are late, and the policy decides about them.
    sensor.fire_due_at(after(3_630.0)).await;
    for (policy, fired) in [("catch_up", 10), ("latest", 1), ("skip", 0)] {
        let missed: i64 = sensor.gaps(policy).await.iter().map(|gap| gap.missed).sum();
        let scheduled = sensor.scheduled(policy).await;
        assert_eq!(
            (scheduled.len(), missed),
            (fired, 60 - i64::try_from(fired).expect("few")),
            "{policy}"
        );
        assert!(scheduled.last().is_none_or(|last| *last == after(3_600.0)), "{policy}");
        assert_eq!(sensor.next(policy).await, Some(after(3_660.0)), "{policy}");
    }
    sensor.close().await;
}
