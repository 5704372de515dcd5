//! "Why did it not run?", for each reason there is.

use crate::site::Site;
use serde_json::{Value, json};

const RULE: &str = "/api/v1/rules/core.r_";

async fn site() -> Site {
    let site = Site::new().await;
    site.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    site
}

async fn rule(site: &Site, name: &str, condition: Value) {
    let body = json!({"ref": format!("core.r_{name}"), "trigger_ref": "core.bell", "action_ref": "core.echo", "condition": condition,
                      "action_params": {"message": "{{ event.payload.who }}"}});
    site.post("/api/v1/rules", body).await.expect(201);
}

async fn ring(site: &Site) -> String {
    let body = json!({"trigger_ref": "core.bell", "payload": {"who": "Ann", "n": 3}});
    let made = site.post("/api/v1/events", body).await.expect(201);
    made.body["data"]["id"].as_str().expect("an id").to_owned()
}

/// What an executor would write: these rules matched.
async fn decide(site: &Site, event: &str, matched: &[(&str, &str)]) {
    for (name, status) in matched {
        let reason = if *status == "created" { "null" } else { "'because'" };
        site.database
            .execute(&format!(
                "insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, reason, parameters)
                 select id_floor(id_time('{event}')), '{event}', id, ref, version, '{status}', {reason}, '{{\"message\": \"Ann\"}}'
                 from rule where ref = 'core.r_{name}'"
            ))
            .await;
    }
    site.database
        .execute(&format!(
            "insert into event_decision (event_id, definitions_version, rules, matched) values ('{event}', 1, 1, 1);
             delete from event_queue where event_id = '{event}'"
        ))
        .await;
}

async fn told(site: &Site, event: &str) -> Value {
    let answer = site.get(&format!("/api/v1/events/{event}/explain")).await.expect(200);
    answer.body["data"].clone()
}

fn of<'a>(told: &'a Value, name: &str) -> Option<&'a Value> {
    let rules = told["rules"].as_array().expect("rules");
    rules.iter().find(|rule| rule["rule_ref"] == format!("core.r_{name}"))
}

#[tokio::test]
async fn each_reason() {
    let site = site().await;
    let over = |n: i64| json!({"all": [{"path": "payload.n", "operator": "greater_than", "value": n}]});
    rule(&site, "matches", over(2)).await;
    rule(&site, "clause", over(5)).await;
    rule(&site, "disabled", Value::Null).await;
    rule(&site, "removed", Value::Null).await;
    site.post(&format!("{RULE}disabled/disable"), json!({}))
        .await
        .expect(200);
    let event = ring(&site).await;
    rule(&site, "later", Value::Null).await;

    let waiting = told(&site, &event).await;
    assert_eq!(
        (&waiting["status"], &waiting["decided_at"]),
        (&json!("pending"), &Value::Null)
    );
    assert_eq!(of(&waiting, "matches").expect("told")["decision"], "enforce");

    decide(&site, &event, &[("matches", "created")]).await;
    // Whatever happens afterwards changes nothing of what was decided.
    site.patch(&format!("{RULE}clause"), json!({"condition": null}))
        .await
        .expect(200);
    site.post(&format!("{RULE}disabled/enable"), json!({}))
        .await
        .expect(200);
    site.patch(&format!("{RULE}matches"), json!({"condition": over(100)}))
        .await
        .expect(200);
    site.delete(&format!("{RULE}removed")).await.expect(204);
    rule(&site, "much_later", Value::Null).await;

    let found = told(&site, &event).await;
    assert_eq!(found["status"], "decided");
    assert!(found["decided_at"].is_string());
    let matches = of(&found, "matches").expect("told");
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
    let clause = of(&found, "clause").expect("told");
    assert_eq!(
        clause["why"],
        json!({"why": "condition", "clause": {"path": "event.payload.n", "operator": "greater_than", "expected": 5, "actual": 3, "at": "all[0]"}})
    );
    assert_eq!(of(&found, "disabled").expect("told")["why"], json!({"why": "disabled"}));
    for name in ["later", "much_later"] {
        assert_eq!(
            of(&found, name).expect("told")["why"],
            json!({"why": "created_later"}),
            "{name}"
        );
    }
    // It was there, and left no enforcement: that is said, not guessed.
    assert!(of(&found, "removed").expect("it was there")["note"].is_string());

    questions(&site, &event, clause).await;
    site.close().await;
}

async fn questions(site: &Site, event: &str, clause: &Value) {
    let one = site
        .get(&format!("/api/v1/events/{event}/explain?rule_ref=core.r_clause"))
        .await
        .expect(200);
    assert_eq!(one.body["data"]["rules"], json!([clause]));
    let few = site
        .get(&format!("/api/v1/events/{event}/explain?limit=2"))
        .await
        .expect(200);
    assert_eq!(few.body["data"]["omitted"], 4);
    site.get(&format!("/api/v1/events/{event}/explain?limit=0"))
        .await
        .expect(422);
    site.get("/api/v1/events/00000000-0000-0000-0000-000000000000/explain")
        .await
        .expect(404);
}

#[tokio::test]
async fn what_matched_and_still_did_not_run() {
    let site = site().await;
    rule(&site, "failed", Value::Null).await;
    let event = ring(&site).await;
    decide(&site, &event, &[("failed", "failed")]).await;
    let found = told(&site, &event).await;
    let failed = of(&found, "failed").expect("told");
    assert_eq!(
        (&failed["decision"], &failed["reason"], &failed["execution_id"]),
        (&json!("fail"), &json!("because"), &Value::Null)
    );
    rule(&site, "throttled", Value::Null).await;
    let event = ring(&site).await;
    decide(&site, &event, &[("throttled", "throttled")]).await;
    let found = told(&site, &event).await;
    let throttled = of(&found, "throttled").expect("told");
    assert_eq!(
        (
            &throttled["decision"],
            &throttled["enforcement_status"],
            &throttled["reason"]
        ),
        (&json!("enforce"), &json!("throttled"), &json!("because"))
    );
    site.close().await;
}

#[tokio::test]
async fn a_rule_that_went_to_another_trigger_is_told_where_it_was() {
    let site = site().await;
    site.post("/api/v1/triggers", json!({"ref": "core.horn", "kind": "custom"}))
        .await
        .expect(201);
    rule(&site, "moves", json!("event.payload.n > 5")).await;
    let event = ring(&site).await;
    decide(&site, &event, &[]).await;
    site.patch(&format!("{RULE}moves"), json!({"trigger_ref": "core.horn"}))
        .await
        .expect(200);
    assert!(of(&told(&site, &event).await, "moves").is_some());
    let after = ring(&site).await;
    assert!(of(&told(&site, &after).await, "moves").is_none());
    site.close().await;
}
