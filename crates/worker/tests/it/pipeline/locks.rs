//! A foreign session keeps one row locked, for longer than a lease: the others go on as if it were not there.

use super::UNTIL_GO;
use crate::support::{DEADLINE, Site};
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
async fn a_locked_row_costs_no_execution_its_lease() {
    for on_lost in ["fail", "requeue"] {
        let site = Site::new().await;
        let action = site.action("wait", UNTIL_GO, &format!("on_lost = '{on_lost}'")).await;
        let mut ids = Vec::new();
        for _ in 0..8 {
            ids.push(site.start(action, 3).await);
        }
        let _worker = site.worker();
        for id in &ids {
            site.becomes(*id, "status = 'running'").await;
        }
        let lock = site.hold(&row("execution_queue", "execution_id", ids[3])).await;
        let locked_at = Instant::now();
        let to = ExecutionStatus::Lost;
        eventually("three leases to go by", DEADLINE, async || {
            assert!(site.rescue(&ids, to).await.is_empty(), "its worker lives");
            (locked_at.elapsed() > Duration::from_secs(6)).then_some(())
        })
        .await;
        let over = "select count(*) from execution_queue where lease_until < db_now()";
        assert_eq!(site.database.count(over).await, 1, "the lock outlasted a lease");
        lock.rollback().await.unwrap();
        assert!(
            site.rescue(&ids, to).await.is_empty(),
            "its lease was prolonged beside the row"
        );
        site.make("go");
        for id in ids {
            site.becomes(id, "status = 'succeeded' and attempt = 1").await;
        }
        site.database.close().await;
    }
}

/// A cancel reaches the others, too, and a lock does not keep a dead worker's work from being found afterwards.
#[tokio::test]
async fn a_locked_row_is_not_rescued_and_afterwards_it_is() {
    let site = Site::new().await;
    let (pool, term) = (&site.database.pool, Duration::from_secs(2));
    let action = site.action("noop", ":", "").await;
    let ids = [site.start(action, 1).await, site.start(action, 1).await];
    let worker = Uuid::now_v7();
    let claim = execution_queue::claim(pool, "default", worker, 5, term).await.unwrap();
    assert_eq!(claim.executions.len(), 2);
    let held: Vec<_> = ids.map(|id| execution_queue::AttemptKey { id, attempt: 1 }).to_vec();
    let lock = site.hold(&row("execution_queue", "execution_id", ids[0])).await;
    let renewed = lease::renew(pool, worker, &held, term).await.unwrap();
    let locked: Vec<_> = renewed.iter().filter(|one| one.locked).map(|one| one.held()).collect();
    assert_eq!((renewed.len(), locked.as_slice()), (2, &held[..1]));
    assert_eq!(lease::extend(pool, worker, &locked, term).await.unwrap(), locked);
    // Of another worker it is not.
    let other = lease::extend(pool, Uuid::now_v7(), &locked, term).await.unwrap();
    assert!(other.is_empty());
    site.rescued(ids[1], ExecutionStatus::Lost).await;
    assert!(site.rescue(&ids, ExecutionStatus::Lost).await.is_empty());
    lock.rollback().await.unwrap();
    site.rescued(ids[0], ExecutionStatus::Lost).await;
    site.database.close().await;
}

#[tokio::test]
async fn a_locked_row_of_the_history_keeps_no_other_execution_from_starting_or_from_being_rescued() {
    let site = Site::new().await;
    let action = site.action("noop", ":", "").await;
    let (locked, free) = (site.start(action, 1).await, site.start(action, 1).await);
    let lock = site.hold(&row("execution", "id", locked)).await;
    // With one slot: also what is behind the locked one has its turn.
    let worker = site.worker_with(&[("ATTUNE__WORKER__SLOTS", "1")]);
    site.becomes(free, "status = 'succeeded'").await;
    assert!(site.is(locked, "status = 'scheduled'").await);
    lock.rollback().await.unwrap();
    site.becomes(locked, "status = 'succeeded'").await;
    drop(worker);

    let (pool, term) = (&site.database.pool, Duration::from_secs(1));
    let ids = [site.start(action, 1).await, site.start(action, 1).await];
    execution_queue::claim(pool, "default", Uuid::now_v7(), 5, term)
        .await
        .unwrap();
    let lock = site.hold(&row("execution", "id", ids[0])).await;
    site.rescued(ids[1], ExecutionStatus::Lost).await;
    assert!(site.is(ids[0], "status = 'running'").await);
    lock.rollback().await.unwrap();
    site.rescued(ids[0], ExecutionStatus::Lost).await;
    site.database.close().await;
}

#[tokio::test]
async fn a_locked_row_keeps_no_successor_from_taking_over() {
    let site = Site::new().await;
    let action = site.action("noop", ":", "").await;
    let ids = [site.start(action, 1).await, site.start(action, 1).await];
    let (pool, term) = (&site.database.pool, Duration::from_secs(60));
    execution_queue::claim(pool, "default", Uuid::now_v7(), 5, term)
        .await
        .unwrap();
    let lock = site.hold(&row("execution_queue", "execution_id", ids[0])).await;
    assert_eq!(rescue::expire_leases(pool).await.unwrap(), 1);
    assert_eq!(site.rescue(&ids, ExecutionStatus::Lost).await, [ids[1]]);
    lock.rollback().await.unwrap();
    site.database.close().await;
}
