//! Several changes while no sensor ran: each span follows what was in force in it, as if a sensor had looked all the time.

use super::support::{Gap, Room, after, gap};
use attune_common::store::timer;
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

fn every(seconds: u32) -> Value {
    json!({"type": "interval", "seconds": seconds})
}

impl Room {
    /// What became an event or was counted as missed, in order.
    async fn accounted(&self, name: &str) -> Vec<DateTime<Utc>> {
        let mut all = self.scheduled(name).await;
        for Gap { from, to, missed, .. } in self.gaps(name).await {
            let step = if missed > 1 {
                (to - from) / i32::try_from(missed - 1).expect("few")
            } else {
                to - from
            };
            all.extend((0..i32::try_from(missed).expect("few")).map(|index| from + step * index));
        }
        all.sort_unstable();
        all
    }

    async fn id(&self, name: &str) -> TriggerId {
        let id = sqlx::query_scalar("select id from trigger where ref = 'test.' || $1").bind(name);
        TriggerId(id.fetch_one(self.pool()).await.expect("the trigger is there"))
    }

    async fn count(&self, table: &'static str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql)
            .fetch_one(self.pool())
            .await
            .expect("rows can be counted")
    }

    /// It becomes this time, and a change is made by psql.
    async fn psql(&self, seconds: f64, sql: &str) {
        self.set_clock(after(seconds)).await;
        self.database.execute(sql).await;
    }
}

/// Every second of `from..=to`.
fn seconds(from: u32, to: u32) -> Vec<DateTime<Utc>> {
    (from..=to).map(|second| after(f64::from(second))).collect()
}

const OFF: &str = "update trigger set enabled = false where kind = 'timer'";
const ON: &str = "update trigger set enabled = true where kind = 'timer'";

#[tokio::test]
async fn disabled_and_enabled_while_no_sensor_ran() {
    let room = Room::new().await;
    room.timer("switched", &every(1)).await;
    room.look_at(after(2.0)).await;
    room.psql(5.5, OFF).await;
    room.psql(100.5, ON).await;
    room.look_at(after(103.0)).await;
    let expected = [seconds(1, 5), seconds(101, 103)].concat();
    assert_eq!(room.accounted("switched").await, expected);
    assert_eq!(
        room.scheduled("switched").await.len(),
        2 + 1 + 3,
        "of 3 to 5 the newest fires"
    );
    assert_eq!(
        room.gaps("switched").await,
        [gap(after(3.0), after(4.0), 2, "disabled")]
    );
    room.close().await;
}

#[tokio::test]
async fn another_schedule_for_a_while_when_no_sensor_ran() {
    let room = Room::new().await;
    room.timer("edited", &every(1)).await;
    room.look_at(after(2.0)).await;
    room.set_clock(after(5.5)).await;
    room.edit("edited", &json!({"type": "interval", "hours": 1})).await;
    room.set_clock(after(3700.5)).await;
    room.edit("edited", &every(1)).await;
    room.look_at(after(3702.0)).await;
    let expected = [seconds(1, 5), seconds(3600, 3600), seconds(3701, 3702)].concat();
    assert_eq!(room.accounted("edited").await, expected);
    assert_eq!(room.gaps("edited").await, [gap(after(3.0), after(4.0), 2, "edited")]);
    assert_eq!(room.count("timer_span").await, 3);
    room.close().await;
}

#[tokio::test]
async fn a_pack_that_was_switched_off_and_on_while_no_sensor_ran() {
    let room = Room::new().await;
    room.timer("second", &every(1)).await;
    room.look_at(after(1.0)).await;
    room.psql(2.5, "update pack set enabled = false where ref = 'test'")
        .await;
    // What is made or changed in a pack that is off does not run either.
    room.timer("made_off", &every(1)).await;
    room.psql(10.5, "update trigger set label = 'Renamed'").await;
    room.psql(20.5, "update pack set enabled = true where ref = 'test'")
        .await;
    room.look_at(after(22.0)).await;
    assert_eq!(
        room.accounted("second").await,
        [seconds(1, 2), seconds(21, 22)].concat()
    );
    assert_eq!(room.accounted("made_off").await, seconds(21, 22));
    room.close().await;
}

#[tokio::test]
async fn a_timer_of_a_rule_follows_its_rule() {
    let room = Room::new().await;
    room.timer("owned", &every(1)).await;
    room.database
        .execute(
            "insert into runtime (ref, pack_id, label, kind) select 'test.shell', id, 'Shell', 'process' from pack;
             insert into action (ref, pack_id, runtime_id, label, entry_point) select 'test.act', p.id, r.id, 'Act', 'true' from pack p, runtime r;
             insert into rule (ref, pack_id, label, trigger_id, action_id) select 'test.rule', p.id, 'Rule', t.id, a.id from pack p, trigger t, action a;
             update trigger set owner_rule_id = (select id from rule)",
        )
        .await;
    let rule: i64 = sqlx::query_scalar("select id from rule")
        .fetch_one(room.pool())
        .await
        .expect("the rule is there");
    let switch = async |enabled| {
        let mut connection = room.pool().acquire().await.expect("the database answers");
        attune_common::store::rule::set_enabled(&mut connection, attune_domain::RuleId(rule), enabled)
            .await
            .expect("the rule can be switched");
    };
    room.look_at(after(1.0)).await;
    room.set_clock(after(3.5)).await;
    switch(false).await;
    room.set_clock(after(7.5)).await;
    switch(true).await;
    room.look_at(after(9.0)).await;
    assert_eq!(room.accounted("owned").await, [seconds(1, 3), seconds(8, 9)].concat());
    room.psql(10.0, "delete from rule").await;
    room.look_at(after(20.0)).await;
    assert_eq!((room.count("timer").await, room.count("timer_history").await), (0, 0));
    room.close().await;
}

#[tokio::test]
async fn a_trigger_that_is_made_again_has_no_past() {
    let room = Room::new().await;
    room.timer("again", &every(1)).await;
    room.look_at(after(2.0)).await;
    let id = room.id("again").await;
    room.psql(10.5, "delete from trigger").await;
    room.set_clock(after(20.5)).await;
    room.timer("again", &every(1)).await;
    room.look_at(after(22.0)).await;
    assert_eq!(room.scheduled("again").await, [seconds(1, 2), seconds(21, 22)].concat());

    // With the id of a deleted one, as a restored dump has it.
    room.psql(30.5, "delete from trigger").await;
    let again = format!(
        "insert into trigger (id, ref, pack_id, label, kind, config)
         select {}, 'test.again', id, 'Timer', 'timer', '{{\"type\": \"interval\", \"seconds\": 1}}' from pack where ref = 'test'",
        id.0
    );
    room.psql(40.5, &again).await;
    room.look_at(after(42.0)).await;
    let expected = [seconds(1, 2), seconds(21, 22), seconds(41, 42)].concat();
    assert_eq!(room.scheduled("again").await, expected);
    room.close().await;
}

#[tokio::test]
async fn each_span_has_its_own_zone_and_misfire_policy() {
    let room = Room::new().await;
    let daily = |zone: &str| json!({"type": "cron", "expression": "0 12 * * *", "timezone": zone, "misfire": "latest"});
    room.timer("zone", &daily("UTC")).await;
    room.timer("policy", &json!({"type": "interval", "seconds": 10, "misfire": "skip"}))
        .await;
    room.look().await;
    room.set_clock(after(100.0)).await;
    room.edit(
        "policy",
        &json!({"type": "interval", "seconds": 10, "misfire": "latest"}),
    )
    .await;
    room.set_clock(after(200.0)).await;
    room.edit(
        "policy",
        &json!({"type": "interval", "seconds": 10, "catchup_window_seconds": 3600}),
    )
    .await;
    // Noon in Berlin is at 11:00 UTC, in Tokyo at 03:00.
    let day = 86_400.0;
    room.set_clock(after(day)).await;
    room.edit("policy", &every(3600)).await;
    room.edit("zone", &daily("Europe/Berlin")).await;
    room.set_clock(after(2.0 * day)).await;
    room.edit("zone", &daily("Asia/Tokyo")).await;
    room.look_at(after(3.0 * day - 1.0)).await;
    let hours: Vec<i64> = room
        .accounted("zone")
        .await
        .iter()
        .map(|at| (*at - after(0.0)).num_hours())
        .collect();
    assert_eq!(hours, [12, 24 + 11, 48 + 3]);

    // The first ten are skipped, of the next ten the newest fires, of the rest the newest hundred that were due.
    let scheduled = room.scheduled("policy").await;
    let until_edit: Vec<_> = scheduled.iter().filter(|at| **at <= after(day)).collect();
    assert_eq!(until_edit[..1], [&after(200.0)]);
    assert_eq!(
        room.gaps("policy").await[0],
        gap(after(10.0), after(100.0), 10, "edited")
    );
    assert_eq!(
        room.gaps("policy").await[1],
        gap(after(110.0), after(190.0), 9, "edited")
    );
    room.close().await;
}

#[tokio::test]
async fn what_was_never_planned_is_accounted_for_too() {
    let room = Room::new().await;
    room.timer("new", &every(1)).await;
    room.psql(5.5, OFF).await;
    room.psql(10.5, ON).await;
    room.look_at(after(12.0)).await;
    assert_eq!(room.accounted("new").await, [seconds(1, 5), seconds(11, 12)].concat());
    let (_, _, fired, missed) = room.row("new").await;
    assert_eq!(fired + missed, 7, "its row counts them all");
    room.close().await;
}

#[tokio::test]
async fn stopped_started_and_stopped_while_no_sensor_ran() {
    let room = Room::new().await;
    room.timer("stopped", &every(1)).await;
    room.look_at(after(1.0)).await;
    let id = room.id("stopped").await;
    let pool = room.pool();
    room.set_clock(after(2.5)).await;
    assert!(timer::disarm(pool, id).await.expect("it can be stopped"));
    room.set_clock(after(10.5)).await;
    assert!(timer::arm(pool, id).await.expect("it can be started"));
    room.set_clock(after(12.5)).await;
    assert!(timer::disarm(pool, id).await.expect("it can be stopped"));
    room.look_at(after(20.0)).await;
    assert_eq!(
        room.accounted("stopped").await,
        [seconds(1, 2), seconds(11, 12)].concat()
    );
    assert_eq!(room.next("stopped").await, None);
    room.close().await;
}

#[tokio::test]
async fn a_timer_that_was_something_else_for_a_while() {
    let room = Room::new().await;
    room.timer("other", &every(1)).await;
    room.look_at(after(1.0)).await;
    room.psql(3.5, "update trigger set kind = 'custom'").await;
    room.psql(10.5, "update trigger set kind = 'timer'").await;
    room.look_at(after(12.0)).await;
    assert_eq!(room.accounted("other").await, [seconds(1, 3), seconds(11, 12)].concat());
    room.close().await;
}

#[tokio::test]
async fn a_configuration_that_was_broken_for_a_while() {
    let room = Room::new().await;
    room.timer("broken", &every(1)).await;
    room.look_at(after(1.0)).await;
    room.set_clock(after(3.5)).await;
    room.edit("broken", &json!({"type": "interval", "seconds": -1})).await;
    room.set_clock(after(10.5)).await;
    room.edit("broken", &every(1)).await;
    room.look_at(after(12.0)).await;
    assert_eq!(
        room.accounted("broken").await,
        [seconds(1, 3), seconds(11, 12)].concat()
    );
    assert_eq!(room.row("broken").await.1, None);
    room.close().await;
}

/// More changes than one transaction applies, and more events than one may hold.
#[tokio::test]
async fn very_many_changes_are_applied_in_turns() {
    let room = Room::new().await;
    room.timer(
        "many",
        &json!({"type": "interval", "seconds": 1, "catchup_window_seconds": 86_400, "catchup_max": 10_000}),
    )
    .await;
    room.psql(
        0.0,
        "do $$ begin for n in 1..1200 loop
             execute format('create or replace function db_now() returns timestamptz language sql stable parallel safe as %L',
                            format('select timestamptz ''2026-01-01T00:00:00.5Z'' + interval ''1 second'' * %s', n * 10));
             update trigger set enabled = not enabled;
         end loop; end $$",
    )
    .await;
    room.look_at(after(12_002.5)).await;
    let on = (0..=600)
        .flat_map(|turn| seconds(turn * 20 + 1, turn * 20 + 10))
        .filter(|at| *at <= after(12_002.5));
    assert_eq!(room.accounted("many").await, on.collect::<Vec<_>>());
    assert_eq!(
        (room.count("timer_history").await, room.count("timer_change").await),
        (0, 0)
    );
    room.close().await;
}

/// A change that commits after a sensor has read the timer, and before it writes, is not taken for applied.
#[tokio::test]
async fn a_change_that_comes_between_look_and_write_is_applied_later() {
    let room = Room::new().await;
    room.timer("raced", &every(10)).await;
    room.look().await;
    room.psql(10.0, "update trigger set label = 'Renamed'").await;
    let mut tx = attune_common::store::Transaction::begin(room.pool())
        .await
        .expect("a transaction begins");
    let (_, rows) = timer::claim_due(&mut tx, 10).await.expect("due timers are read");
    assert_eq!(rows[0].pending.len(), 1);
    room.set_clock(after(12.0)).await;
    room.edit("raced", &every(3600)).await;
    timer::mark_seen(&mut tx, &[(rows[0].trigger_id, rows[0].version)])
        .await
        .expect("it is written");
    tx.commit().await.expect("it commits");
    room.look().await;
    assert_eq!(room.accounted("raced").await, [after(10.0)]);
    assert_eq!(room.next("raced").await, Some(after(3600.0)));
    room.close().await;
}
