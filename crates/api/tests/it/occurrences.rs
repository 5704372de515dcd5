//! Events, enforcements and executions: creation, reads, cancels and reruns.

use crate::test_api::{Call, TestApi};
use attune_common::bus::{Control, Wake};
use attune_common::store::Transaction;
use attune_domain::{EnforcementId, EventId, ExecutionId, RuleId, execution::ExecutionStatus};
use serde_json::{Value, json};
use std::time::Duration;

async fn with_doorbell() -> TestApi {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    api
}

fn ring(payload: Value) -> Call {
    Call::new("POST", "/api/v1/events").json(json!({"trigger_ref": "core.doorbell", "payload": payload}))
}

#[tokio::test]
async fn an_event_is_created() {
    let api = with_doorbell().await;
    let wakes = api.bus.wakes(Wake::Events);
    wakes.recv().await;
    let made = api.send(ring(json!({"who": "Ann"}))).await.expect(201);
    let event = &made.body["data"];
    assert_eq!(
        (&event["status"], &event["source"], &event["payload"]),
        (&json!("pending"), &json!("api"), &json!({"who": "Ann"}))
    );
    let id = event["id"].as_str().expect("an id").to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/events/{id}"));
    tokio::time::timeout(Duration::from_secs(5), wakes.recv())
        .await
        .expect("an executor is woken");
    assert_eq!(
        api.get(&format!("/api/v1/events/{id}")).await.expect(200).body["data"],
        *event
    );
    let pending = api
        .get("/api/v1/events?trigger_ref=core.doorbell&status=pending&source=api")
        .await
        .expect(200);
    assert_eq!(pending.body["data"], json!([event]));
    api.database.execute("delete from event_queue").await;
    let event = api.get(&format!("/api/v1/events/{id}")).await.expect(200);
    assert_eq!(event.body["data"]["status"], "decided");
    api.close().await;
}

#[tokio::test]
async fn a_dedup_key_finds_the_first_event() {
    let api = with_doorbell().await;
    let body = json!({"trigger_ref": "core.doorbell", "payload": {"n": 1}, "dedup_key": "delivery-7"});
    let first = api.post("/api/v1/events", body.clone()).await.expect(201);
    let again = api.post("/api/v1/events", body.clone()).await.expect(200);
    assert_eq!(first.body, again.body);
    api.database.move_clock("8 days").await;
    let later = api.post("/api/v1/events", body).await.expect(201);
    assert_ne!(first.body["data"]["id"], later.body["data"]["id"]);
    api.close().await;
}

#[tokio::test]
async fn a_trigger_configures_its_deduplication_window() {
    let api = with_doorbell().await;
    let change = async |config: Value, status: u16| {
        let changed = api
            .patch("/api/v1/triggers/core.doorbell", json!({"config": config}))
            .await;
        changed.expect(status).fields().join(" ")
    };
    assert_eq!(
        change(json!({"dedup_window_seconds": 60}), 422).await,
        "config.dedup_window_seconds"
    );
    change(json!({"dedup_window_seconds": 7200}), 200).await;
    let body = json!({"trigger_ref": "core.doorbell", "dedup_key": "delivery-7"});
    let first = api.post("/api/v1/events", body.clone()).await.expect(201);
    api.database.move_clock("1 hour 59 minutes").await;
    assert_eq!(
        api.post("/api/v1/events", body.clone()).await.expect(200).body,
        first.body
    );
    api.database.move_clock("2 hours 1 minute").await;
    let second = api.post("/api/v1/events", body.clone()).await.expect(201);
    assert_ne!(second.body["data"]["id"], first.body["data"]["id"]);
    // From now on the second event is returned, also for a repeat with another Idempotency-Key.
    let keyed = Call::new("POST", "/api/v1/events")
        .json(body)
        .header("idempotency-key", "k1");
    assert_eq!(
        api.send(keyed).await.expect(200).body["data"]["id"],
        second.body["data"]["id"]
    );

    // Events that are gone prevent no repeat.
    api.database
        .execute("update partitioned_table set keep_days = 3 where name = 'event'")
        .await;
    assert_eq!(
        change(json!({"dedup_window_seconds": 604_800}), 422).await,
        "config.dedup_window_seconds"
    );
    change(json!({"dedup_window_seconds": 86_400}), 200).await;
    let weekly = json!({"ref": "core.late", "kind": "timer", "config": {"type": "interval", "seconds": 60, "max_age_seconds": 300_000}});
    let refused = api.post("/api/v1/triggers", weekly).await.expect(422);
    assert_eq!(refused.fields(), ["config.max_age_seconds"]);
    api.close().await;
}

#[tokio::test]
async fn defaults_follow_the_retention_of_events() {
    let api = with_doorbell().await;
    api.database
        .execute("update partitioned_table set keep_days = 3 where name = 'event'")
        .await;
    let timer = json!({"ref": "core.often", "kind": "timer", "config": {"type": "interval", "seconds": 60}});
    api.post("/api/v1/triggers", timer).await.expect(201);
    let hook = json!({"ref": "core.hook", "kind": "webhook", "config": {"verify": "none"}});
    api.post("/api/v1/triggers", hook).await.expect(201);
    let one_shot = json!({"type": "one_shot", "fire_at": "2020-01-01T00:00:00Z", "allow_past": true});
    let refused = api
        .post("/api/v1/timers/preview", json!({"config": one_shot}))
        .await
        .expect(422);
    let problem = refused.body.to_string();
    assert!(problem.contains("older than max_age_seconds (259199)"), "{problem}");

    // A key is forgotten with its event.
    let body = json!({"trigger_ref": "core.doorbell", "dedup_key": "delivery-7"});
    let first = api.post("/api/v1/events", body.clone()).await.expect(201);
    api.database.move_clock("2 days 23 hours").await;
    let again = api.post("/api/v1/events", body.clone()).await.expect(200);
    assert_eq!(again.body, first.body);
    api.database.move_clock("3 days 1 hour").await;
    api.post("/api/v1/events", body).await.expect(201);
    api.close().await;
}

#[tokio::test]
async fn a_repeat_with_the_same_key_creates_nothing() {
    let api = with_doorbell().await;
    let with_key = |key: &str, payload: Value| ring(payload).header("idempotency-key", key);
    let first = api.send(with_key("a", json!({"n": 1}))).await.expect(201);
    let again = api.send(with_key("a", json!({"n": 1}))).await.expect(200);
    assert_eq!(first.body, again.body);
    assert_eq!(
        api.send(with_key("a", json!({"n": 2}))).await.expect(422).fields(),
        ["Idempotency-Key"]
    );
    let other = api.send(with_key("b", json!({"n": 1}))).await.expect(201);
    assert_ne!(first.body["data"]["id"], other.body["data"]["id"]);
    assert_eq!(
        api.send(with_key(&"x".repeat(256), json!({})))
            .await
            .expect(422)
            .fields(),
        ["Idempotency-Key"]
    );

    let run = |key: &str| {
        Call::new("POST", "/api/v1/executions")
            .json(json!({"action_ref": "core.noop"}))
            .header("idempotency-key", key)
    };
    let first = api.send(run("a")).await.expect(201);
    let again = api.send(run("a")).await.expect(200);
    assert_eq!(first.body, again.body);
    api.database.move_clock("25 hours").await;
    let later = api.send(run("a")).await.expect(201);
    assert_ne!(first.body["data"]["id"], later.body["data"]["id"]);
    api.close().await;
}

#[tokio::test]
async fn a_repeat_during_the_first_request_is_refused() {
    let api = with_doorbell().await;
    let caller = format!("identity:{}", api.identities[&attune_domain::identity::Role::Admin]);
    let lock = format!("idempotency\n{caller}\nPOST /api/v1/events\nslow");
    let mut at_work = Transaction::begin(&api.database.pool).await.expect("a transaction");
    api.database.lock(&mut at_work, &lock).await;
    let refused = api
        .send(ring(json!({})).header("idempotency-key", "slow"))
        .await
        .expect(409);
    assert_eq!(refused.kind(), "in_flight");
    at_work.rollback().await.expect("the first one failed");
    api.send(ring(json!({})).header("idempotency-key", "slow"))
        .await
        .expect(201);
    api.close().await;
}

#[tokio::test]
async fn a_trigger_is_fired_by_hand() {
    let api = with_doorbell().await;
    let fired = api
        .post("/api/v1/triggers/core.timer_10s/fire", json!({}))
        .await
        .expect(201);
    let event = &fired.body["data"];
    assert_eq!(
        (&event["source"], &event["scheduled_at"]),
        (&json!("manual"), &Value::Null)
    );
    assert_eq!(
        (&event["payload"]["type"], &event["payload"]["interval_seconds"]),
        (&json!("interval"), &json!(10))
    );
    api.post("/api/v1/triggers/core.doorbell/disable", json!({}))
        .await
        .expect(200);
    let fired = api
        .post("/api/v1/triggers/core.doorbell/fire", json!({"payload": [1, 2]}))
        .await
        .expect(201);
    assert_eq!(fired.body["data"]["payload"], json!([1, 2]));
    // A program learns that the trigger is disabled.
    assert_eq!(api.send(ring(json!({}))).await.expect(409).kind(), "disabled");
    api.close().await;
}

#[tokio::test]
async fn additions_to_a_timer_payload_must_be_an_object() {
    let api = TestApi::new().await;
    let fire = "/api/v1/triggers/core.timer_10s/fire";
    for wrong in [json!([1, 2]), json!("text"), json!(5), json!(false)] {
        let refused = api.post(fire, json!({"payload": wrong})).await.expect(422);
        assert_eq!(refused.fields(), ["payload"], "{wrong}");
    }
    let plain = api.post(fire, json!({"payload": null})).await.expect(201);
    assert_eq!(plain.body["data"]["payload"]["type"], "interval", "null adds nothing");
    let more = api.post(fire, json!({"payload": {"why": "a test"}})).await.expect(201);
    assert_eq!(more.body["data"]["payload"]["why"], "a test");
    api.close().await;
}

#[tokio::test]
async fn a_disabled_trigger_refuses_events_and_can_be_fired_manually() {
    let api = with_doorbell().await;
    api.post("/api/v1/packs/core/disable", json!({})).await.expect(200);
    let refused = api.send(ring(json!({}))).await.expect(409);
    assert_eq!(refused.kind(), "disabled");
    let detail = refused.body["detail"].as_str().expect("a reason");
    assert_eq!(
        detail,
        "the pack core is disabled; enable it, or fire core.doorbell manually"
    );
    api.database
        .execute("insert into trigger (ref, pack_id, label, kind, config) select 'core.once', id, 'Once', 'timer', '{\"type\": \"one_shot\", \"fire_at\": \"2020-01-01T00:00:00Z\"}' from pack")
        .await;
    for trigger in ["doorbell", "timer_10s", "once"] {
        api.post(&format!("/api/v1/triggers/core.{trigger}/fire"), json!({}))
            .await
            .expect(201);
    }
    api.close().await;
}

#[tokio::test]
async fn an_action_is_run_by_hand_and_canceled() {
    let api = TestApi::new().await;
    let wakes = api.bus.wakes(Wake::executions("default"));
    wakes.recv().await;
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.echo"}))
        .await
        .expect(201);
    let execution = &made.body["data"];
    assert_eq!(
        (&execution["status"], &execution["attempt"]),
        (&json!("scheduled"), &json!(0))
    );
    // Defaults of the action's schema are filled in.
    assert_eq!(execution["parameters"], json!({"message": "Hello World"}));
    tokio::time::timeout(Duration::from_secs(5), wakes.recv())
        .await
        .expect("a worker is woken");
    let path = format!("/api/v1/executions/{}", execution["id"].as_str().expect("an id"));
    assert_eq!(
        api.post(&format!("{path}/rerun"), json!({})).await.expect(409).kind(),
        "not_ended"
    );

    let canceled = api.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    assert_eq!(canceled.body["data"]["status"], "canceled");
    assert_ne!(canceled.body["data"]["finished_at"], Value::Null);
    assert_eq!(api.database.count("select count(*) from execution_queue").await, 0);
    assert_eq!(
        api.post(&format!("{path}/cancel"), json!({})).await.expect(409).kind(),
        "ended"
    );

    let again = api.post(&format!("{path}/rerun"), json!({})).await.expect(201);
    assert_eq!(again.body["data"]["rerun_of"], execution["id"]);
    assert_eq!(again.body["data"]["trace_id"], execution["trace_id"]);
    let wrong = json!({"action_ref": "core.echo", "parameters": {"message": 7, "volume": 11}});
    let refused = api.post("/api/v1/executions", wrong).await.expect(422);
    assert!(refused.fields().contains(&"parameters.message"), "{}", refused.body);
    api.close().await;
}

#[tokio::test]
async fn a_running_execution_is_canceled() {
    let api = TestApi::new().await;
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.sleep"}))
        .await
        .expect(201);
    let id: ExecutionId = made.body["data"]["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("a uuid");
    api.database
        .execute("update execution set status = 'running'; update execution_queue set ready = false, attempt = 1")
        .await;
    let mut controls = api.bus.controls();
    let path = format!("/api/v1/executions/{id}/cancel");
    let canceling = api.post(&path, json!({})).await.expect(200);
    assert_eq!(canceling.body["data"]["status"], ExecutionStatus::Canceling.as_str());
    let heard = tokio::time::timeout(Duration::from_secs(5), controls.recv())
        .await
        .expect("announced immediately");
    assert_eq!(heard, Control::Cancel { execution_id: id });
    assert_eq!(
        api.database
            .count("select count(*) from execution_queue where cancel_requested")
            .await,
        1
    );
    // A second cancel has no effect.
    api.post(&path, json!({})).await.expect(200);
    api.close().await;
}

#[tokio::test]
async fn a_trace_contains_everything_an_event_caused() {
    let api = with_doorbell().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        let made = api.send(ring(json!({"n": n}))).await.expect(201);
        let event: EventId = made.body["data"]["id"]
            .as_str()
            .expect("an id")
            .parse()
            .expect("a uuid");
        let enforcement = EnforcementId::of(event, RuleId(1));
        let execution = ExecutionId::of(enforcement);
        api.database
            .execute(&format!(
                "insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status) values ('{enforcement}', '{event}', 1, 'core.r', 1, 'created');
                 insert into execution (id, enforcement_id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, trace_id)
                 values ('{execution}', '{enforcement}', '{event}', 'core.r', 'core.echo', 'default', '{{}}', 'succeeded', db_now(), '{event}')"
            ))
            .await;
        ids.push((event, enforcement, execution));
    }
    let (event, enforcement, execution) = ids[1];
    let found = api
        .get(&format!("/api/v1/enforcements?event_id={event}"))
        .await
        .expect(200);
    assert_eq!(found.body["data"].as_array().expect("a list").len(), 1);
    assert_eq!(found.body["data"][0]["id"], enforcement.to_string());
    let found = api
        .get(&format!("/api/v1/executions?event_id={event}&status=succeeded"))
        .await
        .expect(200);
    assert_eq!(found.body["data"][0]["id"], execution.to_string());
    api.get(&format!("/api/v1/enforcements/{enforcement}"))
        .await
        .expect(200);

    // Newest first, page by page, whatever the filter.
    let mut seen = Vec::new();
    let mut path = "/api/v1/executions?rule_ref=core.r&action_ref=core.echo&limit=2".to_owned();
    while let Some(next) = {
        let page = api.get(&path).await.expect(200).body;
        seen.extend(
            page["data"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|row| row["id"].clone()),
        );
        page["pagination"]["next"].as_str().map(str::to_owned)
    } {
        path = format!("/api/v1/executions?rule_ref=core.r&action_ref=core.echo&limit=2&cursor={next}");
    }
    let mut expected: Vec<ExecutionId> = ids.iter().map(|ids| ids.2).collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(seen, expected.iter().map(|id| json!(id)).collect::<Vec<_>>());

    let since = api
        .get("/api/v1/executions?since=2100-01-01T00:00:00Z")
        .await
        .expect(200);
    assert_eq!(since.body["data"], json!([]));
    let until = api
        .get("/api/v1/events?until=2100-01-01T00:00:00Z&since=2020-01-01T00:00:00Z")
        .await
        .expect(200);
    assert_eq!(until.body["data"].as_array().expect("a list").len(), 3);
    api.close().await;
}

#[tokio::test]
async fn a_quarantined_event_is_retried_or_discarded() {
    let api = with_doorbell().await;
    let mut ids = Vec::new();
    for n in 0..2 {
        let made = api.send(ring(json!({"n": n}))).await.expect(201);
        ids.push(made.body["data"]["id"].as_str().expect("an id").to_owned());
    }
    api.post(&format!("/api/v1/queue/{}/replay", ids[0]), json!({}))
        .await
        .expect(404);
    api.database
        .execute("update event_queue set quarantined_at = db_now(), tries = 8, last_error = 'it crashed'")
        .await;
    let listed = api.get("/api/v1/queue").await.expect(200);
    assert_eq!(listed.body["data"].as_array().expect("a list").len(), 2);
    assert_eq!(listed.body["data"][0]["last_error"], "it crashed");
    let quarantined = api.get("/api/v1/events?status=quarantined").await.expect(200);
    assert_eq!(quarantined.body["data"].as_array().expect("a list").len(), 2);

    let replayed = api
        .post(&format!("/api/v1/queue/{}/replay", ids[0]), json!({}))
        .await
        .expect(200);
    assert_eq!(replayed.body["data"]["status"], "pending");
    api.delete(&format!("/api/v1/queue/{}", ids[1])).await.expect(204);
    let discarded = api.get(&format!("/api/v1/events/{}", ids[1])).await.expect(200);
    assert_eq!(discarded.body["data"]["status"], "decided");
    assert_eq!(api.database.count("select count(*) from event_decision").await, 1);
    api.close().await;
}

#[tokio::test]
async fn concurrent_events_are_all_stored() {
    let api = with_doorbell().await;
    let call = |n: u32| {
        let key = format!("delivery-{}", n % 50);
        Call::new("POST", "/api/v1/events")
            .json(json!({"trigger_ref": "core.doorbell", "payload": {"n": n}, "dedup_key": key}))
    };
    let answers = futures_util::future::join_all((0..200).map(|n| api.send(call(n)))).await;
    let mut ids = std::collections::HashSet::new();
    for answer in answers {
        assert!(answer.status.is_success(), "{}", answer.body);
        ids.insert(answer.body["data"]["id"].to_string());
    }
    assert_eq!(ids.len(), 50);
    assert_eq!(api.database.count("select count(*) from event").await, 50);
    assert_eq!(api.database.count("select count(*) from event_queue").await, 50);
    api.close().await;
}

#[tokio::test]
async fn why_a_rule_runs_or_not() {
    let api = with_doorbell().await;
    let rule = |name: &str, condition: Value| json!({"ref": name, "trigger_ref": "core.doorbell", "action_ref": "core.echo", "condition": condition, "action_params": {"message": "{{ event.payload.who }}"}});
    let of = |who: &str| json!({"all": [{"path": "event.payload.who", "operator": "equals", "value": who}]});
    api.post("/api/v1/rules", rule("core.for_ann", of("Ann")))
        .await
        .expect(201);
    api.post("/api/v1/rules", rule("core.for_bob", of("Bob")))
        .await
        .expect(201);
    api.post("/api/v1/rules", rule("core.for_none", json!(null)))
        .await
        .expect(201);
    api.post("/api/v1/rules/core.for_none/disable", json!({}))
        .await
        .expect(200);
    let made = api.send(ring(json!({"who": "Ann"}))).await.expect(201);
    let id = made.body["data"]["id"].as_str().expect("an id");
    let explained = api.get(&format!("/api/v1/events/{id}/explain")).await.expect(200);
    let rules = &explained.body["data"]["rules"];
    assert_eq!(
        (&rules[0]["rule_ref"], &rules[0]["decision"], &rules[0]["parameters"]),
        (&json!("core.for_ann"), &json!("enforce"), &json!({"message": "Ann"}))
    );
    let clause = &rules[1]["why"]["clause"];
    assert_eq!(
        (&clause["path"], &clause["expected"], &clause["actual"]),
        (&json!("event.payload.who"), &json!("Bob"), &json!("Ann"))
    );
    assert_eq!(rules[2]["why"]["why"], "disabled");

    let tried = api
        .post(
            "/api/v1/rules/test",
            json!({"rule_ref": "core.for_ann", "payload": {"who": "Ann"}}),
        )
        .await
        .expect(200);
    assert_eq!(
        tried.body["data"],
        json!({"decision": "enforce", "parameters": {"message": "Ann"}})
    );
    let unsaved = json!({"condition": "event.payload.who == 'Bob'", "action_ref": "core.echo", "event_id": id});
    let tried = api.post("/api/v1/rules/test", unsaved).await.expect(200);
    assert_eq!(tried.body["data"]["decision"], "skip");
    let bad = json!({"rule_ref": "core.nothing", "condition": "1 +"});
    assert_eq!(
        api.post("/api/v1/rules/test", bad).await.expect(422).fields(),
        ["rule_ref", "event_id", "condition"]
    );

    let trace = api.get(&format!("/api/v1/traces/{id}")).await.expect(200);
    assert_eq!(
        (&trace.body["data"]["event"]["id"], &trace.body["data"]["executions"]),
        (&json!(id), &json!([]))
    );
    let run = api
        .post("/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    let run = run.body["data"]["id"].as_str().expect("an id");
    let trace = api.get(&format!("/api/v1/traces/{run}")).await.expect(200);
    assert_eq!(trace.body["data"]["executions"][0]["id"], run);
    api.close().await;
}

#[tokio::test]
async fn a_disabled_action_is_not_run_manually() {
    let api = TestApi::new().await;
    let run = || json!({"action_ref": "core.noop"});
    api.post("/api/v1/executions", run()).await.expect(201);
    api.post("/api/v1/packs/core/disable", json!({})).await.expect(200);
    let refused = api.post("/api/v1/executions", run()).await.expect(409);
    assert_eq!(refused.kind(), "disabled");
    assert!(
        refused.body["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("the pack core"))
    );
    api.post("/api/v1/packs/core/enable", json!({})).await.expect(200);
    api.post("/api/v1/executions", run()).await.expect(201);
    api.close().await;
}
