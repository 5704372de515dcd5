//! Timers that miss occurrences or fail are events of `core.timer_missed` and `core.timer_failed` for the rules that subscribe.

use crate::test_sensor::{TestSensor, after};
use serde_json::{Value, json};

async fn listen(sensor: &TestSensor) {
    let sql = r"
        insert into runtime (ref, pack_id, label, kind) select 'test.native', id, 'N', 'native' from pack;
        insert into action (ref, pack_id, runtime_id, label, entry_point)
            select 'test.act', p.id, r.id, 'A', 'noop' from pack p, runtime r;
        insert into trigger (ref, pack_id, label, kind)
            select 'core.' || name, p.id, name, 'system' from pack p, unnest(array['timer_missed', 'timer_failed']) as name;
        insert into rule (ref, pack_id, label, trigger_id, action_id)
            select 'test.' || t.label, p.id, 'R', t.id, a.id from pack p, trigger t, action a where t.kind = 'system'";
    sensor.database.execute(sql).await;
}

async fn payloads(sensor: &TestSensor, name: &str) -> Vec<Value> {
    sqlx::query_scalar("select payload from event where trigger_ref = 'core.' || $1 order by id")
        .bind(name)
        .fetch_all(sensor.pool())
        .await
        .expect("events can be read")
}

#[tokio::test]
async fn missed_occurrences_are_one_event() {
    let sensor = TestSensor::new().await;
    listen(&sensor).await;
    sensor
        .timer("tick", &json!({"type": "interval", "seconds": 10, "misfire": "skip"}))
        .await;
    sensor.fire_due_at(after(11.0)).await;
    assert_eq!(payloads(&sensor, "timer_missed").await, Vec::<Value>::new());
    // No sensor for two minutes.
    sensor.fire_due_at(after(135.0)).await;
    sensor.fire_due_at(after(136.0)).await;
    let gaps = sensor.gaps("tick").await;
    let found = payloads(&sensor, "timer_missed").await;
    assert_eq!(found.len(), gaps.len(), "{found:#?}");
    assert_eq!(found[0]["trigger_ref"], "test.tick");
    assert_eq!(found[0]["missed"], gaps[0].missed);
    assert_eq!(found[0]["reason"], "skip");
    sensor.close().await;
}

#[tokio::test]
async fn a_timer_in_error_is_one_event() {
    let sensor = TestSensor::new().await;
    listen(&sensor).await;
    sensor
        .timer("broken", &json!({"type": "cron", "expression": "61 * * * *"}))
        .await;
    sensor
        .timer("edited", &json!({"type": "interval", "seconds": 10}))
        .await;
    sensor.fire_due_at(after(11.0)).await;
    sensor.edit("edited", &json!({"type": "nonsense"})).await;
    for second in [12.0, 13.0, 30.0] {
        sensor.fire_due_at(after(second)).await;
    }
    let found = payloads(&sensor, "timer_failed").await;
    let timers: Vec<&Value> = found.iter().map(|event| &event["trigger_ref"]).collect();
    assert_eq!(timers, ["test.broken", "test.edited"], "{found:#?}");
    let (_, error, ..) = sensor.row("broken").await;
    assert_eq!(found[0]["error"], json!(error.expect("an error")));
    sensor.close().await;
}
