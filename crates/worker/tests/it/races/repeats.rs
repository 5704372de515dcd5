//! The same result, written more than once.

use super::{again, claim, end, late, succeeded, test};
use attune_common::store::Transaction;
use attune_common::store::execution_queue::{self, AttemptKey, Late};
use attune_domain::execution::ExecutionStatus;

#[tokio::test]
async fn two_attempts_in_one_batch_are_not_mixed_up() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    execution_queue::requeue(pool, &[again(id, 1)]).await.unwrap();
    claim(pool).await;
    for batch in [
        [end(id, 1, ExecutionStatus::Failed), succeeded(id, 2)],
        [succeeded(id, 2), end(id, 1, ExecutionStatus::Failed)],
    ] {
        let mut tx = Transaction::begin(pool).await.unwrap();
        let accepted = execution_queue::finish(&mut *tx, &batch).await.unwrap();
        assert_eq!(
            accepted.iter().map(|one| one.held()).collect::<Vec<_>>(),
            [AttemptKey { id, attempt: 2 }]
        );
        let got = execution_queue::finish(&mut *tx, &batch).await.unwrap();
        assert!(got.is_empty());
        tx.commit().await.unwrap();
        assert!(test.is(id, "status = 'succeeded' and result = '{\"of\": 2}'").await);
        test.database
            .execute(&format!(
                "alter table execution disable trigger execution_guard;
                 update execution set status = 'running', result = null where id = '{id}';
                 alter table execution enable trigger execution_guard;
                 insert into execution_queue (execution_id, pool, run_at, ready, attempt, timeout_seconds)
                 values ('{id}', 'default', db_now(), false, 2, 60)",
                id = id.0
            ))
            .await;
    }
    test.database.close().await;
}

#[tokio::test]
async fn a_result_accepted_before_is_not_late() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    // The answer to each is lost, and each is written again.
    let tried = again(id, 1);
    let failed = end(id, 1, ExecutionStatus::Failed);
    assert_eq!(
        execution_queue::requeue(pool, std::slice::from_ref(&tried))
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(
        execution_queue::requeue(pool, std::slice::from_ref(&tried))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(
        execution_queue::finish(pool, std::slice::from_ref(&failed))
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!late(&test, &failed, Some(&tried)).await);
    assert!(test.is(id, "status = 'scheduled'").await);
    assert_eq!(claim(pool).await.executions[0].attempt, 2);
    assert!(!late(&test, &failed, Some(&tried)).await);
    assert_eq!(
        execution_queue::finish(pool, &[succeeded(id, 2)]).await.unwrap().len(),
        1
    );
    assert!(
        execution_queue::finish(pool, &[succeeded(id, 2)])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(!late(&test, &succeeded(id, 2), None).await);
    let lates = "select count(*) from execution_attempt where late_outcome is not null";
    assert_eq!(test.database.count(lates).await, 0);
    // For an unknown execution there is no answer.
    let unknown = succeeded(crate::support::new_id(), 1);
    let results = [Late {
        finished: &unknown,
        requeued: None,
    }];
    assert!(execution_queue::keep_late(pool, &results).await.unwrap().is_empty());
    test.database.close().await;
}
