//! Any number of sensors work on the same rows: nothing is lost, nothing is doubled, and none waits for one that hangs.

use super::support::{Room, after};
use attune_common::{
    store::{PgPool, Transaction, db, timer},
    testing::eventually,
};
use attune_sensor::tick;
use serde_json::json;
use std::time::Duration;

const TIMERS: usize = 1_200;

async fn timers(room: &Room, count: usize) {
    let sql = "insert into trigger (ref, pack_id, label, kind, config)
         select 'test.timer_' || n, p.id, 'Timer', 'timer', $1 from pack p, generate_series(1, $2::bigint) n where p.ref = 'test'";
    sqlx::query(sql)
        .bind(json!({"type": "interval", "seconds": 1}))
        .bind(i64::try_from(count).expect("a small number"))
        .execute(room.pool())
        .await
        .expect("triggers can be made");
}

/// Looks until nothing is left that this sensor can have.
async fn sensor(pool: &PgPool) -> usize {
    let mut events = 0;
    loop {
        let changed = tick::changed(pool).await.expect("changes are settled");
        let due = tick::due(Transaction::begin(pool).await.expect("a transaction begins"))
            .await
            .expect("what is due is settled");
        events += changed.events.len() + due.events.len();
        if changed.timers + due.timers == 0 {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn three_at_once_share_the_work() {
    let room = Room::new().await;
    timers(&room, TIMERS).await;
    let pools = [(); 3].map(|()| db::pool(&room.database.url, "sensor", 2).expect("the address is well formed"));
    let all = async || {
        let [a, b, c] = &pools;
        let (a, b, c) = tokio::join!(sensor(a), sensor(b), sensor(c));
        a + b + c
    };
    assert_eq!(all().await, 0, "they plan");
    for second in [1.0, 2.0, 3.0, 8.0] {
        room.set_clock(after(second)).await;
        let mut events = all().await;
        // One may have looked while another held the rest.
        events += sensor(room.pool()).await;
        assert_eq!(events, if second > 7.0 { 5 * TIMERS } else { TIMERS }, "at {second} s");
    }
    room.close().await;
}

#[tokio::test]
async fn one_that_hangs_in_a_transaction_keeps_only_its_rows() {
    let room = Room::new().await;
    timers(&room, 600).await;
    room.look().await;
    room.set_clock(after(1.0)).await;
    let frozen = db::pool(&room.database.url, "frozen", 1).expect("the address is well formed");
    let mut transaction = Transaction::begin(&frozen).await.expect("a transaction begins");
    let (_, held) = timer::claim_due(&mut transaction, 100).await.expect("it claims");
    assert_eq!(held.len(), 100);
    assert_eq!(room.look().await, 500, "the others fire at once");
    // It says nothing more: the database ends its transaction.
    let rest = async || {
        let events = room.look().await;
        (events > 0).then_some(events)
    };
    let rest = eventually("the rows of the hanging sensor are free", Duration::from_secs(8), rest).await;
    assert_eq!(rest, 100);
    assert!(transaction.commit().await.is_err(), "what it wakes up to is gone");
    room.close().await;
}

/// How late the last of them is, is measured by `attune bench`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_at_one_instant() {
    let room = Room::new().await;
    timers(&room, 10_000).await;
    room.look().await;
    room.set_clock(after(1.0)).await;
    let mut first = Transaction::begin(room.pool()).await.expect("a transaction begins");
    let (_, held) = timer::claim_due(&mut first, i64::MAX).await.expect("it claims");
    assert_eq!(held.len(), 10_000, "all are due");
    first.rollback().await.expect("it gives them back");
    let (a, b) = tokio::join!(sensor(room.pool()), sensor(room.pool()));
    assert_eq!(a + b, 10_000, "each fires once");
    assert_eq!(sensor(room.pool()).await, 0);
    room.close().await;
}
