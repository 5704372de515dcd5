//! Wrong bodies, references, JSON, schedules, templates: each gets its 4xx, and the field is named.

use crate::test_api::{Call, TestApi};
use serde_json::{Value, json};

async fn check(api: &TestApi, path: &str, body: Value, status: u16, fields: &[&str]) {
    let (method, path) = path.split_once(' ').expect("a method and a path");
    let answer = api.send(Call::new(method, path).json(body.clone())).await;
    assert_eq!(
        answer.status.as_u16(),
        status,
        "{method} {path} {body}: {}",
        answer.body
    );
    assert_eq!(answer.fields(), fields, "{method} {path} {body}: {}", answer.body);
}

#[tokio::test]
async fn rules() {
    let api = TestApi::new().await;
    let rule = async |change: Value, fields: &[&str]| {
        let mut body = json!({"ref": "core.r", "trigger_ref": "core.timer_10s", "action_ref": "core.echo"});
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        check(&api, "POST /api/v1/rules", body, 422, fields).await;
    };
    rule(json!({"ref": "Core.R"}), &["ref"]).await;
    rule(json!({"ref": "core"}), &["ref"]).await;
    rule(json!({"ref": "other.r"}), &["pack_ref"]).await;
    rule(json!({"ref": "other.r", "pack_ref": "core"}), &["ref"]).await;
    rule(json!({"ref": 7}), &["ref"]).await;
    rule(json!({"label": ""}), &["label"]).await;
    rule(json!({"label": "x".repeat(201)}), &["label"]).await;
    rule(json!({"enabled": "yes"}), &["enabled"]).await;
    rule(json!({"trigger_ref": "core.nothing"}), &["trigger_ref"]).await;
    rule(json!({"trigger_ref": null}), &["trigger_ref"]).await;
    rule(json!({"trigger": "core.timer_10s", "trigger_ref": null}), &["trigger"]).await;
    rule(
        json!({"trigger": {"type": "interval", "seconds": 0}, "trigger_ref": null}),
        &["trigger.seconds"],
    )
    .await;
    rule(
        json!({"trigger": {"type": "weekly"}, "trigger_ref": null}),
        &["trigger.type"],
    )
    .await;
    rule(json!({"action_ref": "core.nothing"}), &["action_ref"]).await;
    rule(json!({"surprise": 1, "another": 2}), &["surprise", "another"]).await;
    rule(json!({"action_params": []}), &["action_params"]).await;
    rule(
        json!({"action_params": {"message": "{{ event.payload."}}),
        &["action_params.message"],
    )
    .await;
    rule(
        json!({"condition": {"all": [{"path": "event.payload.n", "operator": "is_kind_of", "value": 1}]}}),
        &["condition.all[0].operator"],
    )
    .await;
    rule(json!({"condition": "event.payload.n >"}), &["condition"]).await;
    rule(json!({"condition": 7}), &["condition"]).await;
    rule(
        json!({"rate_limit": {"limit": 1}, "retry": {"max_attempts": 0}, "concurrency": {"limit": 0}}),
        &["retry.max_attempts", "concurrency.limit", "rate_limit.window_seconds"],
    )
    .await;
    // All errors at once.
    let all = json!({
        "ref": "core.r", "trigger_ref": "core.nothing", "action_ref": "core.nothing", "label": "",
        "condition": "event.payload.n >", "action_params": {"message": "{{ event.payload."},
    });
    let answer = api.post("/api/v1/rules", all).await.expect(422);
    assert_eq!(
        answer.fields(),
        [
            "label",
            "trigger_ref",
            "action_ref",
            "condition",
            "action_params.message"
        ]
    );
    let empty = api.post("/api/v1/rules", json!({})).await.expect(422);
    assert_eq!(empty.fields(), ["ref", "trigger_ref", "action_ref"]);
    api.close().await;
}

#[tokio::test]
async fn schedules() {
    let api = TestApi::new().await;
    let timer = async |config: Value, fields: &[&str]| {
        let body = json!({"ref": "core.t", "kind": "timer", "config": config});
        check(&api, "POST /api/v1/triggers", body, 422, fields).await;
        check(
            &api,
            "POST /api/v1/timers/preview",
            json!({"config": config}),
            422,
            fields,
        )
        .await;
    };
    timer(json!(null), &["config"]).await;
    timer(json!([]), &["config"]).await;
    timer(json!({}), &["config.type"]).await;
    timer(json!({"type": "sundial"}), &["config.type"]).await;
    timer(json!({"type": "interval", "seconds": -1}), &["config.seconds"]).await;
    timer(json!({"type": "interval", "seconds": "10"}), &["config.seconds"]).await;
    timer(
        json!({"type": "interval", "seconds": 10, "minuts": 1}),
        &["config.minuts"],
    )
    .await;
    timer(
        json!({"type": "cron", "expression": "61 * * * *"}),
        &["config.expression"],
    )
    .await;
    timer(
        json!({"type": "cron", "expression": "* * * * *", "timezone": "Mars/Olympus"}),
        &["config.timezone"],
    )
    .await;
    timer(json!({"type": "one_shot", "fire_at": "tomorrow"}), &["config.fire_at"]).await;
    api.close().await;
}

#[tokio::test]
async fn triggers() {
    let api = TestApi::new().await;
    let never = json!({"ref": "core.t", "kind": "timer", "config": {"type": "cron", "expression": "0 0 0 30 2 *"}});
    check(&api, "POST /api/v1/triggers", never, 422, &["config.expression"]).await;
    check(
        &api,
        "POST /api/v1/triggers",
        json!({"ref": "core.t", "kind": "sundial"}),
        422,
        &["kind"],
    )
    .await;
    check(
        &api,
        "POST /api/v1/triggers",
        json!({"ref": "core.t", "kind": "custom", "config": 3}),
        422,
        &["config"],
    )
    .await;
    check(
        &api,
        "POST /api/v1/triggers",
        json!({"ref": "core.t", "kind": "custom", "payload_schema": 3}),
        422,
        &["payload_schema"],
    )
    .await;
    check(
        &api,
        "PATCH /api/v1/triggers/core.timer_10s",
        json!({"ref": "core.other"}),
        422,
        &["ref"],
    )
    .await;
    check(
        &api,
        "PATCH /api/v1/triggers/core.timer_10s",
        json!({"config": {"type": "interval", "seconds": 0}}),
        422,
        &["config.seconds"],
    )
    .await;
    check(
        &api,
        "POST /api/v1/timers/preview",
        json!({"config": {"type": "interval", "seconds": 1}, "limit": 1000}),
        422,
        &["limit"],
    )
    .await;
    api.close().await;
}

#[tokio::test]
async fn actions() {
    let api = TestApi::new().await;
    let action = async |change: Value, fields: &[&str]| {
        let mut body = json!({"ref": "core.a", "runtime_ref": "core.shell", "entry_point": "true"});
        for (name, value) in change.as_object().expect("an object") {
            body[name] = value.clone();
        }
        check(&api, "POST /api/v1/actions", body, 422, fields).await;
    };
    action(json!({"runtime_ref": "core.nothing"}), &["runtime_ref"]).await;
    action(json!({"entry_point": ""}), &["entry_point"]).await;
    action(
        json!({"parameters_schema": {"type": "objekt"}}),
        &["parameters_schema.type"],
    )
    .await;
    action(json!({"output_schema": {"type": "objekt"}}), &["output_schema.type"]).await;
    action(json!({"timeout_seconds": 0}), &["timeout_seconds"]).await;
    action(json!({"timeout_seconds": 1e12}), &["timeout_seconds"]).await;
    action(json!({"pool": "Default Pool"}), &["pool"]).await;
    action(json!({"on_lost": "pray"}), &["on_lost"]).await;
    action(json!({"retry": {"max_attempts": 0}}), &["retry.max_attempts"]).await;
    action(json!({"concurrency": {}}), &["concurrency.limit"]).await;
    action(
        json!({"concurrency": {"limit": 1, "key": "{{ event.id }}", "overflow": "drop"}}),
        &["concurrency.key", "concurrency.overflow"],
    )
    .await;
    api.close().await;
}

#[tokio::test]
async fn packs_runs_and_sign_ins() {
    let api = TestApi::new().await;
    check(
        &api,
        "POST /api/v1/packs",
        json!({"ref": "Not A Pack", "version": ""}),
        422,
        &["ref", "version"],
    )
    .await;
    check(&api, "POST /api/v1/packs", json!({"ref": "core"}), 409, &["ref"]).await;
    check(&api, "POST /api/v1/executions", json!({}), 422, &["action_ref"]).await;
    check(
        &api,
        "POST /api/v1/executions",
        json!({"action_ref": "core.nothing"}),
        422,
        &["action_ref"],
    )
    .await;
    check(
        &api,
        "POST /api/v1/executions",
        json!({"action": 999_999}),
        422,
        &["action"],
    )
    .await;
    check(
        &api,
        "POST /api/v1/executions",
        json!({"action_ref": "core.echo", "parameters": [1]}),
        422,
        &["parameters"],
    )
    .await;
    check(
        &api,
        "POST /api/v1/events",
        json!({"payload": {}}),
        422,
        &["trigger_ref"],
    )
    .await;
    check(
        &api,
        "POST /api/v1/events",
        json!({"trigger_ref": "core.nothing", "dedup_key": ""}),
        422,
        &["dedup_key", "trigger_ref"],
    )
    .await;
    check(&api, "POST /auth/login", json!({"password": "x"}), 422, &["username"]).await;
    check(&api, "POST /auth/login", json!({"login": "admin"}), 422, &["password"]).await;
    api.close().await;
}

#[tokio::test]
async fn json_itself() {
    let api = TestApi::new().await;
    let post = |body: Vec<u8>| {
        Call::new("POST", "/api/v1/events")
            .header("content-type", "application/json")
            .raw(body)
    };
    let answer = api
        .send(post(b"{\"trigger_ref\": \"core.timer_10s\",\n oops}".to_vec()))
        .await
        .expect(400);
    assert!(
        answer.body["detail"]
            .as_str()
            .expect("text")
            .contains("line 2 column 2"),
        "{}",
        answer.body
    );
    api.send(post(b"{\"trigger_ref\": \"core.timer".to_vec()))
        .await
        .expect(400);
    api.send(post(b"\xff\xfe".to_vec())).await.expect(400);
    assert_eq!(api.send(post(b"[]".to_vec())).await.expect(422).fields(), [""]);
    assert_eq!(api.send(post(b"3".to_vec())).await.expect(422).fields(), [""]);
    let twice = api
        .send(post(
            br#"{"trigger_ref": "core.timer_10s", "payload": {"a": 1, "a": 2}, "trigger_ref": "x"}"#.to_vec(),
        ))
        .await
        .expect(422);
    assert_eq!(twice.fields(), ["payload.a", "trigger_ref"]);
    let zero = api
        .send(post(
            br#"{"trigger_ref": "core.timer_10s", "payload": {"deep": ["a\u0000b"]}}"#.to_vec(),
        ))
        .await
        .expect(422);
    assert_eq!(zero.fields(), ["payload.deep[0]"]);
    let deep = format!(
        r#"{{"trigger_ref": "core.timer_10s", "payload": {}1{}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    let deep = api.send(post(deep.into_bytes())).await.expect(422);
    assert!(deep.fields()[0].starts_with("payload[0][0]"), "{}", deep.body);
    let deeper = format!(r#"{{"payload": {}"#, "[".repeat(500_000));
    api.send(post(deeper.into_bytes())).await.expect(422);
    let large = format!(
        r#"{{"trigger_ref": "core.timer_10s", "payload": "{}"}}"#,
        "x".repeat(2 * 1024 * 1024)
    );
    api.send(post(large.into_bytes())).await.expect(413);
    let form = Call::new("POST", "/api/v1/events")
        .header("content-type", "application/x-www-form-urlencoded")
        .raw("a=1");
    api.send(form).await.expect(415);
    api.send(Call::new("POST", "/api/v1/events").raw("{}"))
        .await
        .expect(415);
    api.close().await;
}

#[tokio::test]
async fn addresses_and_queries() {
    let api = TestApi::new().await;
    let get = async |path: &str, status: u16, fields: &[&str]| {
        let answer = api.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.fields()),
            (status, fields.to_vec()),
            "{path}: {}",
            answer.body
        );
    };
    get("/api/v1/rules/core.nothing", 404, &[]).await;
    get("/api/v1/rules/999999", 404, &[]).await;
    get("/api/v1/rules/99999999999999999999999", 404, &["ref"]).await;
    get("/api/v1/rules/Not%20a%20ref", 404, &["ref"]).await;
    get("/api/v1/rules/core.%00", 404, &["ref"]).await;
    get("/api/v1/rules/%ff", 404, &[""]).await;
    get("/api/v1/events/7", 404, &["id"]).await;
    get("/api/v1/events/00000000-0000-0000-0000-000000000000", 404, &[]).await;
    get("/api/v1/nothing", 404, &[]).await;
    get("/api/v1/events?limit=0", 422, &["limit"]).await;
    get("/api/v1/events?limit=201", 422, &["limit"]).await;
    get("/api/v1/events?limit=many", 422, &["limit"]).await;
    get("/api/v1/events?limit=-1", 422, &["limit"]).await;
    get("/api/v1/events?cursor=next", 422, &["cursor"]).await;
    get("/api/v1/events?since=yesterday&until=2026", 422, &["since", "until"]).await;
    get("/api/v1/events?status=lost&source=magic", 422, &["source", "status"]).await;
    get("/api/v1/events?page=2", 422, &["page"]).await;
    get("/api/v1/events?limit=1&limit=2", 422, &["limit"]).await;
    get("/api/v1/events?trigger_ref=%00", 422, &["trigger_ref"]).await;
    get("/api/v1/rules?cursor=Not%20one", 422, &["cursor"]).await;
    get("/api/v1/rules?enabled=perhaps", 422, &["enabled"]).await;
    get("/api/v1/executions?event_id=7", 422, &["event_id"]).await;
    get(
        "/api/v1/triggers/core.timer_10s/occurrences?limit=1000",
        422,
        &["limit"],
    )
    .await;
    let refused = api.send(Call::new("DELETE", "/api/v1/events")).await.expect(405);
    assert!(refused.header("allow").contains("GET"), "{}", refused.header("allow"));
    api.close().await;
}

#[tokio::test]
async fn a_request_keeps_a_harmless_id() {
    let api = TestApi::new().await;
    let with_id = |id: &str| Call::new("GET", "/api/v1/nothing").header("x-request-id", id);
    assert_eq!(
        api.send(with_id("abc-123")).await.expect(404).body["instance"],
        "abc-123"
    );
    assert_ne!(
        api.send(with_id("a b<script>")).await.expect(404).body["instance"],
        "a b<script>"
    );
    api.close().await;
}
