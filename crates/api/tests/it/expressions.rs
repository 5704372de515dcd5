//! Conditions and templates in the API: what is refused when a rule is written, and the results of dry runs.

use crate::test_api::{Call, TestApi};
use serde_json::{Value, json};

fn rule(condition: Value, message: &str) -> Value {
    json!({"ref": "core.r", "trigger_ref": "core.timer_10s", "action_ref": "core.echo", "condition": condition,
        "action_params": {"message": message}})
}

#[tokio::test]
async fn an_impossible_condition_is_refused_when_a_rule_is_written() {
    let api = TestApi::new().await;
    let refused = async |condition: Value, message: &str, field: &str, expected: &str| {
        let answer = api.post("/api/v1/rules", rule(condition, message)).await.expect(422);
        assert_eq!(answer.fields(), [field], "{}", answer.body);
        let found = answer.body["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(found.contains(expected), "{found}");
    };
    let clause = |path: &str| json!({"path": path, "operator": "not_equals", "value": 1});
    refused(
        clause("payload.items[-1]"),
        "x",
        "condition.path",
        "event.payload.items[-1]",
    )
    .await;
    refused(
        clause("payload.first name"),
        "x",
        "condition.path",
        "write `payload[\"first name\"]`",
    )
    .await;
    refused(clause("payload[a]"), "x", "condition.path", "write `payload.a`").await;
    refused(
        json!("event.payload.n | round('x')"),
        "x",
        "condition",
        "`precision` of `round`",
    )
    .await;
    refused(
        json!("event.payload.n | uper == 1"),
        "x",
        "condition",
        "did you mean \"upper\"?",
    )
    .await;
    refused(
        Value::Null,
        "{{ event.payload.n | split(1) }}",
        "action_params.message",
        "`separator` of `split`",
    )
    .await;
    refused(
        Value::Null,
        "{{ event.payload.x.length() }}",
        "action_params.message",
        "value | length",
    )
    .await;
    let mut missing = clause("payload.x");
    missing["missing"] = json!("no");
    refused(missing, "x", "condition.missing", "must be false").await;
    let taken =
        json!({"all": [clause("payload[\"a.b\"]"), clause("payload['x.y'][0].z"), clause("payload.items[0].x")]});
    api.post(
        "/api/v1/rules",
        rule(taken, "{{ event.payload.x | default('y', true) }}"),
    )
    .await
    .expect(201);
    api.close().await;
}

#[tokio::test]
async fn a_dry_run_names_both_types_and_what_is_missing() {
    let api = TestApi::new().await;
    let tried = async |condition: Value, payload: Value| {
        let body = json!({"action_ref": "core.echo", "condition": condition,
            "action_params": {"message": "x"}, "payload": payload});
        api.post("/api/v1/rules/test", body).await.expect(200).body["data"].clone()
    };
    let form = tried(json!("event.payload.body.total > 100"), json!({"body": {"total": "5"}})).await;
    assert_eq!(form["decision"], "fail", "{form}");
    let reason = form["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("a string (`event.payload.body.total`) with a number (`100`)"),
        "{reason}"
    );
    let opened = json!({"path": "payload.body.action", "operator": "equals", "value": "opened", "missing": false});
    let ping = tried(opened.clone(), json!({"body": {"zen": "Design for failure."}})).await;
    assert_eq!(ping["decision"], "skip", "{ping}");
    assert_eq!(ping["why"]["clause"]["missing"], json!(true), "{ping}");
    let real = tried(opened, json!({"body": {"action": "opened"}})).await;
    assert_eq!(real["decision"], "enforce", "{real}");
    api.close().await;
}

/// A rule that an earlier version accepted remains, fails with a reason, and can be renamed and disabled.
#[tokio::test]
async fn a_stored_rule_that_would_be_refused_now_fails_with_the_reason() {
    let api = TestApi::new().await;
    api.post("/api/v1/rules", rule(Value::Null, "x")).await.expect(201);
    let stored = [
        (
            json!({"path": "payload.a[-1]", "operator": "not_equals", "value": 1}),
            "an index counts from 0",
        ),
        (
            json!({"path": "payload.first name", "operator": "exists", "value": false}),
            "there is a blank",
        ),
        (json!("event.payload.n | round('x') > 1"), "`precision` of `round`"),
        (json!("event.payload.n > '1'"), "two numbers or two strings"),
    ];
    for (condition, expected) in stored {
        let update = format!(
            "update rule set condition = '{}' where ref = 'core.r'",
            condition.to_string().replace('\'', "''")
        );
        api.database.execute(&update).await;
        let body = json!({"rule_ref": "core.r", "payload": {"n": 3, "a": [1]}});
        let tried = api.post("/api/v1/rules/test", body).await.expect(200).body["data"].clone();
        assert_eq!(tried["decision"], "fail", "{tried}");
        assert!(
            tried["reason"].as_str().is_some_and(|reason| reason.contains(expected)),
            "{tried}"
        );
        api.send(Call::new("PATCH", "/api/v1/rules/core.r").json(json!({"label": format!("L {expected}")})))
            .await
            .expect(200);
        api.post("/api/v1/rules/core.r/disable", json!({})).await.expect(200);
        api.post("/api/v1/rules/core.r/enable", json!({})).await.expect(200);
    }
    let bad = json!({"condition": "event.payload.n | round('y')"});
    api.send(Call::new("PATCH", "/api/v1/rules/core.r").json(bad))
        .await
        .expect(422);
    api.close().await;
}
