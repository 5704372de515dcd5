//! Slots: who holds one, who waits, and that every way out frees it.

use crate::stage::{Stage, ended, held};
use attune_common::store::{
    Transaction,
    execution::{self, ByHand, Started},
    execution_queue::{self, Requeued},
};
use attune_domain::{
    ActionId, ExecutionId,
    execution::ExecutionStatus as S,
    policy::{Concurrency, Gates, Owner},
};
use attune_executor::slots;
use serde_json::{Value, json};
use std::time::Duration;

fn one() -> Value {
    json!({"concurrency": {"limit": 1}})
}

#[tokio::test]
async fn first_in_first_out() {
    let mut stage = Stage::new(one(), json!({})).await;
    for _ in 0..5 {
        stage.fire("a").await;
    }
    stage.decide().await;
    let mut seen: Vec<ExecutionId> = Vec::new();
    for left in (0..5).rev() {
        let claimed = stage.claim_one().await;
        seen.push(claimed.id);
        let waiting = "select count(*) from execution where status = 'waiting'";
        assert_eq!(stage.database.count(waiting).await, left);
        stage.finish(&claimed, S::Succeeded).await;
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert_eq!(stage.database.count("select count(*) from execution_queue").await, 0);
    stage.database.close().await;
}

#[tokio::test]
async fn keys_are_independent() {
    let policy = json!({"concurrency": {"limit": 1, "key": "{{ parameters.host }}"}});
    let mut stage = Stage::new(policy, json!({})).await;
    let (a, b, again) = (
        stage.happen("a").await,
        stage.happen("b").await,
        stage.happen("a").await,
    );
    assert_eq!(stage.status(a.expect("a")).await, S::Scheduled);
    assert_eq!(stage.status(b.expect("b")).await, S::Scheduled);
    assert_eq!(stage.status(again.expect("again")).await, S::Waiting);
    let keys = "select count(distinct action_key) from execution_queue";
    assert_eq!(stage.database.count(keys).await, 2);
    stage.database.close().await;
}

#[tokio::test]
async fn a_lost_worker_and_a_cancel_free_the_slot() {
    let mut stage = Stage::new(one(), json!({})).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.extend(stage.happen("a").await);
    }
    // Killed while it ran: the rescue frees.
    assert_eq!(stage.claim_one().await.id, ids[0]);
    assert_eq!(stage.rescue_later().await, 1);
    assert_eq!(stage.status(ids[0]).await, S::Lost);
    assert_eq!(stage.status(ids[1]).await, S::Scheduled);
    // Canceled before it was started.
    assert_eq!(stage.cancel(ids[1]).await, Ok(S::Canceled));
    assert_eq!(stage.status(ids[2]).await, S::Scheduled);
    // Canceled while it ran: it keeps the slot until it has really stopped.
    let running = stage.claim_one().await;
    assert_eq!(stage.cancel(running.id).await, Ok(S::Canceling));
    assert_eq!(stage.status(ids[3]).await, S::Waiting);
    stage.finish(&running, S::Canceled).await;
    assert_eq!(stage.status(ids[3]).await, S::Scheduled);
    // Canceled while it waited: nobody gets a slot twice.
    assert_eq!(stage.cancel(ids[4]).await, Ok(S::Canceled));
    assert_eq!(stage.claim_one().await.id, ids[3]);
    stage.database.close().await;
}

#[tokio::test]
async fn a_retry_keeps_the_slot() {
    let mut stage = Stage::new(one(), json!({"retry": {"max_attempts": 2}})).await;
    let first = stage.happen("a").await.expect("an execution");
    let second = stage.happen("a").await.expect("an execution");
    let claimed = stage.claim_one().await;
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
    let accepted = execution_queue::requeue(&stage.database.pool, &[again]).await;
    assert_eq!(accepted.expect("a retry"), [held(&claimed)]);
    assert_eq!(stage.status(second).await, S::Waiting);
    let claimed = stage.claim_one().await;
    assert_eq!((claimed.id, claimed.attempt), (first, 2));
    stage.finish(&claimed, S::Failed).await;
    assert_eq!(stage.status(second).await, S::Scheduled);
    stage.database.close().await;
}

#[tokio::test]
async fn a_changed_policy_counts_for_those_that_wait() {
    let mut stage = Stage::new(one(), json!({})).await;
    for _ in 0..6 {
        stage.happen("a").await;
    }
    let ready = "select count(*) from execution_queue where ready";
    assert_eq!(stage.database.count(ready).await, 1);
    stage
        .set("action", "t.act", &json!({"concurrency": {"limit": 3}}))
        .await;
    slots::round(&stage.context).await.expect("a look");
    assert_eq!(stage.database.count(ready).await, 3);
    // Less again: those that hold slots keep them, and no other comes in.
    stage.set("action", "t.act", &one()).await;
    let claimed = stage.claim().await;
    assert_eq!(claimed.len(), 3);
    stage.finish(&claimed[0], S::Succeeded).await;
    stage.finish(&claimed[1], S::Succeeded).await;
    slots::round(&stage.context).await.expect("a look");
    assert_eq!(stage.database.count(ready).await, 0);
    // None any more: the next end frees them all.
    stage.set("action", "t.act", &json!({"concurrency": null})).await;
    stage.finish(&claimed[2], S::Succeeded).await;
    assert_eq!(stage.database.count(ready).await, 3);
    stage.database.close().await;
}

#[tokio::test]
async fn whoever_was_left_out_is_found() {
    let mut stage = Stage::new(one(), json!({})).await;
    let first = stage.happen("a").await.expect("an execution");
    let second = stage.happen("a").await.expect("an execution");
    let mut canceling = Transaction::begin(&stage.database.pool).await.expect("a transaction");
    let stopped = execution::cancel(&mut canceling, second).await.expect("a cancel");
    assert_eq!(stopped, Some(Ok(S::Canceled)));
    // The slot becomes free while the only one who waits is just being canceled, and then is not.
    assert_eq!(stage.cancel(first).await, Ok(S::Canceled));
    canceling.rollback().await.expect("a rollback");
    assert_eq!(stage.status(second).await, S::Waiting);
    slots::round(&stage.context).await.expect("a look");
    assert_eq!(stage.claim_one().await.id, second);
    stage.database.close().await;
}

#[tokio::test]
async fn a_rule_with_a_long_line_leaves_the_action_to_others() {
    let two = json!({"concurrency": {"limit": 2}});
    let mut stage = Stage::new(two, one()).await;
    let first = stage.happen("a").await.expect("an execution");
    let second = stage.happen("a").await.expect("an execution");
    stage.set("rule", "t.one", &json!({"enabled": false})).await;
    stage.set("rule", "t.two", &json!({"enabled": true})).await;
    let other = stage.happen("a").await.expect("an execution");
    let last = stage.happen("a").await.expect("an execution");
    let claimed = stage.claim().await;
    let ids: Vec<_> = claimed.iter().map(|claimed| claimed.id).collect();
    assert_eq!(ids, [first, other], "the second waits for its rule only");
    // The rule's slot goes to the second, and the action's, which is free then, to the last: it stood there first.
    let by_line = "select count(*) from execution_queue where waits_for like 'rule:%'";
    assert_eq!(stage.database.count(by_line).await, 1);
    stage.finish(&claimed[0], S::Succeeded).await;
    assert_eq!(stage.database.count(by_line).await, 0);
    let ready = [stage.status(second).await, stage.status(last).await];
    assert_eq!(
        ready,
        [S::Scheduled, S::Waiting],
        "in the action's line, the older first"
    );
    stage.finish(&claimed[1], S::Succeeded).await;
    assert_eq!(stage.claim().await.len(), 2);
    stage.database.close().await;
}

#[tokio::test]
async fn by_hand_obeys_the_action() {
    let stage = Stage::new(one(), json!({})).await;
    let action_id = ActionId(stage.database.count("select id from action").await);
    let start = async |overflow: &str| {
        let policy = json!({"limit": 1, "overflow": overflow});
        let concurrency = Concurrency::parse(&policy, Owner::Action(action_id)).expect("a policy");
        let parameters = json!({});
        let gates = Gates {
            action: concurrency
                .gate(&attune_domain::event::Context::of_action(&parameters))
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
            gates: &gates,
        };
        let mut tx = Transaction::begin(&stage.database.pool).await.expect("a transaction");
        let started = execution::start_by_hand(&mut tx, &by_hand).await.expect("a start");
        tx.commit().await.expect("a commit");
        started
    };
    assert!(matches!(
        start("queue").await,
        Started::Queued {
            status: S::Scheduled,
            ..
        }
    ));
    assert!(matches!(
        start("queue").await,
        Started::Queued { status: S::Waiting, .. }
    ));
    let Started::Refused(reason) = start("skip").await else {
        panic!("the key is full");
    };
    assert!(reason.contains("1 at once"), "{reason}");
    let first = stage.claim_one().await;
    let accepted = execution_queue::finish(&stage.database.pool, &[ended(&first, S::Succeeded)]).await;
    assert!(accepted.expect("a result")[0].had_slot);
    stage.claim_one().await;
    stage.database.close().await;
}
