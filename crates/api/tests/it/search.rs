//! Search by text, by id, and what a trace returns on request.

use crate::test_api::{Call, TestApi};
use serde_json::{Value, json};

#[tokio::test]
async fn definitions_are_found_by_ref_and_label() {
    let api = TestApi::new().await;
    api.post("/api/v1/packs", json!({"ref": "acme"})).await.expect(201);
    for (name, label) in [
        ("acme.nightly", "Backup of the echo server"),
        ("acme.echo_all", "100% of it"),
    ] {
        let body = json!({"ref": name, "kind": "custom", "label": label});
        api.post("/api/v1/triggers", body).await.expect(201);
    }
    let found = async |q: &str| {
        let answer = api.get(&format!("/api/v1/search?q={q}")).await.expect(200);
        let hits = answer.body["data"].as_array().expect("a list").clone();
        hits.iter()
            .map(|hit| {
                format!(
                    "{} {}",
                    hit["noun"].as_str().expect("a noun"),
                    hit["ref"].as_str().expect("a ref")
                )
            })
            .collect::<Vec<_>>()
    };
    // First refs and names that start with it, then refs, then labels.
    assert_eq!(
        found("ECHO").await,
        ["trigger acme.echo_all", "action core.echo", "trigger acme.nightly"]
    );
    assert_eq!(found("acme").await[0], "pack acme");
    assert_eq!(found("100%25").await, ["trigger acme.echo_all"]);
    assert_eq!(found("%25").await, ["trigger acme.echo_all"], "not a pattern");
    assert!(found("nothing_like_this").await.is_empty());
    for bad in ["", "?q=", "?q=%20", &format!("?q={}", "x".repeat(129))] {
        let answer = api.get(&format!("/api/v1/search{bad}")).await.expect(422);
        assert_eq!(answer.fields(), ["q"], "{bad}");
    }
    api.close().await;
}

#[tokio::test]
async fn an_id_leads_to_its_trace() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    let event = api
        .post("/api/v1/events", json!({"trigger_ref": "core.bell", "payload": {}}))
        .await;
    let event = event.expect(201).body["data"]["id"].as_str().expect("an id").to_owned();
    let run = api.post("/api/v1/executions", json!({"action_ref": "core.noop"})).await;
    let run = run.expect(201).body["data"]["id"].as_str().expect("an id").to_owned();
    let resolved = async |id: &str| api.get(&format!("/api/v1/resolve/{id}")).await.expect(200).body["data"].clone();
    assert_eq!(
        resolved(&event).await,
        json!({"noun": "event", "id": event, "trace_id": event, "path": format!("/t/{event}?node={event}")})
    );
    let of_run = resolved(&run).await;
    assert_eq!((&of_run["noun"], &of_run["id"]), (&json!("execution"), &json!(run)));
    api.database
        .execute(&format!(
            "insert into enforcement (id, event_id, rule_id, rule_ref, rule_version, status, reason)
             values ('00000000-0000-0000-0000-000000000007', '{event}', 7, 'core.x', 1, 'throttled', 'limit');
             insert into webhook_request (id, trigger_id, trigger_ref, method, verdict, event_id)
             values ('00000000-0000-0000-0000-000000000008', 1, 'core.bell', 'POST', 'accepted', '{event}'),
                    ('00000000-0000-0000-0000-000000000009', 1, 'core.bell', 'POST', 'duplicate', '{event}')"
        ))
        .await;
    let enforcement = resolved("00000000-0000-0000-0000-000000000007").await;
    assert_eq!(
        (&enforcement["noun"], &enforcement["trace_id"]),
        (&json!("enforcement"), &json!(event))
    );
    let request = resolved("00000000-0000-0000-0000-000000000008").await;
    assert_eq!(request["path"], "/webhooks/inbox/00000000-0000-0000-0000-000000000008");
    api.get("/api/v1/resolve/00000000-0000-0000-0000-000000000001")
        .await
        .expect(404);

    // The same, in one request for the trace.
    let chain = api
        .get(&format!("/api/v1/traces/{event}?with=explain,attempts,requests"))
        .await
        .expect(200);
    let chain = &chain.body["data"];
    assert_eq!(chain["request"]["id"], "00000000-0000-0000-0000-000000000008");
    assert_eq!(chain["explanation"]["event_id"], event);
    assert_eq!(chain["explanation"]["rules"], json!([]));
    let plain = api.get(&format!("/api/v1/traces/{event}")).await.expect(200);
    for part in ["request", "explanation"] {
        assert_eq!(plain.body["data"].get(part), None::<&Value>);
    }
    api.send(Call::new("GET", &format!("/api/v1/traces/{event}?with=everything")))
        .await
        .expect(422);
    api.close().await;
}

#[tokio::test]
async fn a_trace_has_the_attempts_of_each_execution() {
    let api = TestApi::new().await;
    let run = api.post("/api/v1/executions", json!({"action_ref": "core.noop"})).await;
    let run = run.expect(201).body["data"]["id"].as_str().expect("an id").to_owned();
    let chain = async || {
        let path = format!("/api/v1/traces/{run}?with=attempts,explain,requests");
        api.get(&path).await.expect(200).body["data"].clone()
    };
    let before = chain().await;
    assert_eq!(before["executions"][0]["attempts"], json!([]));
    assert_eq!(before.get("explanation"), None::<&Value>, "there is no event");
    api.database
        .execute(&format!(
            "update execution set attempt = 2, status = 'running', started_at = db_now() where id = '{run}';
             insert into execution_attempt (execution_id, attempt, started_at, ended_at, outcome, detail)
             values ('{run}', 1, db_now(), db_now(), 'failed', '{{\"error\": \"exit code 3\"}}')"
        ))
        .await;
    let after = chain().await;
    let attempts = &after["executions"][0]["attempts"];
    assert_eq!(
        (&attempts[0]["outcome"], &attempts[0]["reason"]),
        (&json!("failed"), &json!("exit code 3"))
    );
    assert_eq!(
        (&attempts[1]["attempt"], &attempts[1]["outcome"]),
        (&json!(2), &json!("running"))
    );
    let listed = api.get(&format!("/api/v1/executions/{run}/attempts")).await.expect(200);
    assert_eq!(listed.body["data"], *attempts, "the same as the list");
    api.close().await;
}
