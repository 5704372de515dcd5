//! Events from Attune itself: what ends badly is an event for the rules that subscribe, once, and loops are interrupted.

use crate::test_executor::{TestExecutor, ended};
use attune_common::store::{backlog, execution_queue, invariants, service_instance};
use attune_domain::execution::ExecutionStatus as S;
use attune_executor::{decide::Decider, rescue::LeaseReaper};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The trigger `core.<name>`, and a rule `t.on_<name>` that runs the action for each of its events.
async fn listen(executor: &TestExecutor, name: &str) {
    let sql = format!(
        r#"insert into trigger (ref, pack_id, label, kind) select 'core.{name}', id, 'S', 'system' from pack;
        insert into rule (ref, pack_id, label, trigger_id, action_id, action_params, created_at)
            select 't.on_{name}', p.id, 'R', t.id, a.id, '{{"host": "alert"}}', '2020-01-01'
            from pack p, trigger t, action a where t.ref = 'core.{name}'"#
    );
    executor.database.execute(&sql).await;
}

/// The payloads of the events of `core.<name>`, the oldest first.
async fn events(executor: &TestExecutor, name: &str) -> Vec<Value> {
    let sql = format!(
        "select coalesce(jsonb_agg(payload order by received_at, id), '[]') from event where trigger_ref = 'core.{name}'"
    );
    let found = executor.database.json(&sql).await;
    found.as_array().cloned().expect("a list")
}

async fn close(executor: TestExecutor) {
    let mut connection = executor.database.pool.acquire().await.expect("a connection");
    let found = invariants::violations(&mut connection)
        .await
        .expect("the invariants can be checked");
    let found: Vec<_> = found
        .iter()
        .filter(|found| found.invariant.starts_with("I16") || found.invariant.starts_with("I17"))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
    drop(connection);
    executor.database.close().await;
}

#[tokio::test]
async fn every_end_of_an_execution_is_one_event() {
    let overlap =
        json!({"concurrency": {"limit": 1, "key": "{{ event.payload.host }}", "overflow": "cancel_previous"}});
    let mut executor = TestExecutor::new(json!({}), overlap).await;
    listen(&executor, "execution_finished").await;
    executor
        .database
        .execute("update rule set enabled = true, condition = '\"false\"' where ref = 't.on_execution_finished'")
        .await;
    for (host, status) in [("a", S::Succeeded), ("b", S::Failed), ("c", S::TimedOut)] {
        executor.fire_and_decide(host).await.expect("it starts");
        let claimed = executor.claim_one().await;
        let mut end = ended(&claimed, status);
        end.exit_code = Some(3);
        end.error = Some("exit code 3".to_owned());
        end.result = Some(json!({"stdout": "out", "stderr": "é".repeat(2000)}));
        // As a worker whose first answer was lost does.
        for accepted in [1, 0] {
            let written = execution_queue::finish(&executor.database.pool, &[end.clone()]).await;
            assert_eq!(written.expect("a result").len(), accepted);
        }
    }
    // Canceled before it started, skipped while it waited, canceled while it ran, lost.
    let canceled = executor.fire_and_decide("d").await.expect("it starts");
    executor.cancel(canceled).await.expect("it can be canceled");
    executor.fire_and_decide("e").await.expect("it starts");
    let running = executor.claim_one().await;
    executor.fire_and_decide("e").await.expect("it waits");
    executor
        .fire_and_decide("e")
        .await
        .expect("it waits, and replaces the one before");
    executor.finish(&running, S::Canceled).await;
    executor.claim_one().await;
    assert_eq!(executor.rescue_later().await, 1);

    let events = events(&executor, "execution_finished").await;
    let statuses: Vec<&str> = events.iter().filter_map(|event| event["status"].as_str()).collect();
    assert_eq!(
        statuses,
        [
            "succeeded",
            "failed",
            "timed_out",
            "canceled",
            "skipped",
            "canceled",
            "lost"
        ]
    );
    let ids: BTreeSet<_> = events.iter().map(|event| event["execution_id"].to_string()).collect();
    assert_eq!(ids.len(), events.len(), "each execution has one event");
    let failed = &events[1];
    assert_eq!(failed["rule_ref"], "t.one");
    assert_eq!(failed["action_ref"], "t.act");
    assert_eq!(failed["exit_code"], 3);
    assert_eq!(failed["error"], "exit code 3");
    assert_eq!(failed["attempt"], 1);
    let tail = failed["output_tail"].as_str().expect("the end of the output");
    assert!(tail.len() <= 1024 && tail.ends_with('é'), "{tail}");
    assert_eq!(events[0]["output_tail"], "out", "a success shows its output");
    assert!(events[6]["error"].is_string(), "{}", events[6]);
    assert_eq!(events[3]["attempt"], 0, "it never started");
    close(executor).await;
}

#[tokio::test]
async fn failures_in_a_row_are_counted() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    listen(&executor, "execution_finished").await;
    executor
        .database
        .execute("update rule set condition = '\"false\"' where ref = 't.on_execution_finished'")
        .await;
    for status in [S::Failed, S::TimedOut, S::Canceled, S::Lost, S::Succeeded, S::Failed] {
        executor.fire_and_decide("a").await.expect("it starts");
        let claimed = executor.claim_one().await;
        if status == S::Canceled {
            executor.cancel(claimed.id).await.expect("it can be canceled");
        }
        executor.finish(&claimed, status).await;
    }
    let counts: Vec<Value> = events(&executor, "execution_finished")
        .await
        .iter()
        .map(|event| event["consecutive_failures"].clone())
        .collect();
    // One that was canceled neither counts nor resets.
    assert_eq!(counts, [1, 2, 2, 3, 0, 1].map(Value::from));
    close(executor).await;
}

/// Two batches that fail the same rules in opposite orders wait for each other, and do not deadlock.
#[tokio::test]
async fn concurrent_failures_of_two_rules_do_not_deadlock() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    listen(&executor, "execution_finished").await;
    executor
        .database
        .execute(
            "update rule set condition = '\"false\"' where ref = 't.on_execution_finished';
             update rule set enabled = true where ref = 't.two'",
        )
        .await;
    for _ in 0..20 {
        executor.fire("a").await;
    }
    executor.decide().await;
    let claimed = executor.claim().await;
    assert_eq!(claimed.len(), 40);
    let (even, odd): (Vec<_>, Vec<_>) = claimed
        .iter()
        .map(|claimed| ended(claimed, S::Failed))
        .enumerate()
        .partition(|(place, _)| place % 2 == 0);
    let batch = async |part: Vec<(usize, execution_queue::Finished)>| {
        let part: Vec<_> = part.into_iter().map(|(_, end)| end).collect();
        execution_queue::finish(&executor.database.pool, &part).await
    };
    let (one, two) = tokio::join!(batch(even), batch(odd));
    assert_eq!(one.expect("no deadlock").len() + two.expect("no deadlock").len(), 40);
    let most = "select (payload ->> 'consecutive_failures')::bigint from event where payload ->> 'rule_ref' = 't.one' order by 1 desc limit 1";
    assert_eq!(executor.database.count(most).await, 20);
    close(executor).await;
}

#[tokio::test]
async fn without_an_enabled_rule_there_is_no_event() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    listen(&executor, "execution_finished").await;
    for (disable, enable) in [
        (
            "update rule set enabled = false where ref = 't.on_execution_finished'",
            "update rule set enabled = true where ref = 't.on_execution_finished'",
        ),
        (
            "update trigger set enabled = false where kind = 'system'",
            "update trigger set enabled = true where kind = 'system'",
        ),
        (
            "insert into pack (ref, label, enabled) values ('off', 'Off', false);
             update trigger set pack_id = (select id from pack where ref = 'off') where kind = 'system'",
            "update pack set enabled = true where ref = 'off'",
        ),
    ] {
        executor.database.execute(disable).await;
        executor.fire_and_decide("a").await.expect("it starts");
        let claimed = executor.claim_one().await;
        executor.finish(&claimed, S::Failed).await;
        assert_eq!(
            events(&executor, "execution_finished").await,
            Vec::<Value>::new(),
            "{disable}"
        );
        executor.database.execute(enable).await;
        let subscribed = "select cardinality(subscribed)::bigint from definitions";
        assert_eq!(executor.database.count(subscribed).await, 1, "{enable}");
    }
    close(executor).await;
}

#[tokio::test]
async fn on_failure_runs_its_action() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    executor
        .database
        .execute(
            "insert into trigger (ref, pack_id, label, kind) select 'core.execution_finished', id, 'S', 'system' from pack",
        )
        .await;
    let on_failure = json!({"action_ref": "t.act", "action_params": {"host": "{{ event.payload.error }}"}});
    executor.set("rule", "t.one", &json!({"on_failure": on_failure})).await;
    for (status, runs) in [(S::Succeeded, 0), (S::Canceled, 0), (S::Failed, 1)] {
        executor.fire_and_decide("a").await.expect("it starts");
        let claimed = executor.claim_one().await;
        if status == S::Canceled {
            executor.cancel(claimed.id).await.expect("it can be canceled");
        }
        let mut end = ended(&claimed, status);
        end.error = Some("disk full".to_owned());
        let written = execution_queue::finish(&executor.database.pool, &[end]).await;
        assert!(written.expect("a result").iter().all(|accepted| accepted.has_event));
        executor.decide().await;
        let alerts = "select count(*) from execution where rule_ref = 't.one.on_failure' and parameters = '{\"host\": \"disk full\"}'";
        assert_eq!(executor.database.count(alerts).await, runs, "{status}");
    }
    // The failure of the alert itself is not one of the rule.
    let alert = executor.claim_one().await;
    executor.finish(&alert, S::Failed).await;
    executor.decide().await;
    assert!(executor.claim().await.is_empty());
    let owned = "select count(*) from rule where owner_rule_id is not null and enabled";
    executor.set("rule", "t.one", &json!({"enabled": false})).await;
    assert_eq!(executor.database.count(owned).await, 0, "it is enabled as its rule is");
    executor.set("rule", "t.one", &json!({"enabled": true})).await;
    assert_eq!(executor.database.count(owned).await, 1);
    executor.set("rule", "t.one", &json!({"on_failure": null})).await;
    assert_eq!(executor.database.count(owned).await, 0, "it is removed");
    close(executor).await;
}

/// A rule that runs when any execution ends starts itself again: it runs twice, and then it is skipped.
#[tokio::test]
async fn a_rule_that_starts_itself_is_interrupted() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    listen(&executor, "execution_finished").await;
    executor.fire_and_decide("a").await.expect("it starts");
    let mut runs = 0;
    loop {
        let claimed = executor.claim().await;
        if claimed.is_empty() {
            break;
        }
        runs += claimed.len();
        assert!(runs < 10, "the loop is not interrupted");
        for claimed in claimed {
            executor.finish(&claimed, S::Succeeded).await;
        }
        executor.decide().await;
    }
    assert_eq!(runs, 3, "the first rule, and twice the other");
    let (status, reason) = executor.enforcement().await;
    assert_eq!(status, "skipped");
    let reason = reason.expect("a reason");
    assert!(reason.starts_with("loop: "), "{reason}");
    let depths = "select jsonb_agg(cardinality(chain) order by received_at, id) from event";
    assert_eq!(executor.database.json(depths).await, json!([null, 1, 2, 3]));
    close(executor).await;
}

#[tokio::test]
async fn a_failed_rule_is_one_event() {
    let mut executor = TestExecutor::new(
        json!({}),
        json!({"action_params": {"host": "{{ event.payload.host / 0 }}"}}),
    )
    .await;
    listen(&executor, "rule_failed").await;
    // It fails, too, on the event about itself, until the loop guard stops it.
    executor
        .set(
            "rule",
            "t.on_rule_failed",
            &json!({"action_params": {"host": "{{ 1 / event.payload.nothing }}"}}),
        )
        .await;
    assert_eq!(executor.fire_and_decide("a").await, None);
    let events = events(&executor, "rule_failed").await;
    assert_eq!(events[0]["rule_ref"], "t.one");
    assert!(
        events[0]["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
        "{}",
        events[0]
    );
    assert!(events.len() <= 3, "{events:#?}");
    close(executor).await;
}

#[tokio::test]
async fn a_quarantined_event_is_one_event() {
    let mut executor = TestExecutor::new(json!({}), json!({})).await;
    listen(&executor, "event_quarantined").await;
    let event = executor.fire("a").await;
    let exhaust =
        "update event_queue set tries = 7, lease_until = db_now() - interval '1 second', last_error = 'it hangs'";
    executor.database.execute(exhaust).await;
    let mut decider = Decider::new(&executor.context);
    decider.round(true).await.expect("a round");
    let found = events(&executor, "event_quarantined").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["event_id"], event.to_string());
    assert_eq!(found[0]["trigger_ref"], "t.tick");
    assert_eq!(found[0]["error"], "it hangs");
    // The event about it is quarantined as well: that is not reported again.
    executor
        .database
        .execute(&format!("{exhaust} where quarantined_at is null"))
        .await;
    decider.round(true).await.expect("a round");
    let quarantined = "select count(*) from event_queue where quarantined_at is not null";
    assert_eq!(executor.database.count(quarantined).await, 2);
    assert_eq!(events(&executor, "event_quarantined").await.len(), 1);
    executor.database.close().await;
}

#[tokio::test]
async fn a_lost_worker_is_one_event() {
    let executor = TestExecutor::new(json!({}), json!({})).await;
    listen(&executor, "worker_lost").await;
    let instance = service_instance::Instance {
        id: executor.context.instance,
        kind: "worker",
        host: "host-1".to_owned(),
        pid: 4711,
        version: "0.1.0",
    };
    let detail = json!({"pool": "gpu"});
    for lost in [1, 2] {
        service_instance::beat(&executor.database.pool, &instance, &detail)
            .await
            .expect("a heartbeat");
        let round = async || LeaseReaper::new(&executor.context).round(&executor.context).await;
        round().await.expect("a round");
        assert_eq!(events(&executor, "worker_lost").await.len(), lost - 1, "it is alive");
        let silent = "update service_instance set heartbeat_at = heartbeat_at - interval '31 s'";
        executor.database.execute(silent).await;
        for _ in 0..2 {
            round().await.expect("a round");
        }
        let found = events(&executor, "worker_lost").await;
        assert_eq!(found.len(), lost, "{found:#?}");
        assert_eq!(
            (&found[0]["host"], &found[0]["pool"]),
            (&json!("host-1"), &json!("gpu"))
        );
    }
    close(executor).await;
}

#[tokio::test]
async fn a_pool_without_a_worker_is_one_event() {
    let executor = TestExecutor::new(json!({}), json!({})).await;
    listen(&executor, "pool_unserved").await;
    for (unserved, expected) in [
        (vec![("gpu", 2)], 1),
        (vec![("gpu", 3)], 1),
        (vec![], 1),
        (vec![("gpu", 1)], 2),
    ] {
        backlog::record_unserved(&executor.database.pool, &unserved)
            .await
            .expect("it is recorded");
        let found = events(&executor, "pool_unserved").await;
        assert_eq!(found.len(), expected, "{found:#?}");
        assert_eq!((&found[0]["pool"], &found[0]["executions"]), (&json!("gpu"), &json!(2)));
    }
    close(executor).await;
}

#[tokio::test]
async fn definitions_and_services_are_events() {
    let executor = TestExecutor::new(json!({}), json!({})).await;
    for name in ["definition_changed", "service_started"] {
        listen(&executor, name).await;
    }
    let before = events(&executor, "definition_changed").await.len();
    executor
        .database
        .execute(
            "update rule set label = 'New' where ref in ('t.one', 't.two');
             update rule set label = 'New' where ref = 't.one';
             insert into pack (ref, label) values ('new', 'New');
             delete from pack where ref = 'new';
             insert into service_instance (id, kind, host, pid, version) values (gen_random_uuid(), 'sensor', 'h', 1, '0.1.0');
             update service_instance set heartbeat_at = db_now()",
        )
        .await;
    let changes = events(&executor, "definition_changed").await;
    let changes: Vec<String> = changes[before..]
        .iter()
        .map(|event| format!("{} {} {}", event["kind"], event["ref"], event["change"]).replace('"', ""))
        .collect();
    let mut sorted = changes.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [
            "pack new created",
            "pack new deleted",
            "rule t.one updated",
            "rule t.two updated"
        ],
        "an unchanged row is not reported"
    );
    let started = events(&executor, "service_started").await;
    assert_eq!(started.len(), 1, "{started:#?}");
    assert_eq!(started[0]["kind"], "sensor");
    close(executor).await;
}
