//! Common mistakes: each is reported at its field, with what is allowed.

use crate::test_api::{Answer, Call, TestApi};
use serde_json::{Value, json};

fn rule(change: &Value) -> Value {
    let mut body = json!({"ref": "core.r", "trigger_ref": "core.timer_10s", "action_ref": "core.echo"});
    for (name, value) in change.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

/// The error message of a field.
fn message_of<'a>(answer: &'a Answer, field: &str) -> &'a str {
    let errors = answer.body["errors"].as_array().expect("errors");
    let found = errors.iter().find(|error| error["path"] == field);
    found
        .and_then(|error| error["message"].as_str())
        .unwrap_or_else(|| panic!("{field}: {}", answer.body))
}

#[tokio::test]
async fn names_that_do_not_exist_in_events() {
    let api = TestApi::new().await;
    let action = json!({"ref": "core.a", "runtime_ref": "core.shell", "entry_point": "true"});
    api.post("/api/v1/actions", action).await.expect(201);
    let refused = async |change: Value, fields: &[(&str, &str)]| {
        let answer = api.post("/api/v1/rules", rule(&change)).await.expect(422);
        let paths: Vec<_> = fields.iter().map(|(field, _)| *field).collect();
        assert_eq!(answer.fields(), paths, "{}", answer.body);
        for (field, meant) in fields {
            assert!(message_of(&answer, field).contains(meant), "{}", answer.body);
        }
    };
    refused(
        json!({"condition": "event.paylod.level > 3",
               "action_params": {"message": "at {% if event.recieved_at %}{{ event.host }}{% endif %}", "n": ["{{ rule.name }}"]}, "action_ref": "core.a"}),
        &[
            ("condition", "did you mean event.payload?"),
            ("action_params.message", "did you mean event.received_at?"),
            ("action_params.n[0]", "did you mean rule.ref?"),
        ],
    )
    .await;
    refused(
        json!({"action_params": {"message": "{{ event.host | default('x') }}"},
               "concurrency": {"limit": 1, "key": "{{ event.payloads.host }}"}}),
        &[
            ("action_params.message", "did you mean event.payload.host?"),
            ("concurrency.key", "did you mean event.payload?"),
        ],
    )
    .await;
    let test = json!({"payload": {}, "condition": "event.paylod is defined"});
    let answer = api.post("/api/v1/rules/test", test).await.expect(422);
    assert_eq!(answer.fields(), ["condition"]);

    let right = json!({"condition": "event.payload.any.thing == event.trigger and event.scheduled_at and rule.ref != event.id",
                       "action_params": {"message": "{{ event.received_at }}"}});
    api.post("/api/v1/rules", rule(&right)).await.expect(201);
    let path = "/api/v1/rules/core.r";
    let answer = api
        .patch(path, json!({"condition": "event.body == 1"}))
        .await
        .expect(422);
    assert_eq!(answer.fields(), ["condition"]);
    // A rule that SQL wrote can be renamed and tested, and its error is that of each event.
    api.database
        .execute(
            r#"update rule set condition = '"event.paylod.n == 1"', concurrency = '{"limit": 1, "key": "{{ event.host | default(1) }}"}'
               where ref = 'core.r'"#,
        )
        .await;
    api.patch(path, json!({"label": "Still here"})).await.expect(200);
    let tried = api
        .post("/api/v1/rules/test", json!({"rule_ref": "core.r", "payload": {"n": 1}}))
        .await
        .expect(200);
    assert_eq!(tried.body["data"]["decision"], "fail", "{}", tried.body);
    api.close().await;
}

#[tokio::test]
async fn every_error_of_a_rule_is_reported() {
    let api = TestApi::new().await;
    let body = json!({"ref": "core.r", "action": "core.echo", "retry": {"max_attempts": "3"}});
    let answer = api.post("/api/v1/rules", body).await.expect(422);
    assert_eq!(answer.fields(), ["trigger_ref", "action", "retry.max_attempts"]);
    assert!(
        message_of(&answer, "action").contains("set action_ref instead"),
        "{}",
        answer.body
    );
    assert!(
        message_of(&answer, "trigger_ref").contains("set trigger to an inline timer"),
        "{}",
        answer.body
    );
    assert!(
        message_of(&answer, "retry.max_attempts").contains("from 1 to 100"),
        "{}",
        answer.body
    );
    let body = rule(&json!({"trigger": "core.timer_10s", "trigger_ref": null, "pack": "core"}));
    let answer = api.post("/api/v1/rules", body).await.expect(422);
    assert_eq!(answer.fields(), ["pack", "trigger"]);
    assert!(
        message_of(&answer, "trigger").contains("as trigger_ref"),
        "{}",
        answer.body
    );
    assert!(
        message_of(&answer, "pack").contains("set pack_ref instead"),
        "{}",
        answer.body
    );
    api.close().await;
}

#[tokio::test]
async fn an_inline_timer_is_returned_as_it_was_sent() {
    let api = TestApi::new().await;
    let timer = json!({"type": "cron", "expression": "0 8 * * 1", "timezone": "Europe/Berlin"});
    let body = json!({"ref": "core.r", "trigger": timer, "action_ref": "core.echo"});
    let made = api.post("/api/v1/rules", body.clone()).await.expect(201);
    assert_eq!(made.body["data"]["trigger"], timer);
    let path = "/api/v1/rules/core.r";
    let read = api.get(path).await.expect(200).body["data"].clone();
    assert_eq!(read["trigger"], timer);
    let listed = api.get("/api/v1/rules?trigger_ref=core.r.timer").await.expect(200);
    assert_eq!(listed.body["data"][0]["trigger"], timer);
    // A second create reports that the rule exists, not its timer.
    let again = api.post("/api/v1/rules", body).await.expect(409);
    assert_eq!(again.body["conflicts"], json!(["core.r"]));
    assert!(
        again.body["detail"]
            .as_str()
            .expect("text")
            .contains("rule core.r already exists"),
        "{}",
        again.body
    );

    let put = api.send(Call::new("PUT", path).json(read)).await.expect(200);
    assert_eq!(put.body["data"]["trigger"], timer, "what was read can be sent back");
    // A change of the timer, through the rule or the trigger, changes the version of the rule.
    let version = async || api.get(path).await.expect(200).header("etag").to_owned();
    let (before, timer) = (version().await, json!({"type": "interval", "seconds": 10}));
    api.patch(path, json!({"trigger": timer})).await.expect(200);
    let changed = version().await;
    assert_ne!(before, changed);
    let timer = json!({"config": {"type": "interval", "seconds": 20}});
    api.patch("/api/v1/triggers/core.r.timer", timer).await.expect(200);
    assert_ne!(changed, version().await);
    let shared = api
        .patch(path, json!({"trigger_ref": "core.timer_10s"}))
        .await
        .expect(200);
    assert_eq!(shared.body["data"]["trigger"], Value::Null);
    let whole = api.get(path).await.expect(200).body["data"].clone();
    api.send(Call::new("PUT", path).json(whole)).await.expect(200);
    api.close().await;
}

#[tokio::test]
async fn required_fields_must_not_be_null() {
    let api = TestApi::new().await;
    api.post("/api/v1/rules", rule(&json!({"description": "Prints it"})))
        .await
        .expect(201);
    let action = json!({"ref": "core.a", "runtime_ref": "core.shell", "entry_point": "true"});
    api.post("/api/v1/actions", action).await.expect(201);
    for (path, names) in [
        ("packs/core", ["label", "version", "enabled"].as_slice()),
        (
            "triggers/core.timer_10s",
            &["label", "pack_ref", "kind", "config", "enabled"],
        ),
        (
            "actions/core.a",
            &[
                "label",
                "pack_ref",
                "runtime_ref",
                "entry_point",
                "parameters_schema",
                "pool",
                "on_lost",
                "enabled",
            ],
        ),
        (
            "rules/core.r",
            &[
                "label",
                "pack_ref",
                "trigger_ref",
                "action_ref",
                "action_params",
                "enabled",
            ],
        ),
        ("identities/1", &["display_name", "role", "enabled"]),
    ] {
        for name in names {
            let answer = api.patch(&format!("/api/v1/{path}"), json!({*name: null})).await;
            assert_eq!(answer.expect(422).fields(), [*name], "{path}");
        }
    }
    let cleared = api
        .patch("/api/v1/rules/core.r", json!({"description": null}))
        .await
        .expect(200);
    assert_eq!(cleared.body["data"]["description"], Value::Null);
    api.close().await;
}

#[tokio::test]
async fn unknown_values_of_the_audit_are_refused() {
    let api = TestApi::new().await;
    let path = "/api/v1/audit?verb=login&object=robot%20r2d2";
    let answer = api.get(path).await.expect(422);
    assert_eq!(answer.fields(), ["verb", "object"]);
    assert!(
        message_of(&answer, "verb").contains("sign_in, sign_in_refused"),
        "{}",
        answer.body
    );
    assert!(
        message_of(&answer, "object").contains("identity, token"),
        "{}",
        answer.body
    );
    for object in ["rule", "rule%20", "rules", "session%20x"] {
        let answer = api.get(&format!("/api/v1/audit?object={object}")).await.expect(422);
        assert_eq!(answer.fields(), ["object"], "{object}");
    }
    for object in ["session", "rule%20core.gone", "webhook%20request%207"] {
        api.get(&format!("/api/v1/audit?object={object}")).await.expect(200);
    }
    api.close().await;
}

#[tokio::test]
async fn a_timer_that_never_fires_states_why() {
    let api = TestApi::new().await;
    let preview = async |body: Value| api.post("/api/v1/timers/preview", body).await;
    let refused = async |config: Value, field: &str| {
        let answer = preview(json!({"config": config})).await.expect(422);
        message_of(&answer, field).to_owned()
    };
    let past = json!({"type": "one_shot", "fire_at": "2020-01-20T15:00:00Z"});
    let received = refused(past.clone(), "config.fire_at").await;
    assert!(received.contains(" years in the past"), "{received}");
    let received = refused(
        json!({"type": "cron", "expression": "0 0 0 1 1 * 2020"}),
        "config.expression",
    )
    .await;
    assert!(received.contains("no occurrence within ten years"), "{received}");
    let ends = json!({"type": "interval", "seconds": 10, "end_at": "2100-01-20T15:00:00Z"});
    let answer = preview(json!({"config": ends, "after": "2100-01-21T00:00:00Z"}))
        .await
        .expect(200);
    let received = answer.body["data"]["note"].as_str().expect("a note");
    assert!(received.contains("end_at is 2100-01-20T15:00:00Z"), "{received}");
    let answer = preview(json!({"config": {"type": "interval", "seconds": 10}}))
        .await
        .expect(200);
    assert!(answer.body["data"]["note"].is_null());

    let path = "/api/v1/triggers/core.timer_1m/occurrences?from=2027-01-20T15:00:01Z&to=2027-01-20T15:00:59Z";
    let empty = api.get(path).await.expect(200);
    let received = empty.body["data"]["note"].as_str().expect("a note");
    assert!(received.contains("2027-01-20T15:01:00Z"), "{received}");

    let body = json!({"config": {"type": "interval", "seconds": 1}, "limit": 0});
    assert_eq!(preview(body).await.expect(422).fields(), ["limit"]);
    let body = json!({"ref": "core.t", "kind": "timer", "config": past});
    let created = api.post("/api/v1/triggers", body).await.expect(422);
    assert!(message_of(&created, "config.fire_at").contains(" years in the past"));
    api.close().await;
}

#[tokio::test]
async fn refusals_state_what_to_do() {
    let mut api = TestApi::new().await;
    let key = "3b1f0c7d9e2a48566f7a8b9c0d1e2f30415263748596a7b8";
    api.configured(|config| config.security.encryption_key = Some(key.into()));
    let unknown = api.get("/api/v1/stream?kind=events").await.expect(422);
    assert!(
        message_of(&unknown, "kind").contains("expected event, enforcement, execution"),
        "{}",
        unknown.body
    );

    let webhook = json!({"ref": "core.hook", "kind": "webhook", "config": {"verify": "none"}});
    api.post("/api/v1/triggers", webhook).await.expect(201);
    let path = "/api/v1/triggers/core.hook/rotate-key";
    api.post(path, json!({"overlap_seconds": 60})).await.expect(200);
    let refused = api.post(path, json!({"overlap_seconds": 60})).await.expect(409);
    assert!(
        detail(&refused).contains("set overlap_seconds to 0"),
        "{}",
        refused.body
    );
    api.post(path, json!({"overlap_seconds": 0})).await.expect(200);

    let large = json!({"ref": "large", "description": "x".repeat(1024 * 1024)});
    let refused = api.post("/api/v1/packs", large).await.expect(413);
    assert!(
        detail(&refused).contains("larger than 1048576 bytes"),
        "{}",
        refused.body
    );

    let admin = api.identities[&attune_domain::identity::Role::Admin];
    let path = format!("/api/v1/identities/{admin}");
    let refused = api.patch(&path, json!({"enabled": false})).await.expect(409);
    assert!(detail(&refused).contains("another admin can"), "{}", refused.body);
    api.close().await;
}

fn detail(answer: &Answer) -> &str {
    answer.body["detail"].as_str().unwrap_or_default()
}
