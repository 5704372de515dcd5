//! How late an event is, in metrics and health.

use crate::test_sensor::{TestSensor, after, at};
use attune_common::store::Transaction;
use attune_sensor::tick::{self, TickSummary};
use serde_json::json;
use std::time::Duration;

/// How much a busy machine may add.
const ALLOWANCE: Duration = Duration::from_secs(30);

async fn due(sensor: &TestSensor) -> TickSummary {
    let tx = Transaction::begin(sensor.pool()).await.expect("a transaction begins");
    tick::due(tx, None).await.expect("due timers fire")
}

#[tokio::test]
async fn a_timer_created_in_the_past_does_not_count_as_late() {
    let sensor = TestSensor::new().await;
    let past = json!({"type": "one_shot", "fire_at": "2025-12-30T00:00:00Z", "allow_past": true});
    sensor.timer("past", &past).await;
    tick::changed(sensor.pool()).await.expect("changes are applied");
    let summary = due(&sensor).await;
    assert_eq!(summary.events.len(), 1);
    assert!(summary.late.iter().all(|late| *late < ALLOWANCE), "{:?}", summary.late);
    let event = &sensor.events("past").await[0];
    assert_eq!(
        event.payload["late_ms"],
        48 * 3_600_000,
        "its payload reports the lateness"
    );
    let late: i64 = sqlx::query_scalar("select late from timer")
        .fetch_one(sensor.pool())
        .await
        .expect("the timer has a row");
    assert_eq!(late, 0, "it is not counted as late");
    sensor.close().await;
}

#[tokio::test]
async fn lateness_ends_with_the_commit() {
    let sensor = TestSensor::new().await;
    sensor.timer("minute", &json!({"type": "interval", "minutes": 1})).await;
    sensor.fire_due().await;
    sensor.set_clock(at("2026-01-01T00:02:05Z")).await;
    let late = due(&sensor).await.late;
    assert_eq!(late.len(), 2);
    for (late, least) in late.iter().zip([65, 5].map(Duration::from_secs)) {
        assert!(
            *late > least && *late < least + ALLOWANCE,
            "{late:?} is more than {least:?}"
        );
    }
    assert_eq!(sensor.next("minute").await, Some(after(180.0)));
    sensor.close().await;
}
