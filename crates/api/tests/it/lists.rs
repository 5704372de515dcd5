//! Lists and traces: bounded however much was written, and complete.

use crate::test_api::{Call, TestApi};
use attune_domain::{EnforcementId, EventId, ExecutionId, RuleId};
use serde_json::{Value, json};

/// An execution that ended, with this much of output.
pub async fn ended(api: &TestApi, n: u8, status: &str, bytes: usize) -> ExecutionId {
    let id = ExecutionId(uuid::Uuid::from_u128((0x019a_0000_0000 + u128::from(n)) << 80));
    api.database
        .execute(&format!(
            "insert into execution (id, action_ref, pool, parameters, status, result, output_tail, scheduled_at, started_at, finished_at, trace_id)
             values ('{id}', 'core.echo', 'default', jsonb_build_object('message', repeat('é', {bytes})), '{status}',
                     jsonb_build_object('stdout', (select string_agg(md5(i::text), '') from generate_series(1, greatest(1, {bytes} / 32)) i)), 'the end',
                     db_now(), db_now(), db_now() + interval '1.5 s', '{id}')"
        ))
        .await;
    id
}

#[tokio::test]
async fn a_list_of_executions_is_bounded_however_much_they_wrote() {
    let api = TestApi::new().await;
    for n in 0..12 {
        ended(&api, n, "succeeded", 900_000).await;
    }
    let short = ended(&api, 12, "succeeded", 10).await;
    let answer = api.send(Call::new("GET", "/api/v1/executions")).await.expect(200);
    assert!(answer.raw.len() < 32 * 1024, "{} bytes", answer.raw.len());
    let rows = answer.body["data"].as_array().expect("a list");
    assert_eq!(rows.len(), 13);
    let first = &rows[0];
    assert_eq!(first["id"], short.to_string());
    assert_eq!(first["parameters"], json!({"message": "é".repeat(10)}));
    assert!(first.get("parameters_preview").is_none(), "{first}");
    for row in rows {
        assert!(row.get("result").is_none(), "{row}");
        assert_eq!(
            (&row["output_tail"], &row["duration_ms"]),
            (&json!("the end"), &json!(1500))
        );
    }
    let long = &rows[1];
    assert_eq!(long["parameters"], Value::Null);
    let preview = long["parameters_preview"].as_str().expect("a preview");
    assert!(
        preview.len() <= 512 && preview.len() > 500 && preview.starts_with("{\"message\": \"éé"),
        "{preview}"
    );

    // All executions, in pages of at most 4 MiB.
    let (mut path, mut seen, mut pages) = ("/api/v1/executions?view=full".to_owned(), Vec::new(), 0);
    loop {
        let answer = api.get(&path).await.expect(200);
        assert!(answer.raw.len() <= 4 * 1024 * 1024 + 1024, "{} bytes", answer.raw.len());
        pages += 1;
        let rows = answer.body["data"].as_array().expect("a list").clone();
        assert!(
            rows.iter()
                .all(|row| row["result"]["stdout"].is_string() && row["parameters"].is_object())
        );
        seen.extend(rows.into_iter().map(|row| row["id"].clone()));
        let Some(next) = answer.body["pagination"]["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/executions?view=full&cursor={next}");
    }
    assert_eq!(
        (seen.len(), pages),
        (13, 12),
        "one long execution a page, the short one with the first"
    );
    assert_eq!(
        api.get("/api/v1/executions?view=everything").await.expect(422).fields(),
        ["view"]
    );

    let trace = format!("/api/v1/traces/{short}");
    let chain = api.get(&trace).await.expect(200).body["data"].clone();
    assert!(chain["executions"][0].get("result").is_none(), "{chain}");
    let chain = api.get(&format!("{trace}?view=full")).await.expect(200).body["data"].clone();
    assert!(chain["executions"][0]["result"].is_object(), "{chain}");
    api.close().await;
}

/// Every list is split into several pages if one page would be too large.
#[tokio::test]
async fn every_list_is_bounded() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    for _ in 0..6 {
        let body = json!({"trigger_ref": "core.doorbell", "payload": "x".repeat(1_000_000)});
        api.post("/api/v1/events", body).await.expect(201);
    }
    let (mut path, mut seen) = ("/api/v1/events".to_owned(), Vec::new());
    loop {
        let answer = api.get(&path).await.expect(200);
        assert!(answer.raw.len() <= 4 * 1024 * 1024 + 1024, "{} bytes", answer.raw.len());
        seen.extend(
            answer.body["data"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|row| row["id"].clone()),
        );
        let Some(next) = answer.body["pagination"]["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/events?cursor={next}");
    }
    assert_eq!(seen.len(), 6);
    api.close().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn a_rerun_belongs_to_the_trace() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    let made = api
        .post("/api/v1/events", json!({"trigger_ref": "core.doorbell"}))
        .await
        .expect(201);
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
             values ('{execution}', '{enforcement}', '{event}', 'core.r', 'core.echo', 'default', '{{}}', 'failed', db_now(), '{event}')"
        ))
        .await;
    let again = api
        .post(&format!("/api/v1/executions/{execution}/rerun"), json!({}))
        .await
        .expect(201);
    let rerun = again.body["data"]["id"].clone();
    api.database
        .execute("update execution set status = 'canceled' where rerun_of is not null")
        .await;
    let path = format!("/api/v1/executions/{}/rerun", rerun.as_str().expect("an id"));
    let third = api.post(&path, json!({})).await.expect(201).body["data"]["id"].clone();
    let mut expected = [
        execution.to_string(),
        rerun.as_str().expect("an id").to_owned(),
        third.as_str().expect("an id").to_owned(),
    ];
    expected.sort_unstable();
    for id in [
        event.to_string(),
        expected[0].clone(),
        expected[1].clone(),
        expected[2].clone(),
    ] {
        let chain = api.get(&format!("/api/v1/traces/{id}")).await.expect(200).body["data"].clone();
        assert_eq!(chain["trace_id"], event.to_string(), "{id}");
        assert_eq!(chain["event"]["id"], event.to_string(), "{id}");
        assert_eq!(chain["enforcements"][0]["id"], enforcement.to_string(), "{id}");
        let rows = chain["executions"].as_array().expect("a list");
        let mut found: Vec<_> = rows
            .iter()
            .map(|row| row["id"].as_str().expect("an id").to_owned())
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected, "{id}");
        assert_eq!(chain["more"], false);
    }
    // Also for a manual execution, and after the event was removed.
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    let hand = made.body["data"]["id"].as_str().expect("an id").to_owned();
    api.database
        .execute(&format!("update execution set status = 'canceled' where id = '{hand}'"))
        .await;
    let rerun = api
        .post(&format!("/api/v1/executions/{hand}/rerun"), json!({}))
        .await
        .expect(201);
    for id in [hand.as_str(), rerun.body["data"]["id"].as_str().expect("an id")] {
        let chain = api.get(&format!("/api/v1/traces/{id}")).await.expect(200).body["data"].clone();
        assert_eq!((&chain["event"], &chain["enforcements"]), (&Value::Null, &json!([])));
        assert_eq!(chain["executions"].as_array().expect("a list").len(), 2, "{id}");
    }
    api.database.execute("delete from event_queue; delete from event").await;
    let chain = api.get(&format!("/api/v1/traces/{execution}")).await.expect(200).body["data"].clone();
    assert_eq!(
        (&chain["event"], chain["executions"].as_array().map(Vec::len)),
        (&Value::Null, Some(3))
    );
    api.close().await;
}
