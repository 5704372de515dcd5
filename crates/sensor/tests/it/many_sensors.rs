//! Any number of sensors work on the same rows: nothing is lost or duplicated, and none waits for one that hangs.

use super::test_sensor::{TestSensor, after};
use attune_common::{
    store::{PgPool, Transaction, db, timer},
    testing::eventually,
};
use attune_sensor::tick;
use serde_json::json;
use std::time::Duration;

const TIMERS: usize = 1_200;

async fn timers(sensor: &TestSensor, count: usize) {
    let sql = "insert into trigger (ref, pack_id, label, kind, config)
         select 'test.timer_' || n, p.id, 'Timer', 'timer', $1 from pack p, generate_series(1, $2::bigint) n where p.ref = 'test'";
    sqlx::query(sql)
        .bind(json!({"type": "interval", "seconds": 1}))
        .bind(i64::try_from(count).expect("a small number"))
        .execute(sensor.pool())
        .await
        .expect("triggers can be made");
}

/// Ticks until this sensor finds nothing more to claim.
async fn fire_all(pool: &PgPool) -> usize {
    let mut events = 0;
    loop {
        let changed = tick::changed(pool).await.expect("changes are applied");
        let due = tick::due(Transaction::begin(pool).await.expect("a transaction begins"), None)
            .await
            .expect("due timers fire");
        events += changed.events.len() + due.events.len();
        if changed.timers + due.timers == 0 {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn three_at_once_share_the_work() {
    let sensor = TestSensor::new().await;
    timers(&sensor, TIMERS).await;
    let pools = [(); 3].map(|()| db::pool(&sensor.database.url, "sensor", 2).expect("the address is well formed"));
    let all = async || {
        let [a, b, c] = &pools;
        let (a, b, c) = tokio::join!(fire_all(a), fire_all(b), fire_all(c));
        a + b + c
    };
    assert_eq!(all().await, 0, "nothing is due yet");
    for second in [1.0, 2.0, 3.0, 8.0] {
        sensor.set_clock(after(second)).await;
        let mut events = all().await;
        // A sensor may have finished while another had locked the rest.
        events += fire_all(sensor.pool()).await;
        assert_eq!(events, if second > 7.0 { 5 * TIMERS } else { TIMERS }, "at {second} s");
    }
    sensor.close().await;
}

#[tokio::test]
async fn a_sensor_that_hangs_in_a_transaction_blocks_only_its_rows() {
    let sensor = TestSensor::new().await;
    timers(&sensor, 600).await;
    sensor.fire_due().await;
    sensor.set_clock(after(1.0)).await;
    let frozen = db::pool(&sensor.database.url, "frozen", 1).expect("the address is well formed");
    let mut transaction = Transaction::begin(&frozen).await.expect("a transaction begins");
    let (_, held) = timer::claim_due(&mut transaction, 100).await.expect("a claim");
    assert_eq!(held.len(), 100);
    assert_eq!(sensor.fire_due().await, 500, "the others fire at once");
    // It sends nothing more, so the database ends its transaction.
    let rest = async || {
        let events = sensor.fire_due().await;
        (events > 0).then_some(events)
    };
    let rest = eventually(
        "the rows of the hanging sensor are unlocked",
        Duration::from_secs(8),
        rest,
    )
    .await;
    assert_eq!(rest, 100);
    assert!(transaction.commit().await.is_err(), "its transaction is gone");
    sensor.close().await;
}

/// `attune-bench` measures how late the last of them is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_at_one_instant() {
    let sensor = TestSensor::new().await;
    timers(&sensor, 10_000).await;
    sensor.fire_due().await;
    sensor.set_clock(after(1.0)).await;
    let mut first = Transaction::begin(sensor.pool()).await.expect("a transaction begins");
    let (_, held) = timer::claim_due(&mut first, i64::MAX).await.expect("a claim");
    assert_eq!(held.len(), 10_000, "all are due");
    first.rollback().await.expect("a rollback");
    let (a, b) = tokio::join!(fire_all(sensor.pool()), fire_all(sensor.pool()));
    assert_eq!(a + b, 10_000, "each fires once");
    assert_eq!(fire_all(sensor.pool()).await, 0);
    sensor.close().await;
}
