//! Definitions that change by SQL: live at the next look, never retroactive, and no other timer is touched.

use super::support::{Room, after, at, gap};
use attune_common::store::timer;
use serde_json::json;

#[tokio::test]
async fn an_edit_is_settled_by_the_old_schedule_first() {
    let room = Room::new().await;
    for name in ["edited", "other"] {
        room.timer(name, &json!({"type": "interval", "seconds": 10})).await;
    }
    room.look().await;
    // Three occurrences are due when the edit comes; the sensor looks only afterwards.
    room.set_clock(after(35.0)).await;
    room.edit("edited", &json!({"type": "interval", "seconds": 7})).await;
    room.set_clock(after(36.0)).await;
    room.look().await;
    assert_eq!(
        room.scheduled("edited").await,
        [10.0, 20.0, 30.0].map(after),
        "by the old one, up to the edit"
    );
    // The grid of seven seconds begins in 1970.
    let next = room.next("edited").await.expect("it is armed");
    assert!(
        next > after(35.0) && next.timestamp() % 7 == 0,
        "strictly after the edit: {next}"
    );
    assert_eq!(room.next("other").await, Some(after(40.0)), "no other timer moves");
    room.look_at(after(60.0)).await;
    assert_eq!(room.scheduled("other").await.len(), 6);
    room.close().await;
}

#[tokio::test]
async fn an_edit_counts_what_the_old_policy_no_longer_wants() {
    let room = Room::new().await;
    room.timer("skip", &json!({"type": "interval", "seconds": 1, "misfire": "skip"}))
        .await;
    room.look().await;
    room.set_clock(after(100.5)).await;
    room.edit("skip", &json!({"type": "interval", "hours": 1})).await;
    room.look_at(after(101.5)).await;
    // Within 10 s of grace at the look: from 92 on.
    assert_eq!(room.gaps("skip").await, [gap(after(1.0), after(91.0), 91, "edited")]);
    assert_eq!(room.scheduled("skip").await.first(), Some(&after(92.0)));
    assert_eq!(room.scheduled("skip").await.last(), Some(&after(100.0)));
    assert_eq!(room.next("skip").await, Some(after(3600.0)));
    room.close().await;
}

#[tokio::test]
async fn disabled_time_is_not_missed() {
    let room = Room::new().await;
    room.timer("switched", &json!({"type": "interval", "seconds": 1})).await;
    room.look().await;
    room.look_at(after(2.0)).await;
    room.enable("switched", false).await;
    room.look().await;
    assert_eq!(room.next("switched").await, None);
    assert_eq!(room.look_at(after(1000.0)).await, 0);
    room.set_clock(after(1000.5)).await;
    room.enable("switched", true).await;
    assert_eq!(room.look().await, 0);
    assert_eq!(room.look_at(after(1002.0)).await, 2);
    assert_eq!(room.scheduled("switched").await, [1.0, 2.0, 1001.0, 1002.0].map(after));
    assert_eq!(room.gaps("switched").await, []);
    room.close().await;
}

#[tokio::test]
async fn a_pack_switches_its_timers() {
    let room = Room::new().await;
    room.timer("second", &json!({"type": "interval", "seconds": 1})).await;
    room.look().await;
    room.look_at(after(1.0)).await;
    room.database
        .execute("update pack set enabled = false where ref = 'test'")
        .await;
    room.look().await;
    assert_eq!((room.next("second").await, room.look_at(after(60.0)).await), (None, 0));
    room.database
        .execute("update pack set enabled = true where ref = 'test'")
        .await;
    room.look().await;
    assert_eq!(room.look_at(after(61.0)).await, 1);
    room.close().await;
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    let room = Room::new().await;
    let config = json!({"type": "interval", "seconds": 10});
    room.timer("same", &config).await;
    room.look().await;
    room.set_clock(after(25.0)).await;
    room.edit("same", &config).await;
    room.database
        .execute("update trigger set label = 'Another name' where ref = 'test.same'")
        .await;
    assert_eq!(room.look().await, 2);
    let spans: i64 = sqlx::query_scalar("select count(*) from timer_span")
        .fetch_one(room.pool())
        .await
        .expect("spans can be counted");
    assert_eq!((spans, room.next("same").await), (1, Some(after(30.0))));
    room.close().await;
}

#[tokio::test]
async fn one_shots_put_in_by_sql() {
    let room = Room::new().await;
    let one_shot = |fire_at: &str| json!({"type": "one_shot", "fire_at": fire_at});
    room.timer("long_ago", &one_shot("2025-12-31T12:00:00Z")).await;
    room.timer("just_now", &one_shot("2025-12-31T23:59:30Z")).await;
    room.timer("to_come", &one_shot("2026-01-01T00:00:30Z")).await;
    room.look().await;
    let past = at("2025-12-31T12:00:00Z");
    assert_eq!(room.gaps("long_ago").await, [gap(past, past, 1, "past_at_creation")]);
    assert_eq!(
        room.scheduled("just_now").await,
        [after(-30.0)],
        "a little late is in time"
    );
    room.look_at(after(31.0)).await;
    assert_eq!(room.scheduled("to_come").await, [after(30.0)]);

    // Spent: the same instant again changes nothing, another in the future arms it again.
    room.edit(
        "to_come",
        &json!({"type": "one_shot", "fire_at": "2026-01-01T00:00:30Z", "grace_seconds": 5}),
    )
    .await;
    assert_eq!((room.look().await, room.next("to_come").await), (0, None));
    room.edit("to_come", &one_shot("2026-01-01T00:01:00Z")).await;
    room.look().await;
    room.look_at(after(60.0)).await;
    assert_eq!(room.scheduled("to_come").await, [after(30.0), after(60.0)]);
    room.close().await;
}

#[tokio::test]
async fn a_broken_configuration_disturbs_no_other() {
    let room = Room::new().await;
    for name in ["broken", "broken_later", "good"] {
        room.timer(name, &json!({"type": "interval", "seconds": 1})).await;
    }
    room.edit("broken", &json!({"type": "interval", "seconds": -1})).await;
    room.look().await;
    let (next, error, ..) = room.row("broken").await;
    assert!(
        next.is_none() && error.is_some_and(|error| error.contains("seconds")),
        "it says what is wrong"
    );
    room.look_at(after(1.0)).await;
    room.edit("broken_later", &json!({"type": "cron", "expression": "61 * * * *"}))
        .await;
    room.look_at(after(3.0)).await;
    let (next, error, fired, _) = room.row("broken_later").await;
    assert_eq!((next, fired), (None, 1));
    assert!(error.is_some_and(|error| error.contains("expression")));
    assert_eq!(room.scheduled("good").await.len(), 3);

    room.edit("broken", &json!({"type": "interval", "seconds": 1})).await;
    room.look().await;
    assert_eq!(room.row("broken").await.1, None, "mended, it goes on");
    room.look_at(after(4.0)).await;
    assert_eq!(room.scheduled("broken").await, [after(4.0)]);
    room.close().await;
}

#[tokio::test]
async fn a_trigger_that_goes_takes_its_timer_along() {
    let room = Room::new().await;
    for name in ["deleted", "no_timer", "stays"] {
        room.timer(name, &json!({"type": "interval", "seconds": 1})).await;
    }
    room.look().await;
    room.look_at(after(1.0)).await;
    room.set_clock(after(2.5)).await;
    room.database
        .execute("delete from trigger where ref = 'test.deleted'; update trigger set kind = 'custom' where ref = 'test.no_timer'")
        .await;
    room.look_at(after(10.0)).await;
    assert_eq!(room.scheduled("deleted").await, [after(1.0)]);
    assert_eq!(
        room.scheduled("no_timer").await,
        [after(1.0), after(2.0)],
        "what was due before is settled"
    );
    assert_eq!(room.scheduled("stays").await.len(), 10);
    room.close().await;
}

#[tokio::test]
async fn zones_and_their_clock_changes() {
    let room = Room::new().await;
    room.set_clock(at("2027-03-27T12:00:00Z")).await;
    let cron = |expression: &str, zone: &str| json!({"type": "cron", "expression": expression, "timezone": zone});
    room.timer("gap", &cron("30 2 * * *", "Europe/Berlin")).await;
    room.timer("half_hours", &cron("*/30 * * * *", "Europe/Berlin")).await;
    room.look().await;
    // 02:00 to 03:00 does not exist on 28 March: a fixed time runs right after, a step has nothing there.
    room.look_at(at("2027-03-28T01:00:00Z")).await;
    let gap = room.events("gap").await;
    assert_eq!(gap.len(), 1);
    assert_eq!(gap[0].scheduled_at, at("2027-03-28T01:00:00Z"));
    assert_eq!(gap[0].payload["local_time"], "2027-03-28T03:00:00+02:00");
    let steps = room.scheduled("half_hours").await;
    assert_eq!(steps.last(), Some(&at("2027-03-28T01:00:00Z")));
    assert_eq!(
        room.next("gap").await,
        Some(at("2027-03-29T00:30:00Z")),
        "the next day at 02:30"
    );

    let room_two = Room::new().await;
    room_two.set_clock(at("2026-10-24T22:00:00Z")).await;
    room_two.timer("overlap", &cron("30 2 * * *", "Europe/Berlin")).await;
    room_two.look().await;
    room_two.look_at(at("2026-10-25T03:00:00Z")).await;
    // 02:30 comes twice on 25 October: the first pass counts.
    assert_eq!(room_two.scheduled("overlap").await, [at("2026-10-25T00:30:00Z")]);
    room.close().await;
    room_two.close().await;
}

#[tokio::test]
async fn a_stopped_timer_settles_what_is_due_and_goes_on_when_it_is_started() {
    let room = Room::new().await;
    room.timer("stopped", &json!({"type": "interval", "seconds": 1})).await;
    room.look().await;
    let id = attune_domain::TriggerId(
        sqlx::query_scalar("select id from trigger where ref = 'test.stopped'")
            .fetch_one(room.pool())
            .await
            .expect("the trigger is there"),
    );
    room.set_clock(after(2.5)).await;
    assert!(timer::disarm(room.pool(), id).await.expect("it can be stopped"));
    room.look_at(after(3.5)).await;
    assert_eq!(room.scheduled("stopped").await, [1.0, 2.0].map(after));
    assert_eq!(room.next("stopped").await, None);
    assert!(!timer::disarm(room.pool(), id).await.expect("it is stopped already"));
    room.set_clock(after(10.5)).await;
    assert!(timer::arm(room.pool(), id).await.expect("it can be started"));
    room.look().await;
    room.look_at(after(11.0)).await;
    assert_eq!(room.scheduled("stopped").await, [1.0, 2.0, 11.0].map(after));
    // A stop lasts until the next change of the trigger.
    assert!(timer::disarm(room.pool(), id).await.expect("it can be stopped"));
    room.look().await;
    room.edit("stopped", &json!({"type": "interval", "seconds": 5})).await;
    room.look_at(after(15.0)).await;
    assert_eq!(room.scheduled("stopped").await.last(), Some(&after(15.0)));
    assert_eq!(room.gaps("stopped").await, []);
    room.close().await;
}
