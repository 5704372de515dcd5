//! Several changes while no sensor ran: each span follows the configuration in force then, as if a sensor had been running.

use super::test_sensor::{Gap, TestSensor, after, gap};
use attune_common::store::timer;
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

fn every(seconds: u32) -> Value {
    json!({"type": "interval", "seconds": seconds})
}

impl TestSensor {
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

    /// Sets the clock and makes a change by SQL.
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
    let sensor = TestSensor::new().await;
    sensor.timer("switched", &every(1)).await;
    sensor.fire_due_at(after(2.0)).await;
    sensor.psql(5.5, OFF).await;
    sensor.psql(100.5, ON).await;
    sensor.fire_due_at(after(103.0)).await;
    let expected = [seconds(1, 5), seconds(101, 103)].concat();
    assert_eq!(sensor.accounted("switched").await, expected);
    assert_eq!(
        sensor.scheduled("switched").await.len(),
        2 + 1 + 3,
        "of 3 to 5 the newest fires"
    );
    assert_eq!(
        sensor.gaps("switched").await,
        [gap(after(3.0), after(4.0), 2, "disabled")]
    );
    sensor.close().await;
}

#[tokio::test]
async fn another_schedule_for_a_while_when_no_sensor_ran() {
    let sensor = TestSensor::new().await;
    sensor.timer("edited", &every(1)).await;
    sensor.fire_due_at(after(2.0)).await;
    sensor.set_clock(after(5.5)).await;
    sensor.edit("edited", &json!({"type": "interval", "hours": 1})).await;
    sensor.set_clock(after(3700.5)).await;
    sensor.edit("edited", &every(1)).await;
    sensor.fire_due_at(after(3702.0)).await;
    let expected = [seconds(1, 5), seconds(3600, 3600), seconds(3701, 3702)].concat();
    assert_eq!(sensor.accounted("edited").await, expected);
    assert_eq!(sensor.gaps("edited").await, [gap(after(3.0), after(4.0), 2, "edited")]);
    assert_eq!(sensor.count("timer_span").await, 3);
    sensor.close().await;
}

#[tokio::test]
async fn a_pack_disabled_and_enabled_while_no_sensor_ran() {
    let sensor = TestSensor::new().await;
    sensor.timer("second", &every(1)).await;
    sensor.fire_due_at(after(1.0)).await;
    sensor
        .psql(2.5, "update pack set enabled = false where ref = 'test'")
        .await;
    // Timers created or changed in a disabled pack do not run either.
    sensor.timer("made_off", &every(1)).await;
    sensor.psql(10.5, "update trigger set label = 'Renamed'").await;
    sensor
        .psql(20.5, "update pack set enabled = true where ref = 'test'")
        .await;
    sensor.fire_due_at(after(22.0)).await;
    assert_eq!(
        sensor.accounted("second").await,
        [seconds(1, 2), seconds(21, 22)].concat()
    );
    assert_eq!(sensor.accounted("made_off").await, seconds(21, 22));
    sensor.close().await;
}

#[tokio::test]
async fn a_timer_of_a_rule_follows_its_rule() {
    let sensor = TestSensor::new().await;
    sensor.timer("owned", &every(1)).await;
    sensor.database
        .execute(
            "insert into runtime (ref, pack_id, label, kind) select 'test.shell', id, 'Shell', 'process' from pack;
             insert into action (ref, pack_id, runtime_id, label, entry_point) select 'test.act', p.id, r.id, 'Act', 'true' from pack p, runtime r;
             insert into rule (ref, pack_id, label, trigger_id, action_id) select 'test.rule', p.id, 'Rule', t.id, a.id from pack p, trigger t, action a;
             update trigger set owner_rule_id = (select id from rule)",
        )
        .await;
    let rule: i64 = sqlx::query_scalar("select id from rule")
        .fetch_one(sensor.pool())
        .await
        .expect("the rule is there");
    let switch = async |enabled| {
        let mut connection = sensor.pool().acquire().await.expect("the database answers");
        attune_common::store::rule::set_enabled(&mut connection, attune_domain::RuleId(rule), enabled)
            .await
            .expect("the rule can be switched");
    };
    sensor.fire_due_at(after(1.0)).await;
    sensor.set_clock(after(3.5)).await;
    switch(false).await;
    sensor.set_clock(after(7.5)).await;
    switch(true).await;
    sensor.fire_due_at(after(9.0)).await;
    assert_eq!(sensor.accounted("owned").await, [seconds(1, 3), seconds(8, 9)].concat());
    sensor.psql(10.0, "delete from rule").await;
    sensor.fire_due_at(after(20.0)).await;
    assert_eq!(
        (sensor.count("timer").await, sensor.count("timer_history").await),
        (0, 0)
    );
    sensor.close().await;
}

#[tokio::test]
async fn a_recreated_trigger_has_no_history() {
    let sensor = TestSensor::new().await;
    sensor.timer("again", &every(1)).await;
    sensor.fire_due_at(after(2.0)).await;
    let id = sensor.id("again").await;
    sensor.psql(10.5, "delete from trigger").await;
    sensor.set_clock(after(20.5)).await;
    sensor.timer("again", &every(1)).await;
    sensor.fire_due_at(after(22.0)).await;
    assert_eq!(
        sensor.scheduled("again").await,
        [seconds(1, 2), seconds(21, 22)].concat()
    );

    // With the id of the deleted trigger, as in a restored dump.
    sensor.psql(30.5, "delete from trigger").await;
    let again = format!(
        "insert into trigger (id, ref, pack_id, label, kind, config)
         select {}, 'test.again', id, 'Timer', 'timer', '{{\"type\": \"interval\", \"seconds\": 1}}' from pack where ref = 'test'",
        id.0
    );
    sensor.psql(40.5, &again).await;
    sensor.fire_due_at(after(42.0)).await;
    let expected = [seconds(1, 2), seconds(21, 22), seconds(41, 42)].concat();
    assert_eq!(sensor.scheduled("again").await, expected);
    sensor.close().await;
}

#[tokio::test]
async fn each_span_has_its_own_zone_and_misfire_policy() {
    let sensor = TestSensor::new().await;
    let daily = |zone: &str| json!({"type": "cron", "expression": "0 12 * * *", "timezone": zone, "misfire": "latest"});
    sensor.timer("zone", &daily("UTC")).await;
    sensor
        .timer("policy", &json!({"type": "interval", "seconds": 10, "misfire": "skip"}))
        .await;
    sensor.fire_due().await;
    sensor.set_clock(after(100.0)).await;
    sensor
        .edit(
            "policy",
            &json!({"type": "interval", "seconds": 10, "misfire": "latest"}),
        )
        .await;
    sensor.set_clock(after(200.0)).await;
    sensor
        .edit(
            "policy",
            &json!({"type": "interval", "seconds": 10, "catchup_window_seconds": 3600}),
        )
        .await;
    // Noon in Berlin is at 11:00 UTC, in Tokyo at 03:00.
    let day = 86_400.0;
    sensor.set_clock(after(day)).await;
    sensor.edit("policy", &every(3600)).await;
    sensor.edit("zone", &daily("Europe/Berlin")).await;
    sensor.set_clock(after(2.0 * day)).await;
    sensor.edit("zone", &daily("Asia/Tokyo")).await;
    sensor.fire_due_at(after(3.0 * day - 1.0)).await;
    let hours: Vec<i64> = sensor
        .accounted("zone")
        .await
        .iter()
        .map(|at| (*at - after(0.0)).num_hours())
        .collect();
    assert_eq!(hours, [12, 24 + 11, 48 + 3]);

    // The first ten are skipped, of the next ten the newest fires, and of the rest the newest hundred that were due.
    let scheduled = sensor.scheduled("policy").await;
    let until_edit: Vec<_> = scheduled.iter().filter(|at| **at <= after(day)).collect();
    assert_eq!(until_edit[..1], [&after(200.0)]);
    assert_eq!(
        sensor.gaps("policy").await[0],
        gap(after(10.0), after(100.0), 10, "edited")
    );
    assert_eq!(
        sensor.gaps("policy").await[1],
        gap(after(110.0), after(190.0), 9, "edited")
    );
    sensor.close().await;
}

#[tokio::test]
async fn an_unplanned_timer_is_accounted_for() {
    let sensor = TestSensor::new().await;
    sensor.timer("new", &every(1)).await;
    sensor.psql(5.5, OFF).await;
    sensor.psql(10.5, ON).await;
    sensor.fire_due_at(after(12.0)).await;
    assert_eq!(sensor.accounted("new").await, [seconds(1, 5), seconds(11, 12)].concat());
    let (_, _, fired, missed) = sensor.row("new").await;
    assert_eq!(fired + missed, 7, "its row counts them all");
    sensor.close().await;
}

#[tokio::test]
async fn stopped_started_and_stopped_while_no_sensor_ran() {
    let sensor = TestSensor::new().await;
    sensor.timer("stopped", &every(1)).await;
    sensor.fire_due_at(after(1.0)).await;
    let id = sensor.id("stopped").await;
    sensor.set_clock(after(2.5)).await;
    assert!(sensor.timers().stop_timer(id).await.expect("the timer stops"));
    sensor.set_clock(after(10.5)).await;
    assert!(sensor.timers().start_timer(id).await.expect("the timer starts"));
    sensor.set_clock(after(12.5)).await;
    assert!(sensor.timers().stop_timer(id).await.expect("the timer stops"));
    sensor.fire_due_at(after(20.0)).await;
    assert_eq!(
        sensor.accounted("stopped").await,
        [seconds(1, 2), seconds(11, 12)].concat()
    );
    assert_eq!(sensor.next("stopped").await, None);
    sensor.close().await;
}

#[tokio::test]
async fn a_trigger_of_another_kind_for_a_while() {
    let sensor = TestSensor::new().await;
    sensor.timer("other", &every(1)).await;
    sensor.fire_due_at(after(1.0)).await;
    sensor.psql(3.5, "update trigger set kind = 'custom'").await;
    sensor.psql(10.5, "update trigger set kind = 'timer'").await;
    sensor.fire_due_at(after(12.0)).await;
    assert_eq!(
        sensor.accounted("other").await,
        [seconds(1, 3), seconds(11, 12)].concat()
    );
    sensor.close().await;
}

#[tokio::test]
async fn a_configuration_broken_for_a_while() {
    let sensor = TestSensor::new().await;
    sensor.timer("broken", &every(1)).await;
    sensor.fire_due_at(after(1.0)).await;
    sensor.set_clock(after(3.5)).await;
    sensor.edit("broken", &json!({"type": "interval", "seconds": -1})).await;
    sensor.set_clock(after(10.5)).await;
    sensor.edit("broken", &every(1)).await;
    sensor.fire_due_at(after(12.0)).await;
    assert_eq!(
        sensor.accounted("broken").await,
        [seconds(1, 3), seconds(11, 12)].concat()
    );
    assert_eq!(sensor.row("broken").await.1, None);
    sensor.close().await;
}

/// More changes than one transaction applies, and more events than one may hold.
#[tokio::test]
async fn very_many_changes_are_applied_in_several_transactions() {
    let sensor = TestSensor::new().await;
    sensor
        .timer(
            "many",
            &json!({"type": "interval", "seconds": 1, "catchup_window_seconds": 86_400, "catchup_max": 10_000}),
        )
        .await;
    sensor.psql(
        0.0,
        "do $$ begin for n in 1..1200 loop
             execute format('create or replace function db_now() returns timestamptz language sql stable parallel safe as %L',
                            format('select timestamptz ''2026-01-01T00:00:00.5Z'' + interval ''1 second'' * %s', n * 10));
             update trigger set enabled = not enabled;
         end loop; end $$",
    )
    .await;
    sensor.fire_due_at(after(12_002.5)).await;
    let on = (0..=600)
        .flat_map(|turn| seconds(turn * 20 + 1, turn * 20 + 10))
        .filter(|at| *at <= after(12_002.5));
    assert_eq!(sensor.accounted("many").await, on.collect::<Vec<_>>());
    assert_eq!(
        (sensor.count("timer_history").await, sensor.count("timer_change").await),
        (0, 0)
    );
    sensor.close().await;
}

/// A change that commits after a sensor has read the timer and before it writes does not count as applied.
#[tokio::test]
async fn a_change_between_read_and_write_is_applied_later() {
    let sensor = TestSensor::new().await;
    sensor.timer("raced", &every(10)).await;
    sensor.fire_due().await;
    sensor.psql(10.0, "update trigger set label = 'Renamed'").await;
    let mut tx = attune_common::store::Transaction::begin(sensor.pool())
        .await
        .expect("a transaction begins");
    let (_, rows) = timer::claim_due(&mut tx, 10).await.expect("due timers are read");
    assert_eq!(rows[0].pending.len(), 1);
    sensor.set_clock(after(12.0)).await;
    sensor.edit("raced", &every(3600)).await;
    timer::mark_seen(&mut tx, &[(rows[0].trigger_id, rows[0].version)])
        .await
        .expect("it is written");
    tx.commit().await.expect("it commits");
    sensor.fire_due().await;
    assert_eq!(sensor.accounted("raced").await, [after(10.0)]);
    assert_eq!(sensor.next("raced").await, Some(after(3600.0)));
    sensor.close().await;
}
