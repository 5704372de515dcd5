//! "Why did it not run?", for every possible reason.

use crate::test_api::TestApi;
use serde_json::{Value, json};

const RULE: &str = "/api/v1/rules/core.r_";

async fn api() -> TestApi {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    api
}

async fn rule(api: &TestApi, name: &str, condition: Value) {
    let body = json!({"ref": format!("core.r_{name}"), "trigger_ref": "core.bell", "action_ref": "core.echo", "condition": condition,
                      "action_params": {"message": "{{ event.payload.who }}"}});
    api.post("/api/v1/rules", body).await.expect(201);
}

async fn ring(api: &TestApi) -> String {
    let body = json!({"trigger_ref": "core.bell", "payload": {"who": "Ann", "n": 3}});
    let made = api.post("/api/v1/events", body).await.expect(201);
    made.body["data"]["id"].as_str().expect("an id").to_owned()
}

/// Writes the decision of an executor: these rules matched.
async fn decide(api: &TestApi, event: &str, matched: &[(&str, &str)]) {
    for (name, status) in matched {
        let reason = if *status == "created" { "null" } else { "'because'" };
        api.database
            .execute(&format!(
                "insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters)
                 select id_floor(id_time('{event}')), '{event}', id, ref, version, '{status}', {reason}, '{{\"message\": \"Ann\"}}'
                 from rule where ref = 'core.r_{name}'"
            ))
            .await;
    }
    api.database
        .execute(&format!(
            "insert into event_decision (event_id, definitions_version, rules, matched) values ('{event}', 1, 1, 1);
             delete from event_queue where event_id = '{event}'"
        ))
        .await;
}

async fn explain(api: &TestApi, event: &str) -> Value {
    let answer = api.get(&format!("/api/v1/events/{event}/explain")).await.expect(200);
    answer.body["data"].clone()
}

fn of<'a>(explained: &'a Value, name: &str) -> Option<&'a Value> {
    let rules = explained["rules"].as_array().expect("rules");
    rules.iter().find(|rule| rule["rule_ref"] == format!("core.r_{name}"))
}

#[tokio::test]
async fn each_reason() {
    let api = api().await;
    let over = |n: i64| json!({"all": [{"path": "payload.n", "operator": "greater_than", "value": n}]});
    rule(&api, "matches", over(2)).await;
    rule(&api, "clause", over(5)).await;
    rule(&api, "disabled", Value::Null).await;
    rule(&api, "removed", Value::Null).await;
    api.post(&format!("{RULE}disabled/disable"), json!({}))
        .await
        .expect(200);
    let event = ring(&api).await;
    rule(&api, "later", Value::Null).await;

    let waiting = explain(&api, &event).await;
    assert_eq!(
        (&waiting["status"], &waiting["decided_at"]),
        (&json!("pending"), &Value::Null)
    );
    assert_eq!(
        of(&waiting, "matches").expect("an explained rule")["decision"],
        "enforce"
    );

    decide(&api, &event, &[("matches", "created")]).await;
    // Later changes do not affect the decision.
    api.patch(&format!("{RULE}clause"), json!({"condition": null}))
        .await
        .expect(200);
    api.post(&format!("{RULE}disabled/enable"), json!({})).await.expect(200);
    api.patch(&format!("{RULE}matches"), json!({"condition": over(100)}))
        .await
        .expect(200);
    api.delete(&format!("{RULE}removed")).await.expect(204);
    rule(&api, "much_later", Value::Null).await;

    let found = explain(&api, &event).await;
    assert_eq!(found["status"], "decided");
    assert!(found["decided_at"].is_string());
    let matches = of(&found, "matches").expect("an explained rule");
    assert_eq!(found["rules"][0], *matches, "those that matched come first");
    assert_eq!(
        (
            &matches["decision"],
            &matches["parameters"],
            &matches["enforcement_status"],
            &matches["rule_version"]
        ),
        (
            &json!("enforce"),
            &json!({"message": "Ann"}),
            &json!("created"),
            &json!(1)
        )
    );
    assert!(matches["execution_id"].is_string());
    let clause = of(&found, "clause").expect("an explained rule");
    assert_eq!(
        clause["why"],
        json!({"why": "condition", "clause": {"path": "event.payload.n", "operator": "greater_than", "expected": 5, "actual": 3, "at": "all[0]"}})
    );
    assert_eq!(
        of(&found, "disabled").expect("an explained rule")["why"],
        json!({"why": "disabled"})
    );
    for name in ["later", "much_later"] {
        assert_eq!(
            of(&found, name).expect("an explained rule")["why"],
            json!({"why": "created_later"}),
            "{name}"
        );
    }
    // It existed but left no enforcement, which the note states.
    assert!(of(&found, "removed").expect("it was there")["note"].is_string());

    questions(&api, &event, clause).await;
    api.close().await;
}

async fn questions(api: &TestApi, event: &str, clause: &Value) {
    let one = api
        .get(&format!("/api/v1/events/{event}/explain?rule_ref=core.r_clause"))
        .await
        .expect(200);
    assert_eq!(one.body["data"]["rules"], json!([clause]));
    let few = api
        .get(&format!("/api/v1/events/{event}/explain?limit=2"))
        .await
        .expect(200);
    assert_eq!(few.body["data"]["omitted"], 4);
    api.get(&format!("/api/v1/events/{event}/explain?limit=0"))
        .await
        .expect(422);
    api.get("/api/v1/events/00000000-0000-0000-0000-000000000000/explain")
        .await
        .expect(404);
}

#[tokio::test]
async fn matched_rules_that_did_not_run() {
    let api = api().await;
    rule(&api, "failed", Value::Null).await;
    let event = ring(&api).await;
    decide(&api, &event, &[("failed", "failed")]).await;
    let found = explain(&api, &event).await;
    let failed = of(&found, "failed").expect("an explained rule");
    assert_eq!(
        (&failed["decision"], &failed["reason"], &failed["execution_id"]),
        (&json!("fail"), &json!("because"), &Value::Null)
    );
    rule(&api, "throttled", Value::Null).await;
    let event = ring(&api).await;
    decide(&api, &event, &[("throttled", "throttled")]).await;
    let found = explain(&api, &event).await;
    let throttled = of(&found, "throttled").expect("an explained rule");
    assert_eq!(
        (
            &throttled["decision"],
            &throttled["enforcement_status"],
            &throttled["reason"]
        ),
        (&json!("enforce"), &json!("throttled"), &json!("because"))
    );
    api.close().await;
}

#[tokio::test]
async fn a_rule_that_moved_is_explained_with_its_former_trigger() {
    let api = api().await;
    api.post("/api/v1/triggers", json!({"ref": "core.horn", "kind": "custom"}))
        .await
        .expect(201);
    rule(&api, "moves", json!("event.payload.n > 5")).await;
    let event = ring(&api).await;
    decide(&api, &event, &[]).await;
    api.patch(&format!("{RULE}moves"), json!({"trigger_ref": "core.horn"}))
        .await
        .expect(200);
    assert!(of(&explain(&api, &event).await, "moves").is_some());
    let after = ring(&api).await;
    assert!(of(&explain(&api, &after).await, "moves").is_none());
    api.close().await;
}
