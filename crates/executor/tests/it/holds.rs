//! Slots under faults: frozen workers, rows locked by a foreign session, invalid policies.

use crate::test_executor::{TestExecutor, held};
use attune_common::{
    store::{DedicatedConnection, Error, PgConnection, Transaction, slot},
    testing::eventually,
};
use attune_domain::{ExecutionId, execution::ExecutionStatus as S};
use attune_executor::{rescue, slots};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(30);

fn one() -> Value {
    json!({"concurrency": {"limit": 1}})
}

/// A connection that proves that the worker of these tests exists.
async fn connect(executor: &TestExecutor) -> DedicatedConnection {
    let mut connection = DedicatedConnection::of_worker(&executor.database.pool, executor.context.instance);
    let nothing = async |_: &mut PgConnection| Ok::<_, Error>(());
    connection.with_timeout(DEADLINE, nothing).await.expect("a connection");
    connection
}

async fn lock(executor: &TestExecutor, table: &str, key: &str, id: ExecutionId) -> Transaction {
    let row = format!("select from {table} where {key} = '{}' for update", id.0);
    executor.database.hold(&row).await
}

#[tokio::test]
async fn a_slot_outlives_the_rescue_until_its_worker_ends_the_attempt() {
    let mut executor = TestExecutor::new(one(), json!({})).await;
    let first = executor.fire_and_decide("a").await.expect("an execution");
    let second = executor.fire_and_decide("a").await.expect("an execution");
    let claimed = executor.claim_one().await;
    assert_eq!(claimed.slot_keys.len(), 1);
    let _frozen = connect(&executor).await;
    assert_eq!(executor.rescue_later().await, 1);
    assert_eq!(executor.status(first).await, S::Lost, "it is resolved in time");
    assert_eq!(executor.status(second).await, S::Waiting);
    // Neither a round nor a newer execution gets the slot.
    slots::round(&executor.context).await.expect("a round");
    let third = executor.fire_and_decide("a").await.expect("an execution");
    assert_eq!(executor.status(second).await, S::Waiting);
    assert_eq!(executor.status(third).await, S::Waiting);
    let pool = &executor.database.pool;
    let still = [held(&claimed)];
    let end = async |worker, running: &[_]| slot::end_holds(pool, worker, running).await.expect("an answer");
    assert!(end(executor.context.instance, &still).await.is_empty(), "it still runs");
    assert!(end(uuid::Uuid::now_v7(), &[]).await.is_empty(), "of another worker");
    assert_eq!(end(executor.context.instance, &[]).await, ["default"]);
    assert_eq!(executor.claim_one().await.id, second);
    assert_eq!(executor.status(third).await, S::Waiting);
    executor.database.close().await;
}

#[tokio::test]
async fn a_slot_outlives_the_rescue_until_its_workers_connection_ends() {
    let mut executor = TestExecutor::new(one(), json!({})).await;
    executor.fire_and_decide("a").await.expect("an execution");
    let second = executor.fire_and_decide("a").await.expect("an execution");
    executor.claim_one().await;
    let mut frozen = connect(&executor).await;
    assert_eq!(executor.rescue_later().await, 1);
    let mut reaper = rescue::LeaseReaper::new(&executor.context);
    reaper.round(&executor.context).await.expect("a round");
    assert_eq!(executor.status(second).await, S::Waiting);
    frozen.close().await;
    eventually("the slot to be free", DEADLINE, async || {
        reaper.round(&executor.context).await.expect("a round");
        (executor.status(second).await == S::Scheduled).then_some(())
    })
    .await;
    executor.database.close().await;
}

/// The queue row keeps the slot, and the next attempt waits. After a cancellation the slot is still taken.
#[tokio::test]
async fn a_requeued_execution_waits_for_the_end_of_its_previous_attempt() {
    for cancel in [false, true] {
        let mut executor = TestExecutor::new(one(), json!({})).await;
        executor.database.execute("update action set on_lost = 'requeue'").await;
        let first = executor.fire_and_decide("a").await.expect("an execution");
        let second = executor.fire_and_decide("a").await.expect("an execution");
        executor.claim_one().await;
        let _frozen = connect(&executor).await;
        assert_eq!(executor.rescue_later().await, 1);
        assert_eq!(executor.status(first).await, S::Scheduled);
        assert!(executor.claim().await.is_empty());
        if cancel {
            assert_eq!(executor.cancel(first).await, Ok(S::Canceled));
            assert_eq!(executor.status(second).await, S::Waiting, "the attempt may still run");
        }
        let freed = slot::end_holds(&executor.database.pool, executor.context.instance, &[]).await;
        assert_eq!(freed.expect("an answer"), ["default"]);
        let next = executor.claim_one().await;
        assert_eq!((next.id, next.attempt), if cancel { (second, 1) } else { (first, 2) });
        executor.database.close().await;
    }
}

#[tokio::test]
async fn waiting_executions_skip_a_row_that_a_foreign_session_has_locked() {
    for (table, key) in [("execution", "id"), ("execution_queue", "execution_id")] {
        let mut executor = TestExecutor::new(one(), json!({})).await;
        executor.fire_and_decide("a").await.expect("an execution");
        let second = executor.fire_and_decide("a").await.expect("an execution");
        let third = executor.fire_and_decide("a").await.expect("an execution");
        let claimed = executor.claim_one().await;
        let locked = lock(&executor, table, key, second).await;
        executor.finish(&claimed, S::Succeeded).await;
        assert_eq!(executor.status(third).await, S::Scheduled);
        locked.rollback().await.expect("a rollback");
        let claimed = executor.claim_one().await;
        executor.finish(&claimed, S::Succeeded).await;
        assert_eq!(executor.claim_one().await.id, second);
        executor.database.close().await;
    }
}

#[tokio::test]
async fn making_room_skips_a_row_that_a_foreign_session_has_locked() {
    let policy = json!({"concurrency": {"limit": 1, "key": "{{ parameters.host }}", "overflow": "cancel_previous"}});
    let mut executor = TestExecutor::new(policy, json!({})).await;
    let mut running = Vec::new();
    for host in ["a", "b"] {
        running.push(executor.fire_and_decide(host).await.expect("an execution"));
    }
    assert_eq!(executor.claim().await.len(), 2);
    let locked = lock(&executor, "execution_queue", "execution_id", running[0]).await;
    for host in ["a", "b"] {
        executor.fire_and_decide(host).await.expect("an execution");
    }
    assert_eq!(executor.status(running[1]).await, S::Canceling);
    assert_eq!(executor.status(running[0]).await, S::Running);
    locked.rollback().await.expect("a rollback");
    slots::round(&executor.context).await.expect("a round");
    assert_eq!(executor.status(running[0]).await, S::Canceling);
    executor.database.close().await;
}

/// Written with psql: never treated as "no limit", and no obstacle for executions that hold a slot or wait for one.
#[tokio::test]
async fn an_invalid_limit_is_a_failed_enforcement() {
    for (bad, field) in [
        (json!({"limit": 1, "overflow": "never"}), "concurrency.overflow"),
        (json!({"limit": 1, "key": "{{"}), "concurrency.key"),
        (json!({"limit": 1, "keys": "a"}), "concurrency"),
        (json!({"limit": 1.5}), "concurrency.limit"),
    ] {
        let mut executor = TestExecutor::new(one(), json!({})).await;
        executor.fire_and_decide("a").await.expect("an execution");
        let second = executor.fire_and_decide("a").await.expect("an execution");
        let claimed = executor.claim_one().await;
        executor.set("action", "t.act", &json!({"concurrency": bad})).await;
        assert_eq!(executor.fire_and_decide("a").await, None);
        let (status, reason) = executor.enforcement().await;
        assert_eq!(status, "failed");
        let (reason, expected) = (
            reason.expect("a reason"),
            format!("the action t.act is misconfigured: {field}"),
        );
        assert!(reason.starts_with(&expected), "{reason}");
        executor.finish(&claimed, S::Succeeded).await;
        assert_eq!(executor.claim_one().await.id, second);
        executor.database.close().await;
    }
}

/// Written with psql: never treated as "no retry".
#[tokio::test]
async fn an_invalid_retry_policy_is_a_failed_enforcement() {
    for bad in [
        json!({}),
        json!([]),
        json!(3),
        json!("3"),
        json!({"max_attempts": "3"}),
        json!({"max_attempts": 3, "backoff_seconds": -1}),
        json!({"max_attempts": 3, "on": "failed"}),
        json!({"max_attempts": 3, "tries": 1}),
    ] {
        for (table, reference, owner) in [
            ("action", "t.act", "the action t.act"),
            ("rule", "t.one", "the rule t.one"),
        ] {
            let mut executor = TestExecutor::new(json!({}), json!({})).await;
            executor.set(table, reference, &json!({"retry": bad})).await;
            assert_eq!(executor.fire_and_decide("a").await, None);
            let (status, reason) = executor.enforcement().await;
            let reason = reason.expect("a reason");
            assert_eq!(status, "failed");
            assert!(
                reason.starts_with(&format!("{owner} is misconfigured: retry")),
                "{bad}: {reason}"
            );
            executor.database.close().await;
        }
    }
}

/// After a lease and the patience: the round runs when it is due, not a pause later.
#[tokio::test]
async fn the_work_of_a_dead_worker_is_resolved_as_soon_as_it_is_due() {
    let mut executor = TestExecutor::with_leases(json!({}), json!({}), 2, 4).await;
    let ids =
        [executor.fire_and_decide("a").await, executor.fire_and_decide("b").await].map(|id| id.expect("an execution"));
    let context = executor.context.clone();
    let status = attune_executor::status::Status::default();
    context.spawn("rescue", rescue::run(context.clone(), status));
    let began = Instant::now();
    eventually(
        "some time, so that rounds and leases are out of step",
        DEADLINE,
        async || (began.elapsed() > Duration::from_millis(1_700)).then_some(()),
    )
    .await;
    assert_eq!(executor.claim_for(Duration::from_secs(2)).await.len(), 2);
    for id in ids {
        eventually("it is lost", DEADLINE, async || {
            (executor.status(id).await == S::Lost).then_some(())
        })
        .await;
    }
    let late = "select max(1000 * extract(epoch from finished_at - started_at))::bigint - 6000 from execution";
    let late = executor.database.count(late).await;
    assert!((0..600).contains(&late), "{late} ms after it was due");
    executor.tasks.finish().await;
    executor.database.close().await;
}
