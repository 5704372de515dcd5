//! `POST /executions?wait=…` answers when the execution has ended.

use crate::test_api::{Call, TestApi};
use attune_common::bus::{Feed, FeedKind};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use serde_json::json;
use std::time::{Duration, Instant};

fn run(query: &str) -> Call {
    Call::new("POST", &format!("/api/v1/executions{query}")).json(json!({"action_ref": "core.echo"}))
}

/// Ends the scheduled execution, as a worker would; `announced`: on the bus of this API.
async fn end_soon(api: &TestApi, announced: bool) {
    let id = attune_common::testing::eventually("an execution", Duration::from_secs(20), async || {
        let found: Vec<uuid::Uuid> = scheduled(api).await;
        found.first().copied()
    })
    .await;
    api.database
        .execute("update execution set status = 'running', started_at = db_now() where status = 'scheduled'; \
                  update execution set status = 'succeeded', result = '{\"stdout\": \"Hello\"}', finished_at = db_now() where status = 'running'; \
                  delete from execution_queue")
        .await;
    if announced {
        api.bus.feed(Feed {
            execution_id: Some(ExecutionId(id)),
            ..Feed::new(FeedKind::execution(ExecutionStatus::Succeeded))
        });
    }
}

async fn scheduled(api: &TestApi) -> Vec<uuid::Uuid> {
    let rows = api.get("/api/v1/executions?status=scheduled").await.expect(200);
    let rows = rows.body["data"].as_array().expect("a list").clone();
    rows.iter().filter_map(|row| row["id"].as_str()?.parse().ok()).collect()
}

#[tokio::test]
async fn a_waiting_request_receives_the_result() {
    let api = TestApi::new().await;
    // Announced on the bus, or only in the database, as when another process without a shared bus wrote it.
    for announced in [true, false] {
        let (answer, ()) = tokio::join!(api.send(run("?wait=30")), end_soon(&api, announced));
        let answer = answer.expect(201);
        assert_eq!(answer.body["data"]["status"], "succeeded");
        assert_eq!(answer.body["data"]["result"], json!({"stdout": "Hello"}));
        assert!(answer.header("location").starts_with("/api/v1/executions/"));
    }
    // A repeat waits like the first, and creates nothing.
    let keyed = || run("?wait=30").header("idempotency-key", "k");
    let (first, ()) = tokio::join!(api.send(keyed()), end_soon(&api, true));
    let again = api.send(keyed()).await.expect(200);
    assert_eq!(first.expect(201).body, again.body);
    let path = format!(
        "/api/v1/executions/{}/rerun?wait=30",
        again.body["data"]["id"].as_str().expect("an id")
    );
    let rerun = api.send(Call::new("POST", &path).json(json!({})));
    let (rerun, ()) = tokio::join!(rerun, end_soon(&api, true));
    assert_eq!(rerun.expect(201).body["data"]["status"], "succeeded");
    api.close().await;
}

#[tokio::test]
async fn after_the_wait_the_current_state_is_returned() {
    let api = TestApi::new().await;
    let started = Instant::now();
    let answer = api.send(run("?wait=1")).await.expect(202);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.body["data"]["status"], "scheduled");
    let path = answer.header("location").to_owned();
    assert_eq!(
        api.get(&path).await.expect(200).body["data"]["id"],
        answer.body["data"]["id"]
    );
    api.send(run("?wait=0")).await.expect(202);
    api.send(run("")).await.expect(201);
    let repeated = || run("?wait=0").header("idempotency-key", "k");
    api.send(repeated()).await.expect(202);
    api.send(repeated()).await.expect(202);
    for wait in ["31", "-1", "300", "soon", "1.5", ""] {
        let refused = api.send(run(&format!("?wait={wait}"))).await.expect(422);
        assert_eq!(refused.fields(), ["wait"], "{wait}");
    }
    assert_eq!(api.database.count("select count(*) from execution").await, 4);
    api.close().await;
}

/// More requests wait than the pool has connections, and others are answered meanwhile. A client that disconnects affects nothing.
#[tokio::test]
async fn waiting_requests_hold_no_connection() {
    let api = TestApi::new().await;
    let most = usize::try_from(api.database.pool.options().get_max_connections()).expect("few");
    let mut waiting = tokio::task::JoinSet::new();
    let api = std::sync::Arc::new(api);
    for _ in 0..most * 2 {
        let api = api.clone();
        waiting.spawn(async move { api.send(run("?wait=30")).await });
    }
    let count = async || api.database.count("select count(*) from execution").await;
    let all = i64::try_from(most * 2).expect("few");
    attune_common::testing::eventually("all of them wait", Duration::from_secs(30), async || {
        (count().await == all).then_some(())
    })
    .await;
    let answer = tokio::time::timeout(Duration::from_secs(5), api.get("/api/v1/rules")).await;
    answer.expect("a connection is free").expect(200);
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    assert_eq!(count().await, all);
    assert_eq!(api.database.count("select count(*) from execution_queue").await, all);
    let api = std::sync::Arc::into_inner(api).expect("the only reference");
    api.close().await;
}
