//! Definitions changed by SQL: effective at the next tick, never retroactive, and no other timer is affected.

use super::test_sensor::{TestSensor, after, at, gap};
use serde_json::json;

#[tokio::test]
async fn occurrences_before_an_edit_follow_the_old_schedule() {
    let sensor = TestSensor::new().await;
    for name in ["edited", "other"] {
        sensor.timer(name, &json!({"type": "interval", "seconds": 10})).await;
    }
    sensor.fire_due().await;
    // Three occurrences are due at the time of the edit. The sensor ticks only afterwards.
    sensor.set_clock(after(35.0)).await;
    sensor.edit("edited", &json!({"type": "interval", "seconds": 7})).await;
    sensor.set_clock(after(36.0)).await;
    sensor.fire_due().await;
    assert_eq!(
        sensor.scheduled("edited").await,
        [10.0, 20.0, 30.0].map(after),
        "by the old one, up to the edit"
    );
    // The grid of seven seconds begins in 1970.
    let next = sensor.next("edited").await.expect("it is armed");
    assert!(
        next > after(35.0) && next.timestamp() % 7 == 0,
        "strictly after the edit: {next}"
    );
    assert_eq!(sensor.next("other").await, Some(after(40.0)), "no other timer moves");
    sensor.fire_due_at(after(60.0)).await;
    assert_eq!(sensor.scheduled("other").await.len(), 6);
    sensor.close().await;
}

#[tokio::test]
async fn occurrences_that_the_old_policy_refuses_count_as_missed() {
    let sensor = TestSensor::new().await;
    sensor
        .timer("skip", &json!({"type": "interval", "seconds": 1, "misfire": "skip"}))
        .await;
    sensor.fire_due().await;
    sensor.set_clock(after(100.5)).await;
    sensor.edit("skip", &json!({"type": "interval", "hours": 1})).await;
    sensor.fire_due_at(after(101.5)).await;
    // Within the grace of 10 s at the tick: from 92 on.
    assert_eq!(sensor.gaps("skip").await, [gap(after(1.0), after(91.0), 91, "edited")]);
    assert_eq!(sensor.scheduled("skip").await.first(), Some(&after(92.0)));
    assert_eq!(sensor.scheduled("skip").await.last(), Some(&after(100.0)));
    assert_eq!(sensor.next("skip").await, Some(after(3600.0)));
    sensor.close().await;
}

#[tokio::test]
async fn disabled_time_is_not_missed() {
    let sensor = TestSensor::new().await;
    sensor
        .timer("switched", &json!({"type": "interval", "seconds": 1}))
        .await;
    sensor.fire_due().await;
    sensor.fire_due_at(after(2.0)).await;
    sensor.enable("switched", false).await;
    sensor.fire_due().await;
    assert_eq!(sensor.next("switched").await, None);
    assert_eq!(sensor.fire_due_at(after(1000.0)).await, 0);
    sensor.set_clock(after(1000.5)).await;
    sensor.enable("switched", true).await;
    assert_eq!(sensor.fire_due().await, 0);
    assert_eq!(sensor.fire_due_at(after(1002.0)).await, 2);
    assert_eq!(
        sensor.scheduled("switched").await,
        [1.0, 2.0, 1001.0, 1002.0].map(after)
    );
    assert_eq!(sensor.gaps("switched").await, []);
    sensor.close().await;
}

#[tokio::test]
async fn disabling_a_pack_disables_its_timers() {
    let sensor = TestSensor::new().await;
    sensor.timer("second", &json!({"type": "interval", "seconds": 1})).await;
    sensor.fire_due().await;
    sensor.fire_due_at(after(1.0)).await;
    sensor
        .database
        .execute("update pack set enabled = false where ref = 'test'")
        .await;
    sensor.fire_due().await;
    assert_eq!(
        (sensor.next("second").await, sensor.fire_due_at(after(60.0)).await),
        (None, 0)
    );
    sensor
        .database
        .execute("update pack set enabled = true where ref = 'test'")
        .await;
    sensor.fire_due().await;
    assert_eq!(sensor.fire_due_at(after(61.0)).await, 1);
    sensor.close().await;
}

#[tokio::test]
async fn an_update_without_a_change_changes_nothing() {
    let sensor = TestSensor::new().await;
    let config = json!({"type": "interval", "seconds": 10});
    sensor.timer("same", &config).await;
    sensor.fire_due().await;
    sensor.set_clock(after(25.0)).await;
    sensor.edit("same", &config).await;
    sensor
        .database
        .execute("update trigger set label = 'Another name' where ref = 'test.same'")
        .await;
    assert_eq!(sensor.fire_due().await, 2);
    let spans: i64 = sqlx::query_scalar("select count(*) from timer_span")
        .fetch_one(sensor.pool())
        .await
        .expect("spans can be counted");
    assert_eq!((spans, sensor.next("same").await), (1, Some(after(30.0))));
    sensor.close().await;
}

#[tokio::test]
async fn one_shots_inserted_by_sql() {
    let sensor = TestSensor::new().await;
    let one_shot = |fire_at: &str| json!({"type": "one_shot", "fire_at": fire_at});
    sensor.timer("long_ago", &one_shot("2025-12-31T12:00:00Z")).await;
    sensor.timer("just_now", &one_shot("2025-12-31T23:59:30Z")).await;
    sensor.timer("to_come", &one_shot("2026-01-01T00:00:30Z")).await;
    sensor.fire_due().await;
    let past = at("2025-12-31T12:00:00Z");
    assert_eq!(sensor.gaps("long_ago").await, [gap(past, past, 1, "past_at_creation")]);
    assert_eq!(
        sensor.scheduled("just_now").await,
        [after(-30.0)],
        "a little late is in time"
    );
    sensor.fire_due_at(after(31.0)).await;
    assert_eq!(sensor.scheduled("to_come").await, [after(30.0)]);

    // Spent: the same instant again changes nothing, another in the future arms it again.
    sensor
        .edit(
            "to_come",
            &json!({"type": "one_shot", "fire_at": "2026-01-01T00:00:30Z", "grace_seconds": 5}),
        )
        .await;
    assert_eq!((sensor.fire_due().await, sensor.next("to_come").await), (0, None));
    sensor.edit("to_come", &one_shot("2026-01-01T00:01:00Z")).await;
    sensor.fire_due().await;
    sensor.fire_due_at(after(60.0)).await;
    assert_eq!(sensor.scheduled("to_come").await, [after(30.0), after(60.0)]);
    sensor.close().await;
}

#[tokio::test]
async fn a_broken_configuration_affects_no_other_timer() {
    let sensor = TestSensor::new().await;
    for name in ["broken", "broken_later", "good"] {
        sensor.timer(name, &json!({"type": "interval", "seconds": 1})).await;
    }
    sensor.edit("broken", &json!({"type": "interval", "seconds": -1})).await;
    sensor.fire_due().await;
    let (next, error, ..) = sensor.row("broken").await;
    assert!(
        next.is_none() && error.is_some_and(|error| error.contains("seconds")),
        "the error is stored"
    );
    sensor.fire_due_at(after(1.0)).await;
    sensor
        .edit("broken_later", &json!({"type": "cron", "expression": "61 * * * *"}))
        .await;
    sensor.fire_due_at(after(3.0)).await;
    let (next, error, fired, _) = sensor.row("broken_later").await;
    assert_eq!((next, fired), (None, 1));
    assert!(error.is_some_and(|error| error.contains("expression")));
    assert_eq!(sensor.scheduled("good").await.len(), 3);

    sensor.edit("broken", &json!({"type": "interval", "seconds": 1})).await;
    sensor.fire_due().await;
    assert_eq!(sensor.row("broken").await.1, None, "it continues after the fix");
    sensor.fire_due_at(after(4.0)).await;
    assert_eq!(sensor.scheduled("broken").await, [after(4.0)]);
    sensor.close().await;
}

#[tokio::test]
async fn a_deleted_trigger_removes_its_timer() {
    let sensor = TestSensor::new().await;
    for name in ["deleted", "no_timer", "stays"] {
        sensor.timer(name, &json!({"type": "interval", "seconds": 1})).await;
    }
    sensor.fire_due().await;
    sensor.fire_due_at(after(1.0)).await;
    sensor.set_clock(after(2.5)).await;
    sensor.database
        .execute("delete from trigger where ref = 'test.deleted'; update trigger set kind = 'custom' where ref = 'test.no_timer'")
        .await;
    sensor.fire_due_at(after(10.0)).await;
    assert_eq!(sensor.scheduled("deleted").await, [after(1.0)]);
    assert_eq!(
        sensor.scheduled("no_timer").await,
        [after(1.0), after(2.0)],
        "what was due before fires"
    );
    assert_eq!(sensor.scheduled("stays").await.len(), 10);
    sensor.close().await;
}

#[tokio::test]
async fn zones_and_their_clock_changes() {
    let sensor = TestSensor::new().await;
    sensor.set_clock(at("2027-03-27T12:00:00Z")).await;
    let cron = |expression: &str, zone: &str| json!({"type": "cron", "expression": expression, "timezone": zone});
    sensor.timer("gap", &cron("30 2 * * *", "Europe/Berlin")).await;
    sensor.timer("half_hours", &cron("*/30 * * * *", "Europe/Berlin")).await;
    sensor.fire_due().await;
    // 02:00 to 03:00 does not exist on 28 March: a fixed time runs right after, a step has nothing there.
    sensor.fire_due_at(at("2027-03-28T01:00:00Z")).await;
    let gap = sensor.events("gap").await;
    assert_eq!(gap.len(), 1);
    assert_eq!(gap[0].scheduled_at, at("2027-03-28T01:00:00Z"));
    assert_eq!(gap[0].payload["local_time"], "2027-03-28T03:00:00+02:00");
    let steps = sensor.scheduled("half_hours").await;
    assert_eq!(steps.last(), Some(&at("2027-03-28T01:00:00Z")));
    assert_eq!(
        sensor.next("gap").await,
        Some(at("2027-03-29T00:30:00Z")),
        "the next day at 02:30"
    );

    let second_sensor = TestSensor::new().await;
    second_sensor.set_clock(at("2026-10-24T22:00:00Z")).await;
    second_sensor
        .timer("overlap", &cron("30 2 * * *", "Europe/Berlin"))
        .await;
    second_sensor.fire_due().await;
    second_sensor.fire_due_at(at("2026-10-25T03:00:00Z")).await;
    // 02:30 comes twice on 25 October: the first pass counts.
    assert_eq!(second_sensor.scheduled("overlap").await, [at("2026-10-25T00:30:00Z")]);
    sensor.close().await;
    second_sensor.close().await;
}

#[tokio::test]
async fn a_stopped_timer_fires_what_is_due_and_continues_when_started() {
    let sensor = TestSensor::new().await;
    sensor
        .timer("stopped", &json!({"type": "interval", "seconds": 1}))
        .await;
    sensor.fire_due().await;
    let id = attune_domain::TriggerId(
        sqlx::query_scalar("select id from trigger where ref = 'test.stopped'")
            .fetch_one(sensor.pool())
            .await
            .expect("the trigger is there"),
    );
    sensor.set_clock(after(2.5)).await;
    assert!(sensor.timers().stop_timer(id).await.expect("the timer stops"));
    sensor.fire_due_at(after(3.5)).await;
    assert_eq!(sensor.scheduled("stopped").await, [1.0, 2.0].map(after));
    assert_eq!(sensor.next("stopped").await, None);
    let count = sensor.timers().timer_count().await.expect("timers are counted");
    assert_eq!((count.active, count.disabled), (0, 1));
    assert!(!sensor.timers().stop_timer(id).await.expect("the call succeeds"));
    sensor.set_clock(after(10.5)).await;
    assert!(sensor.timers().start_timer(id).await.expect("the timer starts"));
    sensor.fire_due().await;
    sensor.fire_due_at(after(11.0)).await;
    assert_eq!(sensor.scheduled("stopped").await, [1.0, 2.0, 11.0].map(after));
    // A stop lasts until the next change of the trigger.
    assert!(sensor.timers().stop_timer(id).await.expect("the timer stops"));
    sensor.fire_due().await;
    sensor.edit("stopped", &json!({"type": "interval", "seconds": 5})).await;
    sensor.fire_due_at(after(15.0)).await;
    assert_eq!(sensor.scheduled("stopped").await.last(), Some(&after(15.0)));
    assert_eq!(sensor.gaps("stopped").await, []);
    sensor.close().await;
}
