//! Rules that do or do not fit their actions, definitions without an effect, and the messages of wrong fields.

use crate::test_api::{Call, TestApi};
use serde_json::{Value, json};

/// An API with an action that requires an integer `n` and accepts a `mode`.
async fn api() -> TestApi {
    let api = TestApi::new().await;
    let schema = json!({"required": ["n"], "additionalProperties": false, "properties": {"n": {"type": "integer"}, "mode": {"type": "string"}}});
    let action =
        json!({"ref": "core.count", "runtime_ref": "core.shell", "entry_point": "true", "parameters_schema": schema});
    api.post("/api/v1/actions", action).await.expect(201);
    api
}

fn rule(action_params: Value) -> Value {
    json!({"ref": "core.r", "trigger_ref": "core.timer_10s", "action_ref": "core.count", "action_params": action_params})
}

fn messages_of(body: &Value) -> Vec<(&str, &str)> {
    let text = |error: &'_ Value, name: &str| error[name].as_str().is_some_and(|text| !text.is_empty());
    let errors = body["errors"].as_array().expect("errors");
    assert!(
        errors.iter().all(|error| text(error, "path") && text(error, "message")),
        "{body}"
    );
    let pairs = errors
        .iter()
        .map(|error| (error["path"].as_str(), error["message"].as_str()));
    pairs.filter_map(|(path, message)| path.zip(message)).collect()
}

#[tokio::test]
async fn a_rule_that_never_fits_its_action_is_refused() {
    let api = api().await;
    let refused = async |params: Value, expected: &[(&str, &str)]| {
        let answer = api.post("/api/v1/rules", rule(params)).await.expect(422);
        assert_eq!(messages_of(&answer.body), expected);
    };
    refused(json!({}), &[("action_params.n", "is required")]).await;
    refused(json!({"n": "three"}), &[("action_params.n", "must be a whole number")]).await;
    refused(
        json!({"n": "{{ event.payload.n }}", "mod": "{{ event.payload.mode }}"}),
        &[("action_params.mod", "is not a parameter of this action")],
    )
    .await;
    api.post("/api/v1/rules", rule(json!({"n": "{{ event.payload.n }}"})))
        .await
        .expect(201);
    let change = json!({"action_params": {"mode": "x"}});
    let answer = api
        .send(Call::new("PATCH", "/api/v1/rules/core.r").json(change))
        .await
        .expect(422);
    assert_eq!(messages_of(&answer.body), [("action_params.n", "is required")]);
    api.close().await;
}

/// An action may change although rules no longer fit: the answer warns, and so does reading the rule.
#[tokio::test]
async fn rules_that_no_longer_fit_are_reported() {
    let api = api().await;
    let made = api.post("/api/v1/rules", rule(json!({"n": 1}))).await.expect(201);
    assert!(made.body.get("warnings").is_none(), "{}", made.body);
    let change = |path: &str, change: Value| Call::new("PATCH", path).json(change);
    let schema = json!({"required": ["m"], "properties": {"m": {}}});
    let answer = api
        .send(change(
            "/api/v1/actions/core.count",
            json!({"parameters_schema": schema}),
        ))
        .await
        .expect(200);
    assert_eq!(
        answer.body["warnings"],
        json!(["every event of the rule core.r fails now: action_params.m: is required"])
    );
    let renamed = api
        .send(change("/api/v1/rules/core.r", json!({"label": "Another"})))
        .await
        .expect(200);
    assert_eq!(renamed.body["data"]["label"], "Another");
    let warnings =
        json!(["every event fails: core.count does not take these parameters: action_params.m: is required"]);
    assert_eq!(renamed.body["warnings"], warnings);
    assert_eq!(
        api.get("/api/v1/rules/core.r").await.expect(200).body["warnings"],
        warnings
    );
    let repaired = api
        .send(change("/api/v1/rules/core.r", json!({"action_params": {"m": 1}})))
        .await
        .expect(200);
    assert!(repaired.body.get("warnings").is_none(), "{}", repaired.body);

    api.database
        .execute(
            "insert into rule (ref, pack_id, label, trigger_id, action_id, action_params)
             select 'core.many_' || n, pack_id, 'Many', trigger_id, action_id, '{}' from rule, generate_series(1, 200) n where ref = 'core.r'",
        )
        .await;
    let again = json!({"parameters_schema": {"required": ["k"], "properties": {"k": {}}}});
    let answer = api.send(change("/api/v1/actions/core.count", again)).await.expect(200);
    let warnings = answer.body["warnings"].as_array().expect("warnings");
    assert_eq!(warnings.len(), 201);
    assert!(
        warnings[200]
            .as_str()
            .is_some_and(|text| text.starts_with("only the first 200 rules"))
    );
    api.close().await;
}

#[tokio::test]
async fn a_dry_run_reports_parameters_despite_a_false_condition() {
    let api = api().await;
    let run = async |params: Value| {
        let body = json!({"action_ref": "core.count", "condition": "event.payload.n == 4", "action_params": params, "payload": {"n": 3}});
        api.post("/api/v1/rules/test", body).await.expect(200).body["data"].clone()
    };
    let skipped = run(json!({"n": "{{ event.payload.n }}"})).await;
    assert_eq!(
        (&skipped["decision"], &skipped["parameters"]),
        (&json!("skip"), &json!({"n": 3}))
    );
    let skipped = run(json!({"n": "{{ event.payload.n }}!"})).await;
    assert_eq!(skipped["decision"], "skip");
    assert_eq!(
        skipped["reason"],
        "parameters.n: must be a whole number, without a unit"
    );
    api.close().await;
}

#[tokio::test]
async fn a_file_watch_shows_the_errors_of_its_hosts() {
    let api = TestApi::new().await;
    let body = json!({"ref": "core.files", "kind": "file_watch", "config": {"path": "/tmp", "host": "all"}});
    let made = api.post("/api/v1/triggers", body).await.expect(201);
    assert_eq!(made.body["data"]["last_error"], json!(null));
    api.database
        .execute(
            "insert into file_watch (trigger_id, host, last_error)
             select id, host, 'config.path: /tmp does not exist (host ' || host || ')'
             from trigger, unnest(array['beta', 'alpha']) as host where ref = 'core.files'",
        )
        .await;
    let read = api.get("/api/v1/triggers/core.files").await.expect(200);
    assert_eq!(
        read.body["data"]["last_error"],
        "config.path: /tmp does not exist (host alpha); config.path: /tmp does not exist (host beta)"
    );
    api.close().await;
}

/// An execution states that no worker serves its pool, until one does.
#[tokio::test]
async fn an_execution_without_a_worker_is_marked() {
    let api = TestApi::new().await;
    let action = json!({"ref": "core.lonely", "runtime_ref": "core.shell", "entry_point": "true", "pool": "gpu"});
    api.post("/api/v1/actions", action).await.expect(201);
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.lonely"}))
        .await
        .expect(201);
    let id = made.body["data"]["id"].as_str().expect("an id").to_owned();
    let waiting = async || {
        let one = api.get(&format!("/api/v1/executions/{id}")).await.expect(200).body["data"]["waiting"].clone();
        let trace = api.get(&format!("/api/v1/traces/{id}")).await.expect(200);
        assert_eq!(trace.body["data"]["executions"][0]["waiting"], one);
        one
    };
    assert_eq!(waiting().await, "no worker serves the pool gpu");
    api.database
        .execute("insert into service_instance (id, kind, host, pid, version, detail) values (gen_random_uuid(), 'worker', 'h', 1, '0', '{\"pool\": \"gpu\"}')")
        .await;
    assert_eq!(waiting().await, Value::Null);
    api.close().await;
}

/// A field of the wrong type does not hide other errors, and messages do not use the terms of the implementation.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn all_wrong_fields_are_reported_at_once() {
    let api = api().await;
    let bad = json!({
        "ref": 7, "label": "", "enabled": "yes", "trigger_ref": "core.nothing", "action": "x", "surprise": 1,
        "retry": {"max_attempts": 2, "on": "failed"}, "concurrency": 5,
    });
    let answer = api.post("/api/v1/rules", bad).await.expect(422);
    let errors = messages_of(&answer.body);
    let (unknown, rest): (Vec<_>, Vec<_>) = errors.into_iter().partition(|(path, _)| *path == "surprise");
    assert!(
        unknown[0]
            .1
            .starts_with("unknown field; expected one of: ref, pack_ref"),
        "{unknown:?}"
    );
    assert_eq!(
        rest,
        [
            ("ref", "must be text"),
            ("label", "must not be blank"),
            ("trigger_ref", "there is no trigger core.nothing"),
            ("action", "must be a whole number; to use a ref, set action_ref instead"),
            ("retry.on", "must be a list"),
            (
                "concurrency",
                "must be an object with limit, key, overflow, not a number"
            ),
            ("enabled", "must be true or false"),
        ]
    );
    let bad = json!({"ref": "core.t", "kind": "sundial", "label": "", "payload_schema": 3});
    let answer = api.post("/api/v1/triggers", bad).await.expect(422);
    assert_eq!(
        messages_of(&answer.body),
        [
            ("label", "must not be blank"),
            ("kind", "must be one of timer, webhook, file_watch, custom, system"),
            ("payload_schema", "must be a JSON schema, not a number"),
        ]
    );
    // A change is checked over what is there.
    let bad = json!({"timeout_seconds": "long", "pool": "A B", "on_lost": "pray", "parameters_schema": {"properties": {"n": {"type": "integer", "default": "x"}}}});
    let answer = api
        .send(Call::new("PATCH", "/api/v1/actions/core.count").json(bad))
        .await
        .expect(422);
    let errors = messages_of(&answer.body);
    let paths: Vec<_> = errors.iter().map(|(path, _)| *path).collect();
    assert_eq!(
        paths,
        [
            "parameters_schema.properties.n.default",
            "pool",
            "timeout_seconds",
            "on_lost",
        ]
    );
    let answer = api
        .get("/api/v1/events?limit=70000&since=yesterday&cursor=next")
        .await
        .expect(422);
    assert_eq!(
        messages_of(&answer.body),
        [
            (
                "since",
                "must be a time such as 2027-01-20T15:00:00Z, a date such as 2027-01-20 (its midnight in UTC), or an offset from now such as 1h, -24h or 7d"
            ),
            ("limit", "must be a whole number from 1 to 200"),
            ("cursor", "must be an id such as 019a4d2c-7f00-7000-8000-3b1f6c2e9d10"),
        ]
    );
    api.close().await;
}
