//! Answers to common mistakes.

use crate::{
    hook::Hook,
    test_api::{Answer, Call, TestApi},
};
use serde_json::{Value, json};

fn detail(answer: &Answer) -> &str {
    answer.body["detail"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_root_lists_entry_points() {
    let api = TestApi::new().await;
    let welcome = api.send(Call::new("GET", "/").token(None)).await.expect(200);
    let data = &welcome.body["data"];
    assert_eq!(
        (&data["name"], &data["version"]),
        (&json!("attune"), &json!(env!("CARGO_PKG_VERSION")))
    );
    for link in ["docs", "openapi", "health", "metrics"] {
        let path = data[link].as_str().expect("a link");
        let there = api.send(Call::new("GET", path).token(None)).await;
        assert_ne!(there.status, 404, "{link} leads to {path}");
    }
    api.close().await;
}

#[tokio::test]
async fn likely_names_are_suggested() {
    let api = TestApi::new().await;
    let refused = api.send(Call::new("DELETE", "/api/v1/events")).await.expect(405);
    assert!(
        detail(&refused).contains("GET") && detail(&refused).contains("POST"),
        "{}",
        refused.body
    );

    let message = async |path: &str| api.get(path).await.expect(404).body["errors"][0].clone();
    let event = message("/api/v1/events/7").await;
    assert_eq!(event["path"], "id");
    assert!(
        event["message"]
            .as_str()
            .is_some_and(|text| text.contains("must be a UUID")),
        "{event}"
    );
    let identity = message("/api/v1/identities/ann").await;
    assert!(
        identity["message"]
            .as_str()
            .is_some_and(|text| text.contains("must be a number")),
        "{identity}"
    );
    assert_eq!(message("/api/v1/rules/Not%20one").await["path"], "ref");

    let nothing = Call::new("POST", "/auth/login").token(None).json(json!({}));
    assert_eq!(api.send(nothing).await.expect(422).fields(), ["username", "password"]);
    api.close().await;
}

#[tokio::test]
async fn rate_limits_state_when_to_retry() {
    let mut api = TestApi::new().await;
    let attempt = || {
        Call::new("POST", "/auth/login")
            .token(None)
            .json(json!({"username": "unknown", "password": "wrong"}))
    };
    for _ in 0..5 {
        api.send(attempt()).await.expect(401);
    }
    let late = api.send(attempt()).await.expect(429);
    let seconds = late.header("retry-after").to_owned();
    assert!((1..=60).contains(&seconds.parse::<u32>().expect("a number")));
    assert!(detail(&late).contains(&format!("{seconds} seconds")), "{}", late.body);

    api.configured(|config| config.api.requests_per_second = 1);
    let mut last = api.get("/api/v1/rules").await;
    while last.status == 200 {
        last = api.get("/api/v1/rules").await;
    }
    last = last.expect(429);
    assert!(detail(&last).contains("1 second"), "{}", last.body);
    api.close().await;
}

#[tokio::test]
async fn senders_of_webhooks_receive_the_reason() {
    let hook = Hook::new(json!({"verify": "gitlab", "secret": "a fine secret", "body_bytes_max": 100})).await;
    let refused = hook.send(hook.call("{}")).await.expect(401);
    assert!(
        !refused.headers.contains_key("www-authenticate"),
        "a sender has no token"
    );
    let large = format!("\"{}\"", "x".repeat(150));
    let declared = hook
        .send(hook.call(&large).header("content-length", "152"))
        .await
        .expect(413);
    assert!(
        detail(&declared).contains("152") && detail(&declared).contains("100"),
        "{}",
        declared.body
    );
    let read = hook.send(hook.call(&large)).await.expect(413);
    assert!(detail(&read).contains("100"), "{}", read.body);
    // Other routes state how to sign in.
    let unsigned = hook
        .api
        .send(Call::new("GET", "/api/v1/rules").token(None))
        .await
        .expect(401);
    assert_eq!(unsigned.header("www-authenticate"), "Bearer");
    hook.api.close().await;
}

/// A rule that failed to create an execution is not a success.
#[tokio::test]
async fn a_waiting_webhook_receives_failed_rules() {
    let hook = Hook::new(json!({"verify": "none", "wait_seconds": 20})).await;
    let decide = async {
        let database = &hook.api.database;
        while database.count("select count(*) from event_queue").await == 0 {
            tokio::task::yield_now().await;
        }
        // The rows that an executor would write.
        database
            .execute(
                "insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, reason)
                     select event_id, event_id, 1, 'core.broken', 1, 'failed', 'action_params.n: there is no event.payload.n' from event_queue;
                 insert into event_decision (event_id, definitions_version, rules, matched) select event_id, 1, 1, 1 from event_queue;
                 delete from event_queue",
            )
            .await;
    };
    let (answer, ()) = tokio::join!(hook.send(hook.call("{}")), decide);
    let data = &answer.expect(200).body["data"];
    let failed: &Value = &data["rules_failed"][0];
    assert_eq!(
        (&data["executions"], &failed["rule_ref"], &failed["status"]),
        (&json!([]), &json!("core.broken"), &json!("failed"))
    );
    assert!(
        failed["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("payload.n")),
        "{failed}"
    );
    hook.api.close().await;
}

/// A query after the commit may fail, but the change has happened, so the answer must report success. Here the commit itself
/// renames the table that the query would read.
#[tokio::test]
async fn a_committed_change_is_never_answered_as_a_failure() {
    let api = TestApi::new().await;
    let rule = json!({"ref": "core.r", "trigger_ref": "core.timer_10s", "action_ref": "core.echo", "action_params": {"message": "x"}});
    api.post("/api/v1/rules", rule).await.expect(201);
    api.database
        .execute(
            "create function vanish() returns trigger language plpgsql as $$
             begin execute format('alter table if exists %1$I rename to %1$s_gone', tg_argv[0]); return null; end $$;
             create constraint trigger vanish after insert on execution_queue deferrable initially deferred
                 for each row execute function vanish('execution');
             create constraint trigger vanish after insert on event_queue deferrable initially deferred
                 for each row execute function vanish('event');
             create constraint trigger vanish after insert or update on rule deferrable initially deferred
                 for each row execute function vanish('action')",
        )
        .await;
    let back = async |table: &str| {
        let sql = format!("alter table {table}_gone rename to {table}");
        api.database.execute(&sql).await;
    };

    let event = json!({"trigger_ref": "core.timer_10s", "payload": {"n": 1}});
    let made = api.post("/api/v1/events", event.clone()).await.expect(201);
    assert_eq!(made.body["data"]["payload"], event["payload"]);
    let id = made.body["data"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(made.header("location"), format!("/api/v1/events/{id}"));
    back("event").await;
    let stored = api.get(&format!("/api/v1/events/{id}")).await.expect(200);
    for field in [
        "id",
        "trigger_ref",
        "source",
        "payload",
        "scheduled_at",
        "status",
        "trace_id",
    ] {
        assert_eq!(stored.body["data"][field], made.body["data"][field], "{field}");
    }
    let call = Call::new("POST", "/api/v1/events").header("idempotency-key", "one");
    api.send(call.json(event)).await.expect(201);
    back("event").await;
    let fired = api.post("/api/v1/triggers/core.timer_10s/fire", json!({})).await;
    assert_eq!(fired.expect(201).body["data"]["source"], "manual");
    back("event").await;

    let run = json!({"action_ref": "core.echo", "parameters": {"message": "x"}});
    let started = api.post("/api/v1/executions", run).await.expect(201);
    assert_eq!(started.body["data"]["status"], "scheduled");
    back("execution").await;

    let disabled = api.post("/api/v1/rules/core.r/disable", json!({})).await.expect(200);
    assert_eq!(disabled.body["data"]["enabled"], false);
    back("action").await;
    api.patch("/api/v1/rules/core.r", json!({"label": "R"}))
        .await
        .expect(200);
    back("action").await;
    let another = json!({"ref": "core.r2", "trigger_ref": "core.timer_10s", "action_ref": "core.echo", "action_params": {"message": "x"}});
    api.post("/api/v1/rules", another).await.expect(201);
    back("action").await;
    api.close().await;
}
