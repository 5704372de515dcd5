//! Interleavings of two and three sessions: the second one changes nothing.

mod cancels;
mod repeats;
mod rescues;

use crate::support::{DEADLINE, TestWorker};
use attune_common::{
    store::{
        PgConnection, PgPool, Transaction, execution,
        execution_queue::{self, AttemptKey, Claim, Finished, Late, Requeued},
        rescue::Rescue,
    },
    testing::eventually,
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

const TERM: Duration = Duration::from_secs(30);

async fn test() -> (TestWorker, ExecutionId) {
    let test = TestWorker::new().await;
    let id = test.run("noop", ":", "", 3).await;
    (test, id)
}

async fn claim(pool: &PgPool) -> Claim {
    execution_queue::claim(pool, "default", Uuid::now_v7(), 10, TERM)
        .await
        .unwrap()
}

fn end(id: ExecutionId, attempt: i32, status: ExecutionStatus) -> Finished {
    Finished {
        held: AttemptKey { id, attempt },
        status,
        result: Some(json!({"of": attempt})),
        error: None,
        exit_code: None,
        life: None,
    }
}

fn succeeded(id: ExecutionId, attempt: i32) -> Finished {
    end(id, attempt, ExecutionStatus::Succeeded)
}

fn again(id: ExecutionId, attempt: i32) -> Requeued {
    Requeued {
        held: AttemptKey { id, attempt },
        outcome: "failed".into(),
        error: Some("exit code 1".to_owned()),
        delay: Duration::ZERO,
        life: None,
    }
}

fn rescue_to(id: ExecutionId, attempt: i32, to: ExecutionStatus) -> [Rescue; 1] {
    let held = AttemptKey { id, attempt };
    let reason = "gone".to_owned();
    [Rescue { held, to, reason }]
}

async fn expire(test: &TestWorker) {
    test.database
        .execute("update execution_queue set lease_until = db_now() - interval '1 minute' where not ready")
        .await;
}

async fn late(test: &TestWorker, finished: &Finished, requeued: Option<&Requeued>) -> bool {
    let results = [Late { finished, requeued }];
    let answer = execution_queue::keep_late(&test.database.pool, &results).await.unwrap();
    assert_eq!((answer.len(), answer[0].id), (1, finished.held.id));
    answer[0].late
}

/// Waits until some session of this database waits for a lock.
async fn a_session_waits(test: &TestWorker) {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually("a session to wait", DEADLINE, async || {
        (test.database.count(waiting).await == 1).then_some(())
    })
    .await;
}

async fn cancel(test: &TestWorker, id: ExecutionId) -> ExecutionStatus {
    let mut tx = Transaction::begin(&test.database.pool).await.unwrap();
    let to = execution::cancel(&mut tx, id).await.unwrap().unwrap().unwrap();
    tx.commit().await.unwrap();
    to
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    use sqlx::Executor as _;
    connection.execute(sqlx::AssertSqlSafe(sql.to_owned())).await.unwrap();
}
