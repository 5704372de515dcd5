//! Queue rows that contradict their executions, because one of the two was changed with psql.

use crate::test_executor::TestExecutor;
use attune_domain::{ExecutionId, execution::ExecutionStatus as S};
use attune_executor::status;
use serde_json::json;

async fn end_behind_its_back(executor: &TestExecutor, id: ExecutionId) {
    for status in ["running", "succeeded"] {
        let sql =
            format!("update execution set status = '{status}', attempt = 1, started_at = now() where id = '{id}'");
        executor.database.execute(&sql).await;
    }
    let sql = format!("update execution set finished_at = now() where id = '{id}'");
    executor.database.execute(&sql).await;
}

async fn health(executor: &TestExecutor) -> serde_json::Value {
    status::report(executor.context.clone(), status::Status::default()).await;
    executor.context.health.part("executor")
}

#[tokio::test]
async fn a_contradictory_row_is_set_aside_and_stops_no_claim() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    let ended = executor.fire_and_decide("a").await.expect("an execution");
    let good = executor.fire_and_decide("b").await.expect("an execution");
    end_behind_its_back(&executor, ended).await;
    assert_eq!(health(&executor).await["contradictory"], json!([]), "not yet known");
    let claimed = executor.claim_one().await;
    assert_eq!(claimed.id, good);
    assert!(executor.claim().await.is_empty(), "it is not due again");
    let part = health(&executor).await;
    assert_eq!(part["status"], "degraded");
    let expected = format!("execution {ended} is ready to start in execution_queue, but succeeded");
    assert_eq!(part["contradictory"], json!([expected]));
    // As it was: a person decides about it.
    let kept = "select count(*) from execution_queue where ready and attempt = 0 and worker_id is null and run_at = 'infinity'";
    assert_eq!(executor.database.count(kept).await, 1);
    executor
        .database
        .execute(&format!("delete from execution_queue where execution_id = '{ended}'"))
        .await;
    assert_eq!(health(&executor).await["contradictory"], json!([]));
    executor.finish(&claimed, S::Succeeded).await;
    executor.database.close().await;
}

#[tokio::test]
async fn a_contradictory_lease_stops_no_rescue() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    let ended = executor.fire_and_decide("a").await.expect("an execution");
    let good = executor.fire_and_decide("b").await.expect("an execution");
    assert_eq!(executor.claim().await.len(), 2);
    executor
        .database
        .execute(&format!(
            "update execution set status = 'failed', finished_at = now() where id = '{ended}'"
        ))
        .await;
    executor
        .database
        .execute("update execution_queue set lease_until = now() - interval '1 hour'")
        .await;
    assert_eq!(executor.rescue_later().await, 1);
    assert_eq!(executor.status(good).await, S::Lost);
    let expected = format!("execution {ended} is leased in execution_queue, but failed");
    assert_eq!(health(&executor).await["contradictory"], json!([expected]));
    executor.database.close().await;
}
