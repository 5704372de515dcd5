//! Policies of actions and rules: written, read, and applied to manual runs.

use crate::test_api::TestApi;
use attune_domain::execution::ExecutionStatus;
use serde_json::{Value, json};

async fn with_policy(concurrency: Value) -> TestApi {
    let api = TestApi::new().await;
    let action = json!({
        "ref": "core.deploy", "runtime_ref": "core.shell", "entry_point": "true", "concurrency": concurrency,
        "parameters_schema": {"type": "object", "properties": {"host": {"type": "string"}}},
    });
    let made = api.post("/api/v1/actions", action).await.expect(201);
    assert_eq!(made.body["data"]["concurrency"], concurrency);
    api
}

async fn run(api: &TestApi, host: &str, status: u16) -> Value {
    let body = json!({"action_ref": "core.deploy", "parameters": {"host": host}});
    api.post("/api/v1/executions", body).await.expect(status).body
}

async fn status(api: &TestApi, execution: &Value) -> Value {
    let path = format!(
        "/api/v1/executions/{}",
        execution["data"]["id"].as_str().expect("an id")
    );
    api.get(&path).await.expect(200).body["data"]["status"].clone()
}

#[tokio::test]
async fn a_rule_is_written_and_read_with_its_policies() {
    let api = TestApi::new().await;
    let policies = json!({
        "retry": {"max_attempts": 2},
        "concurrency": {"limit": 1, "overflow": "skip"},
        "rate_limit": {"limit": 10, "window_seconds": 60},
    });
    let mut rule = policies.clone();
    rule["ref"] = json!("core.limited");
    rule["trigger_ref"] = json!("core.timer_10s");
    rule["action_ref"] = json!("core.echo");
    api.post("/api/v1/rules", rule).await.expect(201);
    let path = "/api/v1/rules/core.limited";
    let found = api.get(path).await.expect(200).body;
    for (name, value) in policies.as_object().expect("an object") {
        assert_eq!(&found["data"][name], value, "{name}");
    }
    let changed = api.patch(path, json!({"concurrency": null})).await.expect(200).body;
    assert_eq!(changed["data"]["concurrency"], Value::Null);
    assert_eq!(changed["data"]["rate_limit"], policies["rate_limit"]);
    api.close().await;
}

#[tokio::test]
async fn a_manual_run_waits_for_its_concurrency_key() {
    let api = with_policy(json!({"limit": 1, "key": "{{ parameters.host }}"})).await;
    let first = run(&api, "a", 201).await;
    let second = run(&api, "a", 201).await;
    let other = run(&api, "b", 201).await;
    assert_eq!(status(&api, &first).await, "scheduled");
    assert_eq!(status(&api, &second).await, ExecutionStatus::Waiting.as_str());
    assert_eq!(status(&api, &other).await, "scheduled");
    let cancel = format!(
        "/api/v1/executions/{}/cancel",
        first["data"]["id"].as_str().expect("an id")
    );
    api.post(&cancel, json!({})).await.expect(200);
    assert_eq!(status(&api, &second).await, "scheduled");
    api.close().await;
}

#[tokio::test]
async fn a_manual_run_is_refused_or_replaces_another() {
    let api = with_policy(json!({"limit": 1, "overflow": "skip"})).await;
    let first = run(&api, "a", 201).await;
    let body = json!({"action_ref": "core.deploy", "parameters": {"host": "a"}});
    let refused = api.post("/api/v1/executions", body).await.expect(409);
    assert_eq!(refused.kind(), "skipped");
    let replace = json!({"concurrency": {"limit": 1, "overflow": "cancel_previous"}});
    api.patch("/api/v1/actions/core.deploy", replace).await.expect(200);
    let second = run(&api, "a", 201).await;
    let states = [status(&api, &first).await, status(&api, &second).await];
    assert_eq!(states, ["canceled", "scheduled"]);
    api.close().await;
}

/// Written with psql: never taken for "no retry" or "no limit".
#[tokio::test]
async fn an_invalid_policy_is_a_conflict_that_names_the_field() {
    let api = with_policy(json!({"limit": 1})).await;
    for (column, bad, field) in [
        ("retry", json!({}), "retry.max_attempts: is missing"),
        ("retry", json!(3), "retry: "),
        (
            "retry",
            json!({"max_attempts": "3"}),
            "retry.max_attempts: must be a whole number",
        ),
        (
            "retry",
            json!({"max_attempts": 3, "factor": 0}),
            "retry.factor: must be a number from 1",
        ),
        (
            "retry",
            json!({"max_attempts": 3, "on": ["never"]}),
            "retry.on: must be one of",
        ),
        (
            "concurrency",
            json!({"limit": 1, "overflow": "never"}),
            "concurrency.overflow",
        ),
        ("concurrency", json!({"limit": 1, "key": "{{"}), "concurrency.key"),
    ] {
        let written = format!(
            "update action set retry = null, concurrency = null; update action set {column} = '{bad}' where ref = 'core.deploy'"
        );
        api.database.execute(&written).await;
        let body = json!({"action_ref": "core.deploy", "parameters": {"host": "a"}});
        let refused = api.post("/api/v1/executions", body).await.expect(409);
        let received = refused.body["error"].to_string() + &refused.body["detail"].to_string();
        assert!(
            received.contains("the action core.deploy is misconfigured") && received.contains(field),
            "{bad}: {}",
            refused.body
        );
    }
    assert_eq!(api.database.count("select count(*) from execution").await, 0);
    api.close().await;
}
