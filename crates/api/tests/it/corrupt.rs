//! Corrupt definitions, written with psql: the object shows its flaws, can be corrected, and never falls back to a default.

use crate::test_api::TestApi;
use serde_json::{Value, json};

fn warned(answer: &Value, what: &str) {
    let warnings = answer["warnings"].to_string();
    assert!(
        warnings.contains("misconfigured") && warnings.contains(what),
        "{what}: {warnings}"
    );
}

#[tokio::test]
async fn a_corrupt_action_is_shown_with_its_flaws() {
    let api = TestApi::new().await;
    let path = "/api/v1/actions/core.echo";
    assert_eq!(api.get(path).await.expect(200).body["warnings"], Value::Null);
    for (change, flaw) in [
        (
            r#"retry = '{"max_attempts": "three"}'"#,
            "retry.max_attempts: must be a whole number",
        ),
        (r#"concurrency = '{"limit": 1, "key": "{{"}'"#, "concurrency.key"),
        (r#"resources = '{"memory_mb": 0}'"#, "resources.memory_mb"),
        (r#"parameters_schema = '{"type": 7}'"#, "parameters_schema.type"),
    ] {
        let columns = "retry = null, concurrency = null, resources = null";
        api.database
            .execute(&format!("update action set {columns} where ref = 'core.echo'"))
            .await;
        api.database
            .execute(&format!("update action set {change} where ref = 'core.echo'"))
            .await;
        warned(&api.get(path).await.expect(200).body, flaw);
        let patched = api.patch(path, json!({"label": change})).await.expect(200);
        warned(&patched.body, flaw);
    }
    api.database
        .execute("update action set parameters_schema = '{}', retry = '7', resources = null where ref = 'core.echo'")
        .await;
    let run = json!({"action_ref": "core.echo", "parameters": {"message": "x"}});
    let refused = api.post("/api/v1/executions", run.clone()).await.expect(409);
    assert!(
        refused.body["detail"].to_string().contains("retry: must be an object"),
        "{}",
        refused.body
    );
    let corrected = api.patch(path, json!({"retry": null})).await.expect(200);
    assert_eq!(corrected.body["warnings"], Value::Null);
    api.post("/api/v1/executions", run).await.expect(201);
    api.close().await;
}

#[tokio::test]
async fn a_corrupt_rule_is_shown_with_its_flaws() {
    let api = TestApi::new().await;
    let rule = json!({"ref": "core.r", "trigger_ref": "core.timer_1m", "action_ref": "core.noop"});
    api.post("/api/v1/rules", rule).await.expect(201);
    let path = "/api/v1/rules/core.r";
    for (change, flaw) in [
        (r#"condition = '{"all": 7}'"#, "condition.all"),
        (r"action_params = '[]'", "action_params"),
        (r#"rate_limit = '{"limit": 5}'"#, "rate_limit.window_seconds"),
        (r#"retry = '"often"'"#, "retry: must be an object"),
    ] {
        let reset = "condition = null, action_params = '{}', rate_limit = null, retry = null";
        api.database
            .execute(&format!("update rule set {reset} where ref = 'core.r'"))
            .await;
        api.database
            .execute(&format!("update rule set {change} where ref = 'core.r'"))
            .await;
        warned(&api.get(path).await.expect(200).body, flaw);
        warned(
            &api.post(&format!("{path}/disable"), json!({})).await.expect(200).body,
            flaw,
        );
    }
    api.close().await;
}

#[tokio::test]
async fn a_corrupt_trigger_takes_no_events_with_a_silent_default() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.t", "kind": "custom"}))
        .await
        .expect(201);
    api.database
        .execute(r#"update trigger set config = '{"dedup_window_seconds": "1h"}' where ref = 'core.t'"#)
        .await;
    let flaw = "config.dedup_window_seconds";
    warned(&api.get("/api/v1/triggers/core.t").await.expect(200).body, flaw);
    let event = json!({"trigger_ref": "core.t", "payload": {}, "dedup_key": "a"});
    let refused = api.post("/api/v1/events", event).await.expect(409);
    assert!(refused.body["detail"].to_string().contains(flaw), "{}", refused.body);
    api.patch("/api/v1/triggers/core.t", json!({"enabled": false}))
        .await
        .expect(200);
    api.close().await;
}
