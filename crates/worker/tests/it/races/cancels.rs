//! A cancel during another transaction.

use super::{TERM, a_session_waits, again, cancel, claim, end, execute, expire, rescue_to, test};
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
async fn a_cancel_between_find_and_rescue_wins() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    expire(&test).await;
    assert_eq!(cancel(&test, id).await, ExecutionStatus::Canceling);
    for to in [ExecutionStatus::Scheduled, ExecutionStatus::Lost] {
        let rescued = rescue::resolve(pool, &rescue_to(id, 1, to), Duration::ZERO)
            .await
            .unwrap();
        assert!(rescued.is_empty());
    }
    let canceled = rescue_to(id, 1, ExecutionStatus::Canceled);
    assert_eq!(rescue::resolve(pool, &canceled, Duration::ZERO).await.unwrap(), [id]);
    assert!(test.is(id, "status = 'canceled'").await);
    test.database.close().await;
}

#[tokio::test]
async fn a_canceling_execution_is_not_claimed() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    let mut canceling = Transaction::begin(pool).await.unwrap();
    let to = execution::cancel(&mut canceling, id).await.unwrap();
    assert_eq!(to, Some(Ok(ExecutionStatus::Canceled)));
    assert!(claim(pool).await.executions.is_empty());
    canceling.commit().await.unwrap();
    assert!(claim(pool).await.executions.is_empty());
    assert!(test.is(id, "status = 'canceled' and attempt = 0").await);
    test.database.close().await;
}

#[tokio::test]
async fn a_cancel_that_waits_for_a_claim_stops_the_claimed_execution() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    let worker = Uuid::now_v7();
    // A claim in the middle of its transaction: the row of the queue is claimed, the row of the history not written yet.
    let mut claiming = Transaction::begin(pool).await.unwrap();
    rescue::find(&mut *claiming, Scope::All, TERM, Duration::ZERO, 1)
        .await
        .unwrap();
    let hold = "update execution_queue set ready = ready";
    execute(&mut claiming, hold).await;
    let (to, ()) = tokio::join!(cancel(&test, id), async {
        a_session_waits(&test).await;
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
    test.database.close().await;
}

#[tokio::test]
async fn a_canceling_execution_is_not_retried() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    let mut canceling = Transaction::begin(pool).await.unwrap();
    let to = execution::cancel(&mut canceling, id).await.unwrap();
    assert_eq!(to, Some(Ok(ExecutionStatus::Canceling)));
    let tried = [again(id, 1)];
    let (back, ()) = tokio::join!(execution_queue::requeue(pool, &tried), async {
        a_session_waits(&test).await;
        canceling.commit().await.unwrap();
    });
    assert!(back.unwrap().is_empty());
    assert!(test.is(id, "status = 'canceling'").await);
    // A lost attempt ends as canceled.
    let lost = end(id, 1, ExecutionStatus::Lost);
    assert_eq!(execution_queue::finish(pool, &[lost]).await.unwrap().len(), 1);
    assert!(test.is(id, "status = 'canceled'").await);
    test.database.close().await;
}

#[tokio::test]
async fn a_cancel_that_waits_for_a_retry_leaves_nothing_to_start() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    let mut retrying = Transaction::begin(pool).await.unwrap();
    assert_eq!(
        execution_queue::requeue(&mut *retrying, &[again(id, 1)])
            .await
            .unwrap()
            .len(),
        1
    );
    let (to, ()) = tokio::join!(cancel(&test, id), async {
        a_session_waits(&test).await;
        retrying.commit().await.unwrap();
    });
    assert_eq!(to, ExecutionStatus::Canceled);
    assert!(claim(pool).await.executions.is_empty());
    test.database.close().await;
}
