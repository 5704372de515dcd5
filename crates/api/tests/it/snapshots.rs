//! Snapshots of answers: what clients, the web UI and the command line read. Ids, times and secrets are redacted.
//!
//! A changed answer fails its test. If the change is intended, run the test with `INSTA_UPDATE=always` and commit.

use crate::test_api::{Answer, Call, TestApi};
use serde_json::{Map, Value, json};

fn assert_snapshot(name: &str, answer: &Answer) {
    let mut shown = json!({"status": answer.status.as_u16()});
    for header in ["location", "etag", "allow"] {
        if !answer.header(header).is_empty() {
            shown[header] = redacted(header, &json!(answer.header(header)));
        }
    }
    shown["body"] = redacted("", &answer.body);
    insta::assert_json_snapshot!(name, shown);
}

/// Replaces what differs between two runs.
fn redacted(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let redact = |(name, value): (&String, &Value)| (name.clone(), redacted(name, value));
            Value::Object(fields.iter().map(redact).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| redacted(name, item)).collect(),
        Value::Number(_) if name == "id" || name.ends_with("_id") => json!("[number]"),
        Value::String(text) => json!(redacted_text(text)),
        other => other.clone(),
    }
}

fn redacted_text(text: &str) -> String {
    let is_secret = |word: &str| word.len() >= 32 && word.chars().all(|c| c.is_ascii_hexdigit());
    let is_uuid = |word: &str| word.len() == 36 && word.parse::<uuid::Uuid>().is_ok();
    if chrono::DateTime::parse_from_rfc3339(text).is_ok() && !text.starts_with("2027") {
        return "[time]".to_owned();
    }
    if text == env!("CARGO_PKG_VERSION") {
        return "[version]".to_owned();
    }
    let words = text.split_inclusive(['/', ' ', '_', ':']).map(|word| {
        let bare = word.trim_end_matches(['/', ' ', '_', ':']);
        if is_uuid(bare) {
            word.replace(bare, "[uuid]")
        } else if is_secret(bare) {
            word.replace(bare, "[secret]")
        } else {
            word.to_owned()
        }
    });
    words.collect()
}

const KEY: &str = "3b1f0c7d9e2a48566f7a8b9c0d1e2f30415263748596a7b8";

#[tokio::test]
async fn definitions() {
    let mut api = TestApi::new().await;
    api.configured(|config| config.security.encryption_key = Some(KEY.into()));
    let pack = json!({"ref": "shop", "label": "The shop"});
    assert_snapshot("pack_created", &api.post("/api/v1/packs", pack).await);
    assert_snapshot("runtime", &api.get("/api/v1/runtimes/core.shell").await);
    let action = json!({
        "ref": "shop.greet", "runtime_ref": "core.shell", "entry_point": "echo \"Hello ${name}\"",
        "parameters_schema": {"type": "object", "properties": {"name": {"type": "string"}}},
        "retry": {"max_attempts": 3}, "concurrency": {"limit": 1}, "resources": {"memory_mb": 64},
    });
    assert_snapshot("action_created", &api.post("/api/v1/actions", action).await);
    let timer = json!({"ref": "shop.nightly", "kind": "timer", "config": {"type": "cron", "expression": "30 2 * * *", "timezone": "Europe/Berlin"}});
    assert_snapshot("timer_created", &api.post("/api/v1/triggers", timer).await);
    let webhook = json!({"ref": "shop.order", "kind": "webhook", "config": {"verify": "github", "secret": "It's a Secret to Everybody"}});
    assert_snapshot("webhook_created", &api.post("/api/v1/triggers", webhook).await);
    let rule = json!({
        "ref": "shop.thank", "trigger_ref": "shop.order", "action_ref": "shop.greet",
        "condition": {"all": [{"path": "event.payload.body.total", "operator": "greater_than", "value": 100}]},
        "action_params": {"name": "{{ event.payload.body.customer }}"}, "rate_limit": {"limit": 10, "window_seconds": 60},
    });
    assert_snapshot("rule_created", &api.post("/api/v1/rules", rule).await);
    let inline =
        json!({"ref": "shop.hourly", "trigger": {"type": "interval", "seconds": 3600}, "action_ref": "core.echo"});
    assert_snapshot("rule_with_inline_timer", &api.post("/api/v1/rules", inline).await);
    let patched = api
        .patch("/api/v1/actions/shop.greet", json!({"timeout_seconds": 60}))
        .await;
    assert_snapshot("action_updated", &patched);
    assert_snapshot("packs", &api.get("/api/v1/packs").await);
    assert_snapshot("rules", &api.get("/api/v1/rules?limit=1").await);
    assert_snapshot("timers", &api.get("/api/v1/timers?limit=1").await);
    let occurrences = "/api/v1/triggers/shop.nightly/occurrences?from=2027-03-27&limit=3";
    assert_snapshot("occurrences", &api.get(occurrences).await);
    let preview = json!({"config": {"type": "interval", "seconds": 10}, "after": "2027-01-20T15:00:00Z", "limit": 2});
    assert_snapshot("timer_preview", &api.post("/api/v1/timers/preview", preview).await);
    let rotated = api
        .post("/api/v1/triggers/shop.order/rotate-key", json!({"overlap_seconds": 60}))
        .await;
    assert_snapshot("webhook_key_rotated", &rotated);
    api.close().await;
}

#[tokio::test]
async fn problems() {
    let api = TestApi::new().await;
    assert_snapshot("no_such_route", &api.get("/api/v1/nothing").await);
    assert_snapshot("not_found", &api.get("/api/v1/rules/core.nothing").await);
    assert_snapshot("malformed_id", &api.get("/api/v1/events/7").await);
    assert_snapshot("method_not_allowed", &api.delete("/api/v1/rules").await);
    assert_snapshot(
        "unauthorized",
        &api.send(Call::new("GET", "/auth/me").token(None)).await,
    );
    let viewer = api.token(attune_domain::identity::Role::Viewer).to_owned();
    let denied = Call::new("POST", "/api/v1/packs")
        .json(json!({"ref": "x"}))
        .token(Some(&viewer));
    assert_snapshot("forbidden", &api.send(denied).await);
    let broken = Call::new("POST", "/api/v1/packs")
        .header("content-type", "application/json")
        .raw("{\"ref\": ");
    assert_snapshot("malformed_json", &api.send(broken).await);
    let text = Call::new("POST", "/api/v1/packs")
        .header("content-type", "text/plain")
        .raw("x");
    assert_snapshot("unsupported_media_type", &api.send(text).await);
    let invalid = json!({"ref": "core.r", "action": "core.echo", "retry": {"max_attempts": 0}, "lable": "x"});
    assert_snapshot("validation_failed", &api.post("/api/v1/rules", invalid).await);
    assert_snapshot(
        "invalid_filter",
        &api.get("/api/v1/executions?status=broken&limit=0&action_ref=core.ehco")
            .await,
    );
    assert_snapshot("conflict", &api.post("/api/v1/packs", json!({"ref": "core"})).await);
    assert_snapshot("in_use", &api.delete("/api/v1/packs/core").await);
    let stale = Call::new("PATCH", "/api/v1/packs/core")
        .header("if-match", "\"9999\"")
        .json(json!({"label": "x"}));
    assert_snapshot("precondition_failed", &api.send(stale).await);
    api.close().await;
}

#[tokio::test]
async fn occurrences() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    let rule = json!({"ref": "core.ring", "trigger_ref": "core.bell", "action_ref": "core.echo", "condition": "event.payload.n > 5"});
    api.post("/api/v1/rules", rule).await.expect(201);
    let created = api
        .post(
            "/api/v1/events",
            json!({"trigger_ref": "core.bell", "payload": {"n": 7}}),
        )
        .await;
    assert_snapshot("event_created", &created);
    let id = created.body["data"]["id"].as_str().expect("an id").to_owned();
    assert_snapshot("explanation", &api.get(&format!("/api/v1/events/{id}/explain")).await);
    assert_snapshot("trace", &api.get(&format!("/api/v1/traces/{id}")).await);
    assert_snapshot(
        "event_fired",
        &api.post("/api/v1/triggers/core.bell/fire", json!({})).await,
    );
    let run = api
        .post(
            "/api/v1/executions",
            json!({"action_ref": "core.echo", "parameters": {"message": "Hi"}}),
        )
        .await;
    assert_snapshot("execution_created", &run);
    let id = run.body["data"]["id"].as_str().expect("an id").to_owned();
    assert_snapshot("execution", &api.get(&format!("/api/v1/executions/{id}")).await);
    assert_snapshot("executions", &api.get("/api/v1/executions").await);
    assert_snapshot("attempts", &api.get(&format!("/api/v1/executions/{id}/attempts")).await);
    assert_snapshot("logs", &api.get(&format!("/api/v1/executions/{id}/logs")).await);
    let canceled = api.post(&format!("/api/v1/executions/{id}/cancel"), json!({})).await;
    assert_snapshot("execution_canceled", &canceled);
    let again = api.post(&format!("/api/v1/executions/{id}/cancel"), json!({})).await;
    assert_snapshot("execution_has_ended", &again);
    for (name, body) in [
        (
            "dry_run_enforce",
            json!({"rule_ref": "core.ring", "payload": {"n": 7}, "action_params": {"message": "{{ event.payload.n }}"}}),
        ),
        ("dry_run_skip", json!({"rule_ref": "core.ring", "payload": {"n": 3}})),
        ("dry_run_fail", json!({"rule_ref": "core.ring", "payload": {}})),
    ] {
        assert_snapshot(name, &api.post("/api/v1/rules/test", body).await);
    }
    api.close().await;
}

#[tokio::test]
async fn access() {
    let api = TestApi::new().await;
    assert_snapshot("entry_point", &api.get("/").await);
    assert_snapshot("me", &api.get("/auth/me").await);
    let identity = json!({"login": "ada", "password": "correct horse battery", "role": "operator"});
    assert_snapshot("identity_created", &api.post("/api/v1/identities", identity).await);
    let token = api
        .post("/api/v1/tokens", json!({"label": "ci", "role": "operator"}))
        .await
        .expect(201);
    assert!(token.body["data"]["token"].is_string(), "{}", token.body);
    assert_snapshot("audit", &api.get("/api/v1/audit").await);
    assert_snapshot("queue", &api.get("/api/v1/queue").await);
    api.close().await;
}
