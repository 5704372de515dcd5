//! Slots: which execution holds one, which one waits, and that every end frees it.

use crate::test_executor::{TestExecutor, ended, held};
use attune_common::store::{
    Transaction, execution,
    execution_queue::{self, Requeued},
    execution_start::{self, ByHand, Queued, Started},
};
use attune_domain::{
    ActionId, ExecutionId,
    execution::ExecutionStatus as S,
    policy::{Concurrency, Gates},
};
use attune_executor::slots;
use serde_json::{Value, json};
use std::time::Duration;

fn one() -> Value {
    json!({"concurrency": {"limit": 1}})
}

#[tokio::test]
async fn first_in_first_out() {
    let mut executor = TestExecutor::new(one(), json!({})).await;
    for _ in 0..5 {
        executor.fire("a").await;
    }
    executor.decide().await;
    let mut seen: Vec<ExecutionId> = Vec::new();
    for left in (0..5).rev() {
        let claimed = executor.claim_one().await;
        seen.push(claimed.id);
        let waiting = "select count(*) from execution where status = 'waiting'";
        assert_eq!(executor.database.count(waiting).await, left);
        executor.finish(&claimed, S::Succeeded).await;
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(executor.database.count("select count(*) from execution_queue").await, 0);
    executor.database.close().await;
}

#[tokio::test]
async fn keys_are_independent() {
    let policy = json!({"concurrency": {"limit": 1, "key": "{{ parameters.host }}"}});
    let mut executor = TestExecutor::new(policy, json!({})).await;
    let (a, b, again) = (
        executor.fire_and_decide("a").await,
        executor.fire_and_decide("b").await,
        executor.fire_and_decide("a").await,
    );
    assert_eq!(executor.status(a.expect("a")).await, S::Scheduled);
    assert_eq!(executor.status(b.expect("b")).await, S::Scheduled);
    assert_eq!(executor.status(again.expect("again")).await, S::Waiting);
    let keys = "select count(distinct action_key) from execution_queue";
    assert_eq!(executor.database.count(keys).await, 2);
    executor.database.close().await;
}

#[tokio::test]
async fn a_lost_worker_and_a_cancel_free_the_slot() {
    let mut executor = TestExecutor::new(one(), json!({})).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.extend(executor.fire_and_decide("a").await);
    }
    // Killed while it ran: the rescue frees the slot.
    assert_eq!(executor.claim_one().await.id, ids[0]);
    assert_eq!(executor.rescue_later().await, 1);
    assert_eq!(executor.status(ids[0]).await, S::Lost);
    assert_eq!(executor.status(ids[1]).await, S::Scheduled);
    // Canceled before it was started.
    assert_eq!(executor.cancel(ids[1]).await, Ok(S::Canceled));
    assert_eq!(executor.status(ids[2]).await, S::Scheduled);
    // Canceled while it ran: it keeps the slot until it has really stopped.
    let running = executor.claim_one().await;
    assert_eq!(executor.cancel(running.id).await, Ok(S::Canceling));
    assert_eq!(executor.status(ids[3]).await, S::Waiting);
    executor.finish(&running, S::Canceled).await;
    assert_eq!(executor.status(ids[3]).await, S::Scheduled);
    // Canceled while it waited: no slot is given twice.
    assert_eq!(executor.cancel(ids[4]).await, Ok(S::Canceled));
    assert_eq!(executor.claim_one().await.id, ids[3]);
    executor.database.close().await;
}

#[tokio::test]
async fn a_retry_keeps_the_slot() {
    let mut executor = TestExecutor::new(one(), json!({"retry": {"max_attempts": 2}})).await;
    let first = executor.fire_and_decide("a").await.expect("an execution");
    let second = executor.fire_and_decide("a").await.expect("an execution");
    let claimed = executor.claim_one().await;
    assert_eq!(
        (claimed.attempts_max, claimed.attempt),
        (2, 1),
        "the rule's retry counts"
    );
    let again = Requeued {
        held: held(&claimed),
        outcome: "failed".into(),
        error: None,
        delay: Duration::ZERO,
        life: None,
    };
    let accepted = execution_queue::requeue(&executor.database.pool, &[again]).await;
    assert_eq!(accepted.expect("a retry"), [held(&claimed)]);
    assert_eq!(executor.status(second).await, S::Waiting);
    let claimed = executor.claim_one().await;
    assert_eq!((claimed.id, claimed.attempt), (first, 2));
    executor.finish(&claimed, S::Failed).await;
    assert_eq!(executor.status(second).await, S::Scheduled);
    executor.database.close().await;
}

#[tokio::test]
async fn a_changed_policy_applies_to_waiting_executions() {
    let mut executor = TestExecutor::new(one(), json!({})).await;
    for _ in 0..6 {
        executor.fire_and_decide("a").await;
    }
    let ready = "select count(*) from execution_queue where ready";
    assert_eq!(executor.database.count(ready).await, 1);
    executor
        .set("action", "t.act", &json!({"concurrency": {"limit": 3}}))
        .await;
    slots::round(&executor.context).await.expect("a round");
    assert_eq!(executor.database.count(ready).await, 3);
    // A lower limit: holders keep their slots, and no other execution starts.
    executor.set("action", "t.act", &one()).await;
    let claimed = executor.claim().await;
    assert_eq!(claimed.len(), 3);
    executor.finish(&claimed[0], S::Succeeded).await;
    executor.finish(&claimed[1], S::Succeeded).await;
    slots::round(&executor.context).await.expect("a round");
    assert_eq!(executor.database.count(ready).await, 0);
    // No limit any more: the next end frees them all.
    executor.set("action", "t.act", &json!({"concurrency": null})).await;
    executor.finish(&claimed[2], S::Succeeded).await;
    assert_eq!(executor.database.count(ready).await, 3);
    executor.database.close().await;
}

#[tokio::test]
async fn a_missed_waiting_execution_is_found() {
    let mut executor = TestExecutor::new(one(), json!({})).await;
    let first = executor.fire_and_decide("a").await.expect("an execution");
    let second = executor.fire_and_decide("a").await.expect("an execution");
    let mut canceling = Transaction::begin(&executor.database.pool)
        .await
        .expect("a transaction");
    let stopped = execution::cancel(&mut canceling, second).await.expect("a cancel");
    assert_eq!(stopped, Some(Ok(S::Canceled)));
    // The slot becomes free while a cancellation of the only waiting execution is in progress and then rolled back.
    assert_eq!(executor.cancel(first).await, Ok(S::Canceled));
    canceling.rollback().await.expect("a rollback");
    assert_eq!(executor.status(second).await, S::Waiting);
    slots::round(&executor.context).await.expect("a round");
    assert_eq!(executor.claim_one().await.id, second);
    executor.database.close().await;
}

#[tokio::test]
async fn a_rule_with_many_waiting_executions_leaves_the_action_to_others() {
    let two = json!({"concurrency": {"limit": 2}});
    let mut executor = TestExecutor::new(two, one()).await;
    let first = executor.fire_and_decide("a").await.expect("an execution");
    let second = executor.fire_and_decide("a").await.expect("an execution");
    executor.set("rule", "t.one", &json!({"enabled": false})).await;
    executor.set("rule", "t.two", &json!({"enabled": true})).await;
    let other = executor.fire_and_decide("a").await.expect("an execution");
    let last = executor.fire_and_decide("a").await.expect("an execution");
    let claimed = executor.claim().await;
    let ids: Vec<_> = claimed.iter().map(|claimed| claimed.id).collect();
    assert_eq!(ids, [first, other], "the second waits for its rule only");
    // The rule's slot goes to the second execution, and the action's free slot to the last, which waited for it first.
    let by_line = "select count(*) from execution_queue where waits_for like 'rule:%'";
    assert_eq!(executor.database.count(by_line).await, 1);
    executor.finish(&claimed[0], S::Succeeded).await;
    assert_eq!(executor.database.count(by_line).await, 0);
    let ready = [executor.status(second).await, executor.status(last).await];
    assert_eq!(
        ready,
        [S::Scheduled, S::Waiting],
        "the older one gets the action's slot first"
    );
    executor.finish(&claimed[1], S::Succeeded).await;
    assert_eq!(executor.claim().await.len(), 2);
    executor.database.close().await;
}

#[tokio::test]
async fn a_manual_execution_obeys_the_limit_of_the_action() {
    let executor = TestExecutor::new(one(), json!({})).await;
    let action_id = ActionId(executor.database.count("select id from action").await);
    let start = async |overflow: &str| {
        let policy = json!({"limit": 1, "overflow": overflow});
        let concurrency = Concurrency::<ActionId>::parse(&policy).expect("a policy");
        let parameters = json!({});
        let gates = Gates {
            action: concurrency
                .gate(action_id, &attune_domain::event::Context::of_action(&parameters))
                .ok(),
            ..Gates::default()
        };
        let id = ExecutionId::random(attune_common::clock::now(), rand::random());
        let by_hand = ByHand {
            id,
            action_id,
            parameters: &parameters,
            attempts_max: 1,
            rerun_of: None,
            trace_id: id.0,
            definitions: None,
            gates: &gates,
        };
        let mut tx = Transaction::begin(&executor.database.pool)
            .await
            .expect("a transaction");
        let started = execution_start::start(&mut tx, &[by_hand])
            .await
            .expect("a start")
            .remove(0);
        tx.commit().await.expect("a commit");
        started
    };
    assert!(matches!(
        start("queue").await,
        Started::Queued(Queued {
            status: S::Scheduled,
            ..
        })
    ));
    assert!(matches!(
        start("queue").await,
        Started::Queued(Queued { status: S::Waiting, .. })
    ));
    let Started::Refused(reason) = start("skip").await else {
        panic!("the key is full");
    };
    assert!(reason.contains("limit of 1 is reached"), "{reason}");
    let first = executor.claim_one().await;
    let accepted = execution_queue::finish(&executor.database.pool, &[ended(&first, S::Succeeded)]).await;
    assert!(accepted.expect("a result")[0].had_slot);
    executor.claim_one().await;
    executor.database.close().await;
}
