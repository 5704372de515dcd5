//! The inbox: stored webhook requests can be read and redelivered.

use crate::{
    hook::{Hook, inbox},
    test_api::Call,
};
use attune_common::testing::eventually;
use attune_domain::identity::Role;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn every_request_with_its_verdict() {
    let hook = Hook::new(json!({"verify": "gitlab", "secret": "s3cret-s3cret", "dedup": {"pointer": "/id"}})).await;
    let genuine = |body: &str| hook.call(body).header("x-gitlab-token", "s3cret-s3cret");
    let first = hook.send(genuine(r#"{"id": 1}"#)).await.expect(202);
    inbox(&hook, "", 1).await;
    hook.send(genuine(r#"{"id": 1}"#)).await.expect(200);
    inbox(&hook, "", 2).await;
    hook.send(hook.call("\u{ff}").header("x-gitlab-token", "wrong"))
        .await
        .expect(401);
    let kept = inbox(&hook, "", 3).await;
    let verdicts: Vec<_> = kept
        .iter()
        .map(|r| (r["verdict"].as_str(), r["reason"].as_str()))
        .collect();
    assert_eq!(
        verdicts,
        [
            (Some("rejected"), Some("token")),
            (Some("duplicate"), None),
            (Some("accepted"), None)
        ]
    );
    assert_eq!(kept[1]["event_id"], first.body["data"]["event_id"]);
    assert_eq!(kept[2]["event_id"], first.body["data"]["event_id"]);
    assert_eq!(
        (&kept[2]["body"], &kept[2]["address"]),
        (&json!(r#"{"id": 1}"#), &json!("192.0.2.1"))
    );
    assert_eq!(kept[2]["headers"]["x-gitlab-token"], "********");
    assert!(!json!(kept).to_string().contains("s3cret"));
    let only = inbox(&hook, "&verdict=rejected", 1).await;
    let id = only[0]["id"].as_str().expect("an id");
    let one = hook
        .api
        .get(&format!("/api/v1/webhook-requests/{id}"))
        .await
        .expect(200);
    assert_eq!(one.body["data"], only[0]);
    let operator = Call::new("GET", "/api/v1/webhook-requests").token(Some(hook.api.token(Role::Operator)));
    hook.api.send(operator).await.expect(403);
    hook.api.close().await;
}

#[tokio::test]
async fn an_editor_redelivers_a_stored_request() {
    let hook = Hook::new(json!({"verify": "github", "secret": "s3cret-s3cret"})).await;
    hook.send(hook.call(r#"{"order": 7}"#)).await.expect(401);
    let kept = inbox(&hook, "", 1).await;
    let path = format!(
        "/api/v1/webhook-requests/{}/redeliver",
        kept[0]["id"].as_str().expect("an id")
    );
    let call = |key: &str| {
        Call::new("POST", &path)
            .token(Some(hook.api.token(Role::Editor)))
            .header("idempotency-key", key)
    };
    let made = hook.api.send(call("a")).await.expect(201);
    let event = &made.body["data"];
    assert_eq!(
        (&event["source"], &event["payload"]["body"]),
        (&json!("webhook"), &json!({"order": 7}))
    );
    let again = hook.api.send(call("a")).await.expect(200);
    assert_eq!(again.body["data"]["id"], event["id"]);
    assert_eq!(hook.events().await, 1);
    let kept_now = inbox(&hook, "&verdict=redelivered", 1).await;
    assert_eq!(
        (&kept_now[0]["event_id"], &kept_now[0]["redelivery_of"]),
        (&event["id"], &kept[0]["id"])
    );
    let audited = "select count(*) from audit where verb = 'redeliver'";
    assert_eq!(hook.api.database.count(audited).await, 1);
    // An incomplete body is not redelivered.
    let large = format!("\"{}\"", "x".repeat(100_000));
    hook.send(hook.call(&large)).await.expect(401);
    let kept = inbox(&hook, "&verdict=rejected", 2).await;
    assert_eq!(
        (&kept[0]["body_cut"], &kept[0]["body_bytes"]),
        (&json!(true), &json!(100_002))
    );
    let path = format!(
        "/api/v1/webhook-requests/{}/redeliver",
        kept[0]["id"].as_str().expect("an id")
    );
    assert_eq!(hook.api.post(&path, json!({})).await.expect(409).kind(), "body_cut");
    hook.api.close().await;
}

#[tokio::test]
async fn an_attack_stores_few_rows() {
    let hook = Hook::new(json!({"verify": "github", "secret": "s3cret-s3cret"})).await;
    for _ in 0..150 {
        let answer = hook.send(hook.call("{}")).await;
        assert!([401, 429].contains(&answer.status.as_u16()));
    }
    let rows = "select count(*) from webhook_request";
    assert!(hook.api.database.count(rows).await <= 60);
    hook.api
        .database
        .execute(
            "insert into webhook_request (id, trigger_id, trigger_ref, method, verdict)
             select id_floor(db_now() + make_interval(secs => n)), 1, 'core.hook', 'POST', 'accepted' from generate_series(1, 1500) n",
        )
        .await;
    // The last rows of the attack may not be written yet, so purging is repeated, as the service does.
    let purged_to = async |left: i64| {
        let pool = &hook.api.database.pool;
        eventually("the rest is purged", Duration::from_secs(10), async || {
            attune_common::store::webhook_inbox::purge(pool).await.expect("purged");
            (hook.api.database.count(rows).await == left).then_some(())
        })
        .await;
    };
    purged_to(1_000).await;
    hook.api.database.move_clock("9 days").await;
    purged_to(0).await;
    hook.api.close().await;
}
