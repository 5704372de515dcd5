//! A rescue races with the worker, which is still alive.

use super::{TERM, a_session_waits, again, claim, expire, late, rescue_to, succeeded, test};
use attune_common::store::{
    Transaction,
    execution_queue::{self, AttemptKey},
    lease,
    rescue::{self, Scope},
};
use attune_domain::execution::ExecutionStatus;
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn a_late_finish_after_a_rescue_changes_nothing() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    expire(&test).await;
    let found = rescue::find(pool, Scope::All, Duration::ZERO, Duration::ZERO, 10)
        .await
        .unwrap();
    assert_eq!((found.len(), found[0].attempt), (1, 1));
    let rescued = rescue::resolve(pool, &rescue_to(id, 1, ExecutionStatus::Scheduled), Duration::ZERO).await;
    assert_eq!(rescued.unwrap(), [id]);
    // Before and after another worker has started it.
    assert!(
        execution_queue::finish(pool, &[succeeded(id, 1)])
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(claim(pool).await.executions[0].attempt, 2);
    assert!(
        execution_queue::finish(pool, &[succeeded(id, 1)])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(late(&test, &succeeded(id, 1), None).await);
    assert!(
        test.is(id, "status = 'running' and attempt = 2 and result is null")
            .await
    );
    let accepted = execution_queue::finish(pool, &[succeeded(id, 2)]).await.unwrap();
    assert_eq!(
        accepted.iter().map(|one| one.held()).collect::<Vec<_>>(),
        [AttemptKey { id, attempt: 2 }]
    );
    assert!(test.is(id, "status = 'succeeded' and result = '{\"of\": 2}'").await);
    let late_results =
        "select count(*) from execution_attempt where attempt = 1 and outcome = 'lost' and late_outcome = 'succeeded'";
    assert_eq!(test.database.count(late_results).await, 1);
    test.database.close().await;
}

#[tokio::test]
async fn a_rescue_skips_an_execution_that_is_being_finished() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    expire(&test).await;
    let lost = rescue_to(id, 1, ExecutionStatus::Lost);
    let mut finishing = Transaction::begin(pool).await.unwrap();
    execution_queue::finish(&mut *finishing, &[succeeded(id, 1)])
        .await
        .unwrap();
    assert!(rescue::resolve(pool, &lost, Duration::ZERO).await.unwrap().is_empty());
    finishing.commit().await.unwrap();
    assert!(rescue::resolve(pool, &lost, Duration::ZERO).await.unwrap().is_empty());
    assert!(test.is(id, "status = 'succeeded'").await);
    test.database.close().await;
}

#[tokio::test]
async fn a_finish_that_waits_for_a_rescue_is_late() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    expire(&test).await;
    let mut rescuing = Transaction::begin(pool).await.unwrap();
    let lost = rescue_to(id, 1, ExecutionStatus::Lost);
    assert_eq!(
        rescue::resolve(&mut *rescuing, &lost, Duration::ZERO).await.unwrap(),
        [id]
    );
    let ends = [succeeded(id, 1)];
    let (accepted, ()) = tokio::join!(execution_queue::finish(pool, &ends), async {
        a_session_waits(&test).await;
        rescuing.commit().await.unwrap();
    });
    assert!(accepted.unwrap().is_empty());
    assert!(late(&test, &ends[0], None).await);
    assert!(test.is(id, "status = 'lost' and result is null").await);
    test.database.close().await;
}

#[tokio::test]
async fn a_renewal_or_later_attempt_between_find_and_rescue_wins() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    let worker = Uuid::now_v7();
    execution_queue::claim(pool, "default", worker, 10, TERM).await.unwrap();
    expire(&test).await;
    assert_eq!(
        rescue::find(pool, Scope::All, Duration::ZERO, Duration::ZERO, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    // An expired lease that was not rescued can be renewed.
    let renewed = lease::renew(pool, worker, &[AttemptKey { id, attempt: 1 }], TERM)
        .await
        .unwrap();
    assert_eq!(renewed.len(), 1);
    let again_1 = rescue_to(id, 1, ExecutionStatus::Scheduled);
    assert!(
        rescue::resolve(pool, &again_1, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
    execution_queue::requeue(pool, &[again(id, 1)]).await.unwrap();
    execution_queue::claim(pool, "default", worker, 10, TERM).await.unwrap();
    expire(&test).await;
    assert!(
        rescue::resolve(pool, &again_1, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(test.is(id, "status = 'running' and attempt = 2").await);
    // Not for another worker, and not for an earlier attempt.
    for (who, attempt) in [(Uuid::now_v7(), 2), (worker, 1)] {
        let renewed = lease::renew(pool, who, &[AttemptKey { id, attempt }], TERM)
            .await
            .unwrap();
        assert!(renewed.is_empty());
    }
    test.database.close().await;
}

#[tokio::test]
async fn an_overdue_execution_is_lost_even_if_its_worker_renews() {
    let (test, id) = test().await;
    let pool = &test.database.pool;
    claim(pool).await;
    assert!(
        rescue::find(pool, Scope::All, Duration::ZERO, Duration::ZERO, 10)
            .await
            .unwrap()
            .is_empty()
    );
    test.database
        .execute("update execution_queue set deadline_at = db_now() - interval '61 s'")
        .await;
    let found = rescue::find(pool, Scope::All, Duration::ZERO, Duration::ZERO, 10)
        .await
        .unwrap();
    assert!(found.len() == 1 && found[0].overdue);
    let again_1 = rescue_to(id, 1, ExecutionStatus::Scheduled);
    assert!(
        rescue::resolve(pool, &again_1, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
    let lost = rescue_to(id, 1, ExecutionStatus::Lost);
    assert_eq!(rescue::resolve(pool, &lost, Duration::ZERO).await.unwrap(), [id]);
    test.database.close().await;
}
