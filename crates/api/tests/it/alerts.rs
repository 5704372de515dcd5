//! `on_failure` of a rule through the API and through packs, the triggers of Attune itself, and rejected webhooks.

use crate::{
    hook::Hook,
    test_api::{Call, TestApi},
};
use attune_common::{
    packs::{self, Files, Pack},
    testing::eventually,
};
use serde_json::{Value, json};
use std::time::Duration;

fn rule() -> Value {
    json!({"ref": "core.backup", "trigger_ref": "core.timer_1m", "action_ref": "core.echo",
           "on_failure": {"action_ref": "core.echo", "action_params": {"message": "{{ event.payload.error }}"}}})
}

#[tokio::test]
async fn on_failure_is_a_rule_that_belongs_to_another() {
    let api = TestApi::new().await;
    let made = api.post("/api/v1/rules", rule()).await.expect(201);
    assert_eq!(made.body["data"]["on_failure"], rule()["on_failure"]);
    let path = "/api/v1/rules/core.backup.on_failure";
    let owned = api.get(path).await.expect(200).body["data"].clone();
    assert_eq!(owned["owner_rule_ref"], "core.backup");
    assert_eq!(owned["trigger_ref"], "core.execution_finished");
    assert_eq!(owned["action_params"]["message"], "{{ event.payload.error }}");
    for call in [
        Call::new("PATCH", path).json(json!({"label": "Mine"})),
        Call::new("DELETE", path),
    ] {
        let refused = api.send(call).await.expect(409);
        assert_eq!(refused.kind(), "owned_rule");
    }
    let backup = "/api/v1/rules/core.backup";
    let params = json!({"message": "changed"});
    let changed = json!({"on_failure": {"action_ref": "core.echo", "action_params": params}});
    api.patch(backup, changed).await.expect(200);
    assert_eq!(api.get(path).await.expect(200).body["data"]["action_params"], params);
    api.post("/api/v1/rules/core.backup/disable", json!({}))
        .await
        .expect(200);
    assert_eq!(api.get(path).await.expect(200).body["data"]["enabled"], false);
    // What was read can be sent back.
    let read = api.get(backup).await.expect(200).body["data"].clone();
    api.send(Call::new("PUT", backup).json(read)).await.expect(200);
    api.patch(backup, json!({"on_failure": null})).await.expect(200);
    api.get(path).await.expect(404);
    api.patch(backup, json!({"on_failure": {"action_ref": "core.noop"}}))
        .await
        .expect(200);
    api.delete(backup).await.expect(204);
    api.get(path).await.expect(404);
    api.database.close().await;
}

#[tokio::test]
async fn on_failure_needs_a_free_ref() {
    let api = TestApi::new().await;
    let taken = json!({"ref": "core.backup.on_failure", "trigger_ref": "core.timer_1m", "action_ref": "core.echo"});
    api.post("/api/v1/rules", taken).await.expect(201);
    let refused = api.post("/api/v1/rules", rule()).await.expect(422);
    assert_eq!(refused.body["errors"][0]["path"], "on_failure");
    let mut long = rule();
    long["ref"] = format!("core.{}.{}", "a".repeat(60), "b".repeat(58)).into();
    let refused = api.post("/api/v1/rules", long).await.expect(422);
    assert_eq!(refused.body["errors"][0]["path"], "ref");
    api.database.close().await;
}

#[tokio::test]
async fn a_pack_carries_on_failure() {
    let api = TestApi::new().await;
    let mut rule = rule();
    rule["ref"] = "demo.backup".into();
    let manifest = r#"{"ref": "demo", "label": "Demo", "version": "0.1.0"}"#.to_owned();
    let load = async |rule: &Value| {
        let files = [
            ("pack.yaml".to_owned(), manifest.clone()),
            ("rules/backup.yaml".to_owned(), rule.to_string()),
        ];
        let pack = Pack::parse(&Files::from(files)).expect("a valid pack");
        packs::load(&api.database.pool, &pack).await.expect("it loads")
    };
    load(&rule).await;
    let owned = api.get("/api/v1/rules/demo.backup.on_failure").await.expect(200);
    assert_eq!(owned.body["data"]["managed"], true);
    let again = load(&rule).await;
    assert!(again.gone.is_empty(), "{:?}", again.gone);
    rule["on_failure"] = Value::Null;
    load(&rule).await;
    api.get("/api/v1/rules/demo.backup.on_failure").await.expect(404);
    api.database.close().await;
}

#[tokio::test]
async fn a_rejected_webhook_is_an_event_once_a_minute() {
    let hook = Hook::new(json!({"verify": "github", "secret": "It's a Secret to Everybody"})).await;
    let rule = json!({"ref": "core.alert", "trigger_ref": "core.webhook_rejected", "action_ref": "core.echo",
                      "action_params": {"message": "{{ event.payload.trigger_ref }} {{ event.payload.reason }}"}});
    hook.api.post("/api/v1/rules", rule).await.expect(201);
    for _ in 0..3 {
        let call = hook
            .call("{}")
            .header("x-hub-signature-256", &format!("sha256={}", "0".repeat(64)));
        hook.send(call.header("x-github-delivery", "d")).await.expect(401);
    }
    let events = "/api/v1/events?trigger_ref=core.webhook_rejected";
    let found = eventually("the rejection is an event", Duration::from_secs(10), async || {
        let found = hook.api.get(events).await.expect(200).body["data"].clone();
        found.as_array().filter(|found| !found.is_empty()).cloned()
    })
    .await;
    let payload = &found[0]["payload"];
    assert_eq!(
        (&found[0]["source"], &payload["trigger_ref"]),
        (&json!("system"), &json!("core.hook"))
    );
    assert_eq!(payload["reason"], "signature");
    let stored = "select count(*) from webhook_request where verdict = 'rejected'";
    eventually("all are in the inbox", Duration::from_secs(10), async || {
        (hook.api.database.count(stored).await == 3).then_some(())
    })
    .await;
    let minutes = "select count(distinct date_trunc('minute', received_at)) from webhook_request";
    let events = "select count(*) from event where trigger_ref = 'core.webhook_rejected'";
    assert_eq!(
        hook.api.database.count(events).await,
        hook.api.database.count(minutes).await
    );
    hook.api.close().await;
}

/// The payload of each event matches the schema of its trigger.
#[tokio::test]
async fn payloads_match_their_schemas() {
    let api = TestApi::new().await;
    for (number, name) in attune_domain::definition::SYSTEM_TRIGGERS.iter().enumerate() {
        let rule = json!({"ref": format!("core.alert_{number}"), "trigger_ref": name, "action_ref": "core.noop", "condition": "false"});
        api.post("/api/v1/rules", rule).await.expect(201);
    }
    api.database.execute(CAUSES).await;
    let events =
        "select jsonb_agg(jsonb_build_object('ref', e.trigger_ref, 'payload', e.payload, 'schema', t.payload_schema)
                                   order by e.trigger_ref)
                  from event e join trigger t on t.id = e.trigger_id";
    let events = api.database.json(events).await;
    let events = events.as_array().expect("a list");
    let mut seen: Vec<&Value> = events.iter().map(|event| &event["ref"]).collect();
    seen.dedup();
    assert_eq!(seen, attune_domain::definition::SYSTEM_TRIGGERS);
    for event in events {
        let (payload, schema) = (&event["payload"], &event["schema"]);
        let name = event["ref"].as_str().expect("a ref");
        let schema = attune_domain::parameters::Schema::compile(schema).expect("a valid schema");
        schema
            .validate(payload.clone())
            .unwrap_or_else(|errors| panic!("{name}: {errors} in {payload:#}"));
        let (fields, known) = (payload.as_object(), schema_fields(&api, name).await);
        let fields: Vec<_> = fields.expect("an object").keys().cloned().collect();
        assert!(
            fields.iter().all(|field| known.contains(field)),
            "{name}: {fields:?}, {known:?}"
        );
    }
    api.database.close().await;
}

async fn schema_fields(api: &TestApi, name: &str) -> Vec<String> {
    let trigger = api.get(&format!("/api/v1/triggers/{name}")).await.expect(200);
    let properties = trigger.body["data"]["payload_schema"]["properties"].clone();
    properties.as_object().expect("an object").keys().cloned().collect()
}

/// One of each fact.
const CAUSES: &str = r#"
insert into execution (id, rule_ref, action_ref, pool, parameters, status, attempt, scheduled_at, started_at, trace_id)
    select id_floor(db_now()), null, 'core.echo', 'default', '{}', 'running', 1, db_now(), db_now(), gen_random_uuid();
update execution set status = 'failed', error = 'exit code 1', exit_code = 1, finished_at = db_now();
insert into timer_gap (trigger_id, generation, from_at, to_at, missed, reason)
    select id, 1, db_now(), db_now(), 3, 'skip' from trigger where ref = 'core.timer_1m';
insert into timer (trigger_id, config, generation, seen_version, enabled, last_error)
    select id, '{}', 1, 1, true, 'it is invalid' from trigger where ref = 'core.timer_1m';
insert into service_instance (id, kind, host, pid, version, detail) values (gen_random_uuid(), 'worker', 'h', 1, '0.1.0', '{"pool": "default"}');
update service_instance set lost_at = db_now();
insert into pool_unserved (pool, executions) values ('gpu', 3);
insert into webhook_request (id, trigger_id, trigger_ref, method, verdict, reason) values (gen_random_uuid(), 1, 'core.hook', 'POST', 'rejected', 'signature');
insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, reason)
    select id_floor(db_now()), id, 1, 'core.alert_0', 1, 'failed', 'a bad template' from event limit 1;
select event_quarantined(id, 7::smallint, 'it hangs') from event limit 1;
"#;
