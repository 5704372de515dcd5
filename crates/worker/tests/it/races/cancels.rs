//! Somebody cancels while something else goes on.

use super::{TERM, again, cancel, claim, end, execute, expire, rescue_to, site, somebody_waits};
use attune_common::store::{
    Transaction, execution,
    execution_queue::{self, AttemptKey},
    lease,
    rescue::{self, Scope},
};
use attune_domain::execution::ExecutionStatus;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn a_cancel_that_comes_between_look_and_rescue_wins() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    claim(pool).await;
    expire(&site).await;
    assert_eq!(cancel(&site, id).await, ExecutionStatus::Canceling);
    for to in [ExecutionStatus::Scheduled, ExecutionStatus::Lost] {
        let rescued = rescue::resolve(pool, &rescue_to(id, 1, to), Duration::ZERO)
            .await
            .unwrap();
        assert!(rescued.is_empty());
    }
    let canceled = rescue_to(id, 1, ExecutionStatus::Canceled);
    assert_eq!(rescue::resolve(pool, &canceled, Duration::ZERO).await.unwrap(), [id]);
    assert!(site.is(id, "status = 'canceled'").await);
    site.database.close().await;
}

#[tokio::test]
async fn what_is_being_canceled_is_not_claimed() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    let mut canceling = Transaction::begin(pool).await.unwrap();
    let to = execution::cancel(&mut canceling, id).await.unwrap();
    assert_eq!(to, Some(Ok(ExecutionStatus::Canceled)));
    assert!(claim(pool).await.executions.is_empty());
    canceling.commit().await.unwrap();
    assert!(claim(pool).await.executions.is_empty());
    assert!(site.is(id, "status = 'canceled' and attempt = 0").await);
    site.database.close().await;
}

#[tokio::test]
async fn a_cancel_that_waits_for_a_claim_stops_what_was_claimed() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    let worker = Uuid::now_v7();
    // A claim in the middle of its transaction: the queue's row is taken, the history's is not yet written.
    let mut claiming = Transaction::begin(pool).await.unwrap();
    rescue::find(&mut *claiming, Scope::All, TERM, Duration::ZERO, 1)
        .await
        .unwrap();
    let hold = "update execution_queue set ready = ready";
    execute(&mut claiming, hold).await;
    let (to, ()) = tokio::join!(cancel(&site, id), async {
        somebody_waits(&site).await;
        execute(
            &mut claiming,
            &format!("update execution_queue set ready = false, attempt = 1, worker_id = '{worker}', lease_until = db_now() + interval '1 minute'"),
        )
        .await;
        execute(&mut claiming, "update execution set status = 'running', attempt = 1").await;
        claiming.commit().await.unwrap();
    });
    assert_eq!(to, ExecutionStatus::Canceling);
    let renewed = lease::renew(pool, worker, &[AttemptKey { id, attempt: 1 }], TERM)
        .await
        .unwrap();
    assert!(renewed[0].cancel_requested);
    site.database.close().await;
}

#[tokio::test]
async fn what_is_being_canceled_is_not_tried_again() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    claim(pool).await;
    let mut canceling = Transaction::begin(pool).await.unwrap();
    let to = execution::cancel(&mut canceling, id).await.unwrap();
    assert_eq!(to, Some(Ok(ExecutionStatus::Canceling)));
    let tried = [again(id, 1)];
    let (back, ()) = tokio::join!(execution_queue::requeue(pool, &tried), async {
        somebody_waits(&site).await;
        canceling.commit().await.unwrap();
    });
    assert!(back.unwrap().is_empty());
    assert!(site.is(id, "status = 'canceling'").await);
    // It was given up, not finished: then it ends as what was asked for.
    let lost = end(id, 1, ExecutionStatus::Lost);
    assert_eq!(execution_queue::finish(pool, &[lost]).await.unwrap().len(), 1);
    assert!(site.is(id, "status = 'canceled'").await);
    site.database.close().await;
}

#[tokio::test]
async fn a_cancel_that_waits_for_a_retry_leaves_nothing_to_start() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    claim(pool).await;
    let mut retrying = Transaction::begin(pool).await.unwrap();
    assert_eq!(
        execution_queue::requeue(&mut *retrying, &[again(id, 1)])
            .await
            .unwrap()
            .len(),
        1
    );
    let (to, ()) = tokio::join!(cancel(&site, id), async {
        somebody_waits(&site).await;
        retrying.commit().await.unwrap();
    });
    assert_eq!(to, ExecutionStatus::Canceled);
    assert!(claim(pool).await.executions.is_empty());
    site.database.close().await;
}
