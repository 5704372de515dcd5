//! Executions that a policy prevents from starting.

use crate::test_executor::TestExecutor;
use attune_common::{bus::Control, testing::eventually};
use attune_domain::execution::ExecutionStatus as S;
use attune_executor::{corrupt, slots};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn skip() {
    let rule = json!({"concurrency": {"limit": 1, "overflow": "skip"}});
    let mut executor = TestExecutor::new(json!({}), rule).await;
    executor.fire_and_decide("a").await.expect("the first starts");
    assert_eq!(executor.fire_and_decide("a").await, None);
    let (status, reason) = executor.enforcement().await;
    assert_eq!(status, "skipped");
    assert!(reason.is_some_and(|reason| reason.contains("the rule's concurrency limit of 1 is reached")));
    let claimed = executor.claim_one().await;
    assert_eq!(
        executor.fire_and_decide("a").await,
        None,
        "a running one counts as well"
    );
    executor.finish(&claimed, S::Failed).await;
    executor.fire_and_decide("a").await.expect("the slot is free again");
    executor.database.close().await;
}

#[tokio::test]
async fn cancel_previous() {
    let action = json!({"concurrency": {"limit": 1, "overflow": "cancel_previous"}});
    let mut executor = TestExecutor::new(action, json!({})).await;
    let mut controls = executor.context.bus.controls();
    let first = executor.fire_and_decide("a").await.expect("an execution");
    let second = executor.fire_and_decide("a").await.expect("an execution");
    assert_eq!(executor.status(first).await, S::Canceled, "it had not started");
    let running = executor.claim_one().await;
    assert_eq!(running.id, second);
    let third = executor.fire_and_decide("a").await.expect("an execution");
    assert_eq!(executor.status(second).await, S::Canceling);
    let heard = tokio::time::timeout(Duration::from_secs(5), controls.recv()).await;
    assert_eq!(heard, Ok(Control::Cancel { execution_id: second }));
    assert_eq!(
        executor.status(third).await,
        S::Waiting,
        "not before the second has stopped"
    );
    let fourth = executor.fire_and_decide("a").await.expect("an execution");
    assert_eq!(executor.status(third).await, S::Skipped, "it never started");
    executor.finish(&running, S::Canceled).await;
    assert_eq!(executor.claim_one().await.id, fourth);
    slots::round(&executor.context).await.expect("a round");
    assert_eq!(executor.status(fourth).await, S::Running, "the newest stays");
    executor.database.close().await;
}

#[tokio::test]
async fn a_missed_cancellation_is_made_up_for() {
    let queue = json!({"concurrency": {"limit": 1}});
    let mut executor = TestExecutor::new(queue, json!({})).await;
    let first = executor.fire_and_decide("a").await.expect("an execution");
    let second = executor.fire_and_decide("a").await.expect("an execution");
    // As if the executor had died between its commit and the cancel.
    let replaces = json!({"concurrency": {"limit": 1, "overflow": "cancel_previous"}});
    executor.set("action", "t.act", &replaces).await;
    slots::round(&executor.context).await.expect("a round");
    let states = [executor.status(first).await, executor.status(second).await];
    assert_eq!(states, [S::Canceled, S::Scheduled]);
    executor.database.close().await;
}

#[tokio::test]
async fn throttle() {
    let rule = json!({"rate_limit": {"limit": 3, "window_seconds": 60}});
    let mut executor = TestExecutor::new(json!({}), rule).await;
    let created = "select count(*) from enforcement where status = 'created'";
    let throttled =
        "select count(*) from enforcement where status = 'throttled' and reason = 'rate_limit: 3 in 60 seconds'";
    for _ in 0..5 {
        executor.fire("a").await;
    }
    executor.decide().await;
    assert_eq!(executor.database.count(created).await, 3);
    assert_eq!(executor.database.count(throttled).await, 2);
    assert_eq!(executor.database.count("select count(*) from execution").await, 3);
    // The window slides; throttled ones do not count.
    executor.database.move_clock("59 seconds").await;
    assert_eq!(executor.fire_and_decide("a").await, None);
    executor.database.move_clock("61 seconds").await;
    for _ in 0..4 {
        executor.fire_and_decide("a").await;
    }
    assert_eq!(executor.database.count(created).await, 6);
    assert_eq!(executor.database.count(throttled).await, 4);
    executor.database.close().await;
}

#[tokio::test]
async fn a_failed_evaluation_is_a_failed_enforcement() {
    let key = json!({"concurrency": {"limit": 1, "key": "{{ parameters.nope }}"}});
    let mut executor = TestExecutor::new(key, json!({})).await;
    let check = async |executor: &mut TestExecutor, expected: &str| {
        assert_eq!(executor.fire_and_decide("a").await, None);
        let (status, reason) = executor.enforcement().await;
        assert_eq!(status, "failed");
        assert!(
            reason.as_ref().is_some_and(|reason| reason.contains(expected)),
            "{reason:?}"
        );
    };
    check(&mut executor, "parameters.nope is missing").await;
    executor
        .set("rule", "t.one", &json!({"concurrency": {"limit": 1, "overflow": "x"}}))
        .await;
    check(&mut executor, "concurrency.overflow").await;
    executor.database.close().await;
}

/// Finishing transactions read limits, so the database rejects invalid ones.
#[tokio::test]
async fn a_limit_is_a_number_also_in_sql() {
    let executor = TestExecutor::new(json!({}), json!({})).await;
    for bad in [
        r#"{"limit": "1"}"#,
        "{}",
        "[]",
        r#"{"limit": 0}"#,
        r#"{"limit": 1e300}"#,
    ] {
        let sql = format!(
            "do $$ begin update action set concurrency = '{bad}'; raise 'accepted'; exception when check_violation then end $$"
        );
        executor.database.execute(&sql).await;
    }
    executor.database.close().await;
}

#[tokio::test]
async fn health_lists_corrupt_definitions() {
    let executor = TestExecutor::new(json!({}), json!({})).await;
    executor
        .context
        .spawn("definitions", corrupt::run(executor.context.clone()));
    let health = async |status: &str| {
        eventually(status, Duration::from_secs(20), async || {
            let part = executor.context.health.part("definitions");
            (part["status"] == status).then_some(part)
        })
        .await
    };
    health("ok").await;
    executor
        .set("action", "t.act", &json!({"retry": {"max_attempts": "three"}}))
        .await;
    executor.set("rule", "t.two", &json!({"condition": {"all": 7}})).await;
    executor
        .set("trigger", "t.tick", &json!({"config": {"dedup_window_seconds": 1}}))
        .await;
    let webhook = r#"{"verify": "github", "secret": {"sealed": "v1:AA=="}, "wait_seconds": 99}"#;
    executor
        .database
        .execute(&format!(
            "insert into trigger (ref, pack_id, label, kind, config)
             select 't.hook', pack_id, 'Hook', 'webhook', '{webhook}' from trigger where ref = 't.tick'"
        ))
        .await;
    let part = eventually("four of them", Duration::from_secs(20), async || {
        let part = executor.context.health.part("definitions");
        (part["corrupt"] == 4).then_some(part)
    })
    .await;
    assert_eq!(part["status"], "degraded");
    for flaw in [
        "the action t.act is misconfigured: retry.max_attempts",
        "the rule t.two is misconfigured: condition.all",
        "the trigger t.tick is misconfigured: config.dedup_window_seconds",
        "the trigger t.hook is misconfigured: config.wait_seconds",
    ] {
        assert!(part["definitions"].to_string().contains(flaw), "{flaw}: {part}");
    }
    assert!(
        !part["definitions"].to_string().contains("secret"),
        "an encrypted secret is valid: {part}"
    );
    executor
        .database
        .execute("delete from trigger where ref = 't.hook'")
        .await;
    executor.set("action", "t.act", &json!({"retry": null})).await;
    executor.set("rule", "t.two", &json!({"condition": null})).await;
    executor.set("trigger", "t.tick", &json!({"config": {}})).await;
    health("ok").await;
    executor.tasks.finish().await;
    executor.database.close().await;
}
