//! Another session locks one row for longer than a lease: other executions are not affected.

use super::UNTIL_GO;
use crate::support::{DEADLINE, TestWorker};
use attune_common::{
    store::{execution_queue, lease, rescue},
    testing::eventually,
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

fn row(table: &str, key: &str, id: ExecutionId) -> String {
    format!("select from {table} where {key} = '{}' for update", id.0)
}

#[tokio::test]
async fn a_locked_row_does_not_end_any_lease() {
    for on_lost in ["fail", "requeue"] {
        let test = TestWorker::new().await;
        let action = test.action("wait", UNTIL_GO, &format!("on_lost = '{on_lost}'")).await;
        let mut ids = Vec::new();
        for _ in 0..8 {
            ids.push(test.start(action, 3).await);
        }
        let _worker = test.worker();
        for id in &ids {
            test.becomes(*id, "status = 'running'").await;
        }
        let lock = test.hold(&row("execution_queue", "execution_id", ids[3])).await;
        let locked_at = Instant::now();
        let to = ExecutionStatus::Lost;
        eventually("three leases to go by", DEADLINE, async || {
            assert!(test.rescue(&ids, to).await.is_empty(), "its worker lives");
            (locked_at.elapsed() > Duration::from_secs(6)).then_some(())
        })
        .await;
        let over = "select count(*) from execution_queue where lease_until < db_now()";
        assert_eq!(test.database.count(over).await, 1, "the lock outlasted a lease");
        lock.rollback().await.unwrap();
        assert!(
            test.rescue(&ids, to).await.is_empty(),
            "its lease was extended separately"
        );
        test.touch("go");
        for id in ids {
            test.becomes(id, "status = 'succeeded' and attempt = 1").await;
        }
        test.database.close().await;
    }
}

/// A lock does not prevent the rescue of other executions of a dead worker.
#[tokio::test]
async fn a_locked_row_is_rescued_only_after_its_release() {
    let test = TestWorker::new().await;
    let (pool, term) = (&test.database.pool, Duration::from_secs(2));
    let action = test.action("noop", ":", "").await;
    let ids = [test.start(action, 1).await, test.start(action, 1).await];
    let worker = Uuid::now_v7();
    let claim = execution_queue::claim(pool, "default", worker, 5, term).await.unwrap();
    assert_eq!(claim.executions.len(), 2);
    let held: Vec<_> = ids.map(|id| execution_queue::AttemptKey { id, attempt: 1 }).to_vec();
    let lock = test.hold(&row("execution_queue", "execution_id", ids[0])).await;
    let renewed = lease::renew(pool, worker, &held, term).await.unwrap();
    let locked: Vec<_> = renewed.iter().filter(|one| one.locked).map(|one| one.held()).collect();
    assert_eq!((renewed.len(), locked.as_slice()), (2, &held[..1]));
    assert_eq!(lease::extend(pool, worker, &locked, term).await.unwrap(), locked);
    // Not for another worker.
    let other = lease::extend(pool, Uuid::now_v7(), &locked, term).await.unwrap();
    assert!(other.is_empty());
    test.rescued(ids[1], ExecutionStatus::Lost).await;
    assert!(test.rescue(&ids, ExecutionStatus::Lost).await.is_empty());
    lock.rollback().await.unwrap();
    test.rescued(ids[0], ExecutionStatus::Lost).await;
    test.database.close().await;
}

#[tokio::test]
async fn a_locked_execution_row_blocks_no_other_start_or_rescue() {
    let test = TestWorker::new().await;
    let action = test.action("noop", ":", "").await;
    let (locked, free) = (test.start(action, 1).await, test.start(action, 1).await);
    let lock = test.hold(&row("execution", "id", locked)).await;
    // With one slot: an execution behind the locked one is started.
    let worker = test.worker_with(&[("ATTUNE__WORKER__SLOTS", "1")]);
    test.becomes(free, "status = 'succeeded'").await;
    assert!(test.is(locked, "status = 'scheduled'").await);
    lock.rollback().await.unwrap();
    test.becomes(locked, "status = 'succeeded'").await;
    drop(worker);

    let (pool, term) = (&test.database.pool, Duration::from_secs(1));
    let ids = [test.start(action, 1).await, test.start(action, 1).await];
    execution_queue::claim(pool, "default", Uuid::now_v7(), 5, term)
        .await
        .unwrap();
    let lock = test.hold(&row("execution", "id", ids[0])).await;
    test.rescued(ids[1], ExecutionStatus::Lost).await;
    assert!(test.is(ids[0], "status = 'running'").await);
    lock.rollback().await.unwrap();
    test.rescued(ids[0], ExecutionStatus::Lost).await;
    test.database.close().await;
}

#[tokio::test]
async fn a_locked_row_does_not_block_a_takeover() {
    let test = TestWorker::new().await;
    let action = test.action("noop", ":", "").await;
    let ids = [test.start(action, 1).await, test.start(action, 1).await];
    let (pool, term) = (&test.database.pool, Duration::from_secs(60));
    execution_queue::claim(pool, "default", Uuid::now_v7(), 5, term)
        .await
        .unwrap();
    let lock = test.hold(&row("execution_queue", "execution_id", ids[0])).await;
    assert_eq!(rescue::expire_leases(pool, None).await.unwrap(), 1);
    assert_eq!(test.rescue(&ids, ExecutionStatus::Lost).await, [ids[1]]);
    lock.rollback().await.unwrap();
    test.database.close().await;
}
