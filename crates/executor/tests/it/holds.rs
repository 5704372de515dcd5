//! Slots under faults: workers that freeze, rows that a foreign session has locked, policies that cannot be read.

use crate::stage::{Stage, held};
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

/// A connection that shows that the stage's worker exists.
async fn connect(stage: &Stage) -> DedicatedConnection {
    let mut line = DedicatedConnection::of_worker(&stage.database.pool, stage.context.instance);
    let nothing = async |_: &mut PgConnection| Ok::<_, Error>(());
    line.with_timeout(DEADLINE, nothing).await.expect("a connection");
    line
}

async fn lock(stage: &Stage, table: &str, key: &str, id: ExecutionId) -> Transaction {
    let row = format!("select from {table} where {key} = '{}' for update", id.0);
    stage.database.hold(&row).await
}

#[tokio::test]
async fn a_slot_outlives_the_rescue_until_its_worker_says_that_the_attempt_is_over() {
    let mut stage = Stage::new(one(), json!({})).await;
    let first = stage.happen("a").await.expect("an execution");
    let second = stage.happen("a").await.expect("an execution");
    let claimed = stage.claim_one().await;
    assert_eq!(claimed.slot_keys.len(), 1);
    let _frozen = connect(&stage).await;
    assert_eq!(stage.rescue_later().await, 1);
    assert_eq!(stage.status(first).await, S::Lost, "it is resolved in time");
    assert_eq!(stage.status(second).await, S::Waiting);
    // Neither a sweep nor a newcomer gets the slot.
    slots::round(&stage.context).await.expect("a look");
    let third = stage.happen("a").await.expect("an execution");
    assert_eq!(stage.status(second).await, S::Waiting);
    assert_eq!(stage.status(third).await, S::Waiting);
    let pool = &stage.database.pool;
    let still = [held(&claimed)];
    let end = async |worker, running: &[_]| slot::end_holds(pool, worker, running).await.expect("an answer");
    assert!(end(stage.context.instance, &still).await.is_empty(), "it still runs");
    assert!(end(uuid::Uuid::now_v7(), &[]).await.is_empty(), "of another worker");
    assert_eq!(end(stage.context.instance, &[]).await, ["default"]);
    assert_eq!(stage.claim_one().await.id, second);
    assert_eq!(stage.status(third).await, S::Waiting);
    stage.database.close().await;
}

#[tokio::test]
async fn a_slot_outlives_the_rescue_until_its_workers_connection_ends() {
    let mut stage = Stage::new(one(), json!({})).await;
    stage.happen("a").await.expect("an execution");
    let second = stage.happen("a").await.expect("an execution");
    stage.claim_one().await;
    let mut frozen = connect(&stage).await;
    assert_eq!(stage.rescue_later().await, 1);
    let mut reaper = rescue::Reaper::new(&stage.context);
    reaper.round(&stage.context).await.expect("a look");
    assert_eq!(stage.status(second).await, S::Waiting);
    frozen.close().await;
    eventually("the slot to be free", DEADLINE, async || {
        reaper.round(&stage.context).await.expect("a look");
        (stage.status(second).await == S::Scheduled).then_some(())
    })
    .await;
    stage.database.close().await;
}

/// The row of the queue keeps the slot, and the next attempt waits. Canceled meanwhile, the slot is taken nevertheless.
#[tokio::test]
async fn what_is_to_start_again_waits_for_the_end_of_the_attempt_before() {
    for cancel in [false, true] {
        let mut stage = Stage::new(one(), json!({})).await;
        stage.database.execute("update action set on_lost = 'requeue'").await;
        let first = stage.happen("a").await.expect("an execution");
        let second = stage.happen("a").await.expect("an execution");
        stage.claim_one().await;
        let _frozen = connect(&stage).await;
        assert_eq!(stage.rescue_later().await, 1);
        assert_eq!(stage.status(first).await, S::Scheduled);
        assert!(stage.claim().await.is_empty());
        if cancel {
            assert_eq!(stage.cancel(first).await, Ok(S::Canceled));
            assert_eq!(stage.status(second).await, S::Waiting, "the attempt may still run");
        }
        let freed = slot::end_holds(&stage.database.pool, stage.context.instance, &[]).await;
        assert_eq!(freed.expect("an answer"), ["default"]);
        let next = stage.claim_one().await;
        assert_eq!((next.id, next.attempt), if cancel { (second, 1) } else { (first, 2) });
        stage.database.close().await;
    }
}

#[tokio::test]
async fn a_line_passes_by_what_a_foreign_session_has_locked() {
    for (table, key) in [("execution", "id"), ("execution_queue", "execution_id")] {
        let mut stage = Stage::new(one(), json!({})).await;
        stage.happen("a").await.expect("an execution");
        let second = stage.happen("a").await.expect("an execution");
        let third = stage.happen("a").await.expect("an execution");
        let claimed = stage.claim_one().await;
        let locked = lock(&stage, table, key, second).await;
        stage.finish(&claimed, S::Succeeded).await;
        assert_eq!(stage.status(third).await, S::Scheduled);
        locked.rollback().await.expect("a rollback");
        let claimed = stage.claim_one().await;
        stage.finish(&claimed, S::Succeeded).await;
        assert_eq!(stage.claim_one().await.id, second);
        stage.database.close().await;
    }
}

#[tokio::test]
async fn making_room_passes_by_what_a_foreign_session_has_locked() {
    let policy = json!({"concurrency": {"limit": 1, "key": "{{ parameters.host }}", "overflow": "cancel_previous"}});
    let mut stage = Stage::new(policy, json!({})).await;
    let mut running = Vec::new();
    for host in ["a", "b"] {
        running.push(stage.happen(host).await.expect("an execution"));
    }
    assert_eq!(stage.claim().await.len(), 2);
    let locked = lock(&stage, "execution_queue", "execution_id", running[0]).await;
    for host in ["a", "b"] {
        stage.happen(host).await.expect("an execution");
    }
    assert_eq!(stage.status(running[1]).await, S::Canceling);
    assert_eq!(stage.status(running[0]).await, S::Running);
    locked.rollback().await.expect("a rollback");
    slots::round(&stage.context).await.expect("a look");
    assert_eq!(stage.status(running[0]).await, S::Canceling);
    stage.database.close().await;
}

/// Written with psql: never taken for "no limit", and no hindrance to those that hold a slot or wait for one.
#[tokio::test]
async fn a_limit_that_cannot_be_read_is_a_failed_enforcement() {
    for (bad, field) in [
        (json!({"limit": 1, "overflow": "never"}), "concurrency.overflow"),
        (json!({"limit": 1, "key": "{{"}), "concurrency.key"),
        (json!({"limit": 1, "keys": "a"}), "concurrency"),
        (json!({"limit": 1.5}), "concurrency.limit"),
    ] {
        let mut stage = Stage::new(one(), json!({})).await;
        stage.happen("a").await.expect("an execution");
        let second = stage.happen("a").await.expect("an execution");
        let claimed = stage.claim_one().await;
        stage.set("action", "t.act", &json!({"concurrency": bad})).await;
        assert_eq!(stage.happen("a").await, None);
        let (status, reason) = stage.enforcement().await;
        assert_eq!(status, "failed");
        let (reason, said) = (
            reason.expect("a reason"),
            format!("the action t.act is misconfigured: {field}"),
        );
        assert!(reason.starts_with(&said), "{reason}");
        stage.finish(&claimed, S::Succeeded).await;
        assert_eq!(stage.claim_one().await.id, second);
        stage.database.close().await;
    }
}

/// Written with psql: never taken for "no retry".
#[tokio::test]
async fn a_retry_policy_that_cannot_be_read_is_a_failed_enforcement() {
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
            let mut stage = Stage::new(json!({}), json!({})).await;
            stage.set(table, reference, &json!({"retry": bad})).await;
            assert_eq!(stage.happen("a").await, None);
            let (status, reason) = stage.enforcement().await;
            let reason = reason.expect("a reason");
            assert_eq!(status, "failed");
            assert!(
                reason.starts_with(&format!("{owner} is misconfigured: retry")),
                "{bad}: {reason}"
            );
            stage.database.close().await;
        }
    }
}

/// A lease, the patience, and next to nothing more: the look comes when it is due, not up to another pause later.
#[tokio::test]
async fn the_work_of_a_dead_worker_is_resolved_as_soon_as_it_is_due() {
    let mut stage = Stage::with_leases(json!({}), json!({}), 2, 4).await;
    let ids = [stage.happen("a").await, stage.happen("b").await].map(|id| id.expect("an execution"));
    let context = stage.context.clone();
    let status = attune_executor::status::Status::default();
    context.spawn("rescue", rescue::run(context.clone(), status));
    let began = Instant::now();
    eventually(
        "a while, so that looks and leases are out of step",
        DEADLINE,
        async || (began.elapsed() > Duration::from_millis(1_700)).then_some(()),
    )
    .await;
    assert_eq!(stage.claim_for(Duration::from_secs(2)).await.len(), 2);
    for id in ids {
        eventually("it is lost", DEADLINE, async || {
            (stage.status(id).await == S::Lost).then_some(())
        })
        .await;
    }
    let late = "select max(1000 * extract(epoch from finished_at - started_at))::bigint - 6000 from execution";
    let late = stage.database.count(late).await;
    assert!((0..600).contains(&late), "{late} ms after it was due");
    stage.tasks.finish().await;
    stage.database.close().await;
}
