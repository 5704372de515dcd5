//! Mistakes that people make at first: each is told when it is made, at its field, with what would be right.

use crate::site::{Answer, Call, Site};
use serde_json::{Value, json};

fn rule(change: &Value) -> Value {
    let mut body = json!({"ref": "core.r", "trigger_ref": "core.timer_10s", "action_ref": "core.echo"});
    for (name, value) in change.as_object().expect("an object") {
        body[name] = value.clone();
    }
    body
}

/// What is said of a field.
fn told<'a>(answer: &'a Answer, field: &str) -> &'a str {
    let errors = answer.body["errors"].as_array().expect("errors");
    let found = errors.iter().find(|error| error["path"] == field);
    found
        .and_then(|error| error["message"].as_str())
        .unwrap_or_else(|| panic!("{field}: {}", answer.body))
}

#[tokio::test]
async fn names_that_no_event_has() {
    let site = Site::new().await;
    let action = json!({"ref": "core.a", "runtime_ref": "core.shell", "entry_point": "true"});
    site.post("/api/v1/actions", action).await.expect(201);
    let refused = async |change: Value, fields: &[(&str, &str)]| {
        let answer = site.post("/api/v1/rules", rule(&change)).await.expect(422);
        let paths: Vec<_> = fields.iter().map(|(field, _)| *field).collect();
        assert_eq!(answer.fields(), paths, "{}", answer.body);
        for (field, meant) in fields {
            assert!(told(&answer, field).contains(meant), "{}", answer.body);
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
    let answer = site.post("/api/v1/rules/test", test).await.expect(422);
    assert_eq!(answer.fields(), ["condition"]);

    let right = json!({"condition": "event.payload.any.thing == event.trigger and event.scheduled_at and rule.ref != event.id",
                       "action_params": {"message": "{{ event.received_at }}"}});
    site.post("/api/v1/rules", rule(&right)).await.expect(201);
    let path = "/api/v1/rules/core.r";
    let answer = site
        .patch(path, json!({"condition": "event.body == 1"}))
        .await
        .expect(422);
    assert_eq!(answer.fields(), ["condition"]);
    // What SQL wrote goes on as it did: it may be renamed and tried out, and its error is that of each event.
    site.database
        .execute(
            r#"update rule set condition = '"event.paylod.n == 1"', concurrency = '{"limit": 1, "key": "{{ event.host | default(1) }}"}'
               where ref = 'core.r'"#,
        )
        .await;
    site.patch(path, json!({"label": "Still here"})).await.expect(200);
    let tried = site
        .post("/api/v1/rules/test", json!({"rule_ref": "core.r", "payload": {"n": 1}}))
        .await
        .expect(200);
    assert_eq!(tried.body["data"]["decision"], "fail", "{}", tried.body);
    site.close().await;
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_rule_in_words() {
    let site = Site::new().await;
    let body = json!({"ref": "core.r", "action": "core.echo", "retry": {"max_attempts": "3"}});
    let answer = site.post("/api/v1/rules", body).await.expect(422);
    assert_eq!(answer.fields(), ["action", "trigger_ref", "retry.max_attempts"]);
    assert!(told(&answer, "action").contains("as action_ref"), "{}", answer.body);
    assert!(told(&answer, "trigger_ref").contains("as trigger"), "{}", answer.body);
    assert!(
        told(&answer, "retry.max_attempts").contains("from 1 to 100"),
        "{}",
        answer.body
    );
    let body = rule(&json!({"trigger": "core.timer_10s", "trigger_ref": null, "pack": "core"}));
    let answer = site.post("/api/v1/rules", body).await.expect(422);
    assert_eq!(answer.fields(), ["pack", "trigger"]);
    assert!(told(&answer, "trigger").contains("as trigger_ref"), "{}", answer.body);
    assert!(told(&answer, "pack").contains("as pack_ref"), "{}", answer.body);
    site.close().await;
}

#[tokio::test]
async fn a_timer_of_its_own_is_shown_as_it_was_given() {
    let site = Site::new().await;
    let timer = json!({"type": "cron", "expression": "0 8 * * 1", "timezone": "Europe/Berlin"});
    let body = json!({"ref": "core.r", "trigger": timer, "action_ref": "core.echo"});
    let made = site.post("/api/v1/rules", body.clone()).await.expect(201);
    assert_eq!(made.body["data"]["trigger"], timer);
    let path = "/api/v1/rules/core.r";
    let read = site.get(path).await.expect(200).body["data"].clone();
    assert_eq!(read["trigger"], timer);
    let listed = site.get("/api/v1/rules?trigger_ref=core.r.timer").await.expect(200);
    assert_eq!(listed.body["data"][0]["trigger"], timer);
    // Made once more, it is the rule that is there already, and not its timer.
    let again = site.post("/api/v1/rules", body).await.expect(409);
    assert_eq!(again.body["conflicts"], json!(["core.r"]));
    assert!(
        again.body["detail"].as_str().expect("text").contains("a rule core.r"),
        "{}",
        again.body
    );

    let put = site.ask(Call::new("PUT", path).json(read)).await.expect(200);
    assert_eq!(put.body["data"]["trigger"], timer, "what was read can be sent back");
    // Whoever read it before its timer was changed, here or there, does not overwrite that unseen.
    let version = async || site.get(path).await.expect(200).header("etag").to_owned();
    let (before, timer) = (version().await, json!({"type": "interval", "seconds": 10}));
    site.patch(path, json!({"trigger": timer})).await.expect(200);
    let changed = version().await;
    assert_ne!(before, changed);
    let timer = json!({"config": {"type": "interval", "seconds": 20}});
    site.patch("/api/v1/triggers/core.r.timer", timer).await.expect(200);
    assert_ne!(changed, version().await);
    let shared = site
        .patch(path, json!({"trigger_ref": "core.timer_10s"}))
        .await
        .expect(200);
    assert_eq!(shared.body["data"]["trigger"], Value::Null);
    let whole = site.get(path).await.expect(200).body["data"].clone();
    site.ask(Call::new("PUT", path).json(whole)).await.expect(200);
    site.close().await;
}

#[tokio::test]
async fn null_does_not_stand_for_what_is_always_there() {
    let site = Site::new().await;
    site.post("/api/v1/rules", rule(&json!({"description": "Says it"})))
        .await
        .expect(201);
    let action = json!({"ref": "core.a", "runtime_ref": "core.shell", "entry_point": "true"});
    site.post("/api/v1/actions", action).await.expect(201);
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
            let answer = site.patch(&format!("/api/v1/{path}"), json!({*name: null})).await;
            assert_eq!(answer.expect(422).fields(), [*name], "{path}");
        }
    }
    let cleared = site
        .patch("/api/v1/rules/core.r", json!({"description": null}))
        .await
        .expect(200);
    assert_eq!(cleared.body["data"]["description"], Value::Null);
    site.close().await;
}

#[tokio::test]
async fn words_that_the_audit_does_not_know() {
    let site = Site::new().await;
    let asked = "/api/v1/audit?verb=login&object=robot%20r2d2";
    let answer = site.get(asked).await.expect(422);
    assert_eq!(answer.fields(), ["verb", "object"]);
    assert!(
        told(&answer, "verb").contains("sign_in, sign_in_refused"),
        "{}",
        answer.body
    );
    assert!(told(&answer, "object").contains("identity, token"), "{}", answer.body);
    for object in ["rule", "rule%20", "rules", "session%20x"] {
        let answer = site.get(&format!("/api/v1/audit?object={object}")).await.expect(422);
        assert_eq!(answer.fields(), ["object"], "{object}");
    }
    for object in ["session", "rule%20core.gone", "webhook%20request%207"] {
        site.get(&format!("/api/v1/audit?object={object}")).await.expect(200);
    }
    site.close().await;
}

#[tokio::test]
async fn a_timer_that_never_fires_says_why() {
    let site = Site::new().await;
    let preview = async |body: Value| site.post("/api/v1/timers/preview", body).await;
    let refused = async |config: Value, field: &str| {
        let answer = preview(json!({"config": config})).await.expect(422);
        told(&answer, field).to_owned()
    };
    let past = json!({"type": "one_shot", "fire_at": "2020-01-20T15:00:00Z"});
    let said = refused(past.clone(), "config.fire_at").await;
    assert!(said.contains(" years in the past"), "{said}");
    let said = refused(
        json!({"type": "cron", "expression": "0 0 0 1 1 * 2020"}),
        "config.expression",
    )
    .await;
    assert!(said.contains("no occurrence within ten years"), "{said}");
    let ends = json!({"type": "interval", "seconds": 10, "end_at": "2100-01-20T15:00:00Z"});
    let answer = preview(json!({"config": ends, "after": "2100-01-21T00:00:00Z"}))
        .await
        .expect(200);
    let said = answer.body["data"]["note"].as_str().expect("a note");
    assert!(said.contains("end_at is 2100-01-20T15:00:00Z"), "{said}");
    let answer = preview(json!({"config": {"type": "interval", "seconds": 10}}))
        .await
        .expect(200);
    assert!(answer.body["data"]["note"].is_null());

    let path = "/api/v1/triggers/core.timer_1m/occurrences?from=2027-01-20T15:00:01Z&to=2027-01-20T15:00:59Z";
    let empty = site.get(path).await.expect(200);
    let said = empty.body["data"]["note"].as_str().expect("a note");
    assert!(said.contains("2027-01-20T15:01:00Z"), "{said}");

    let body = json!({"config": {"type": "interval", "seconds": 1}, "limit": 0});
    assert_eq!(preview(body).await.expect(422).fields(), ["limit"]);
    let body = json!({"ref": "core.t", "kind": "timer", "config": past});
    let created = site.post("/api/v1/triggers", body).await.expect(422);
    assert!(told(&created, "config.fire_at").contains(" years in the past"));
    site.close().await;
}
