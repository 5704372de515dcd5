//! Delayed executions start when they are due, and not at the next poll.

use crate::support::{DEADLINE, TestWorker};
use attune_common::testing::eventually;
use attune_domain::ExecutionId;

/// The longest permitted delay after the due time. Polling alone is 0.5 s late on average.
const SOON_MS: i64 = 250;

async fn late_ms(test: &TestWorker, ids: &[ExecutionId]) -> Vec<i64> {
    let mut late = Vec::new();
    for id in ids {
        let sql = format!(
            "select (1000 * extract(epoch from started_at - scheduled_at))::bigint from execution where id = '{}'",
            id.0
        );
        late.push(test.database.count(&sql).await);
    }
    late.sort_unstable();
    late
}

#[tokio::test]
async fn a_retry_starts_when_it_is_due() {
    let test = TestWorker::new().await;
    let mut ids = Vec::new();
    for (place, seconds) in [0.3, 0.7, 1.2, 1.6, 2.3, 3.1, 3.7, 4.4].into_iter().enumerate() {
        let retry = format!(r#"retry = '{{"max_attempts": 2, "backoff_seconds": {seconds}}}'"#);
        let action = test
            .action(&format!("second_time_{place}"), r#"[ "$ATTUNE_ATTEMPT" = 2 ]"#, &retry)
            .await;
        ids.push(test.start(action, 2).await);
    }
    let _worker = test.worker();
    for id in &ids {
        test.becomes(*id, "status = 'succeeded' and attempt = 2").await;
    }
    let late = late_ms(&test, &ids).await;
    // One of them may be late on a busy machine.
    assert!(late[late.len() - 2] < SOON_MS, "{late:?}");
    test.database.close().await;
}

/// The worker got no message about the delay.
#[tokio::test]
async fn an_execution_delayed_with_psql_starts_when_it_is_due() {
    let test = TestWorker::new().await;
    let action = test.action("noop", ":", "").await;
    let mut ids = Vec::new();
    for milliseconds in [2_600, 3_100, 3_700, 4_300, 5_050, 5_600] {
        let id = test.start(action, 1).await;
        let delay = format!(
            "with q as (update execution_queue set run_at = db_now() + interval '{milliseconds} ms' where execution_id = '{0}' returning run_at)
             update execution set scheduled_at = q.run_at from q where id = '{0}'",
            id.0
        );
        test.database.execute(&delay).await;
        ids.push(id);
    }
    let _worker = test.worker();
    eventually("all executions to succeed", DEADLINE, async || {
        (test
            .database
            .count("select count(*) from execution where status = 'succeeded'")
            .await
            == 6)
            .then_some(())
    })
    .await;
    let late = late_ms(&test, &ids).await;
    assert!(late[late.len() - 2] < SOON_MS, "{late:?}");
    test.database.close().await;
}
