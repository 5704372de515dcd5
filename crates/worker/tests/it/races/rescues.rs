//! A rescue and the worker that lives after all.

use super::{TERM, again, claim, expire, late, rescue_to, site, somebody_waits, succeeded};
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
    let (site, id) = site().await;
    let pool = &site.database.pool;
    claim(pool).await;
    expire(&site).await;
    let found = rescue::find(pool, Scope::All, Duration::ZERO, Duration::ZERO, 10)
        .await
        .unwrap();
    assert_eq!((found.len(), found[0].attempt), (1, 1));
    let rescued = rescue::resolve(pool, &rescue_to(id, 1, ExecutionStatus::Scheduled), Duration::ZERO).await;
    assert_eq!(rescued.unwrap(), [id]);
    // Before and after somebody else has started it.
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
    assert!(late(&site, &succeeded(id, 1), None).await);
    assert!(
        site.is(id, "status = 'running' and attempt = 2 and result is null")
            .await
    );
    let accepted = execution_queue::finish(pool, &[succeeded(id, 2)]).await.unwrap();
    assert_eq!(
        accepted.iter().map(|one| one.held()).collect::<Vec<_>>(),
        [AttemptKey { id, attempt: 2 }]
    );
    assert!(site.is(id, "status = 'succeeded' and result = '{\"of\": 2}'").await);
    let kept =
        "select count(*) from execution_attempt where attempt = 1 and outcome = 'lost' and late_outcome = 'succeeded'";
    assert_eq!(site.database.count(kept).await, 1);
    site.database.close().await;
}

#[tokio::test]
async fn a_rescue_passes_by_what_is_being_finished() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    claim(pool).await;
    expire(&site).await;
    let lost = rescue_to(id, 1, ExecutionStatus::Lost);
    let mut finishing = Transaction::begin(pool).await.unwrap();
    execution_queue::finish(&mut *finishing, &[succeeded(id, 1)])
        .await
        .unwrap();
    assert!(rescue::resolve(pool, &lost, Duration::ZERO).await.unwrap().is_empty());
    finishing.commit().await.unwrap();
    assert!(rescue::resolve(pool, &lost, Duration::ZERO).await.unwrap().is_empty());
    assert!(site.is(id, "status = 'succeeded'").await);
    site.database.close().await;
}

#[tokio::test]
async fn a_finish_that_waits_for_a_rescue_is_late() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    claim(pool).await;
    expire(&site).await;
    let mut rescuing = Transaction::begin(pool).await.unwrap();
    let lost = rescue_to(id, 1, ExecutionStatus::Lost);
    assert_eq!(
        rescue::resolve(&mut *rescuing, &lost, Duration::ZERO).await.unwrap(),
        [id]
    );
    let ends = [succeeded(id, 1)];
    let (accepted, ()) = tokio::join!(execution_queue::finish(pool, &ends), async {
        somebody_waits(&site).await;
        rescuing.commit().await.unwrap();
    });
    assert!(accepted.unwrap().is_empty());
    assert!(late(&site, &ends[0], None).await);
    assert!(site.is(id, "status = 'lost' and result is null").await);
    site.database.close().await;
}

#[tokio::test]
async fn a_renewal_or_a_later_attempt_that_comes_between_look_and_rescue_wins() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    let worker = Uuid::now_v7();
    execution_queue::claim(pool, "default", worker, 10, TERM).await.unwrap();
    expire(&site).await;
    assert_eq!(
        rescue::find(pool, Scope::All, Duration::ZERO, Duration::ZERO, 10)
            .await
            .unwrap()
            .len(),
        1
    );
    // Over, but not rescued: as good as any other.
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
    expire(&site).await;
    assert!(
        rescue::resolve(pool, &again_1, Duration::ZERO)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(site.is(id, "status = 'running' and attempt = 2").await);
    // Nobody renews for another, nor an attempt that is over.
    for (who, attempt) in [(Uuid::now_v7(), 2), (worker, 1)] {
        let renewed = lease::renew(pool, who, &[AttemptKey { id, attempt }], TERM)
            .await
            .unwrap();
        assert!(renewed.is_empty());
    }
    site.database.close().await;
}

#[tokio::test]
async fn what_is_long_past_its_deadline_is_lost_although_its_worker_renews() {
    let (site, id) = site().await;
    let pool = &site.database.pool;
    claim(pool).await;
    assert!(
        rescue::find(pool, Scope::All, Duration::ZERO, Duration::ZERO, 10)
            .await
            .unwrap()
            .is_empty()
    );
    site.database
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
    site.database.close().await;
}
