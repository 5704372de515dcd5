//! How late an event is, as metrics and health tell it.

use crate::support::{Room, after, at};
use attune_common::store::Transaction;
use attune_sensor::tick::{self, Ticked};
use serde_json::json;
use std::time::Duration;

/// What a busy machine may add.
const ALLOWANCE: Duration = Duration::from_secs(30);

async fn due(room: &Room) -> Ticked {
    let tx = Transaction::begin(room.pool()).await.expect("a transaction begins");
    tick::due(tx).await.expect("what is due is settled")
}

#[tokio::test]
async fn what_was_made_in_the_past_is_not_late_by_that() {
    let room = Room::new().await;
    let past = json!({"type": "one_shot", "fire_at": "2025-12-30T00:00:00Z", "allow_past": true});
    room.timer("past", &past).await;
    tick::changed(room.pool()).await.expect("it is planned");
    let ticked = due(&room).await;
    assert_eq!(ticked.events.len(), 1);
    assert!(ticked.late.iter().all(|late| *late < ALLOWANCE), "{:?}", ticked.late);
    let event = &room.events("past").await[0];
    assert_eq!(event.payload["late_ms"], 48 * 3_600_000, "the event itself says it");
    let late: i64 = sqlx::query_scalar("select late from timer")
        .fetch_one(room.pool())
        .await
        .expect("the timer has a row");
    assert_eq!(late, 0, "it is not counted as late");
    room.close().await;
}

#[tokio::test]
async fn lateness_ends_with_the_commit() {
    let room = Room::new().await;
    room.timer("minute", &json!({"type": "interval", "minutes": 1})).await;
    room.look().await;
    room.set_clock(at("2026-01-01T00:02:05Z")).await;
    let late = due(&room).await.late;
    assert_eq!(late.len(), 2);
    for (late, least) in late.iter().zip([65, 5].map(Duration::from_secs)) {
        assert!(
            *late > least && *late < least + ALLOWANCE,
            "{late:?} is more than {least:?}"
        );
    }
    assert_eq!(room.next("minute").await, Some(after(180.0)));
    room.close().await;
}
