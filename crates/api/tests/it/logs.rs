//! Logs of finished and running executions.

use crate::{
    stream::{Received, Watcher},
    test_api::TestApi,
};
use attune_api::Api;
use attune_common::{
    bus::{Bus, Feed, FeedKind, LogRange, RabbitmqBus, RabbitmqConfig},
    clock,
    service::Context,
    store::{
        execution_log::{self, Written},
        execution_queue::AttemptKey,
    },
    testing::{eventually, rabbitmq},
};
use attune_domain::{EventId, ExecutionId, execution::ExecutionStatus};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// A running execution in its first attempt.
async fn running(api: &TestApi) -> ExecutionId {
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    let id = made.body["data"]["id"].as_str().expect("an id").parse().expect("an id");
    api.database
        .execute("update execution_queue set ready = false, attempt = 1; update execution set status = 'running', attempt = 1, started_at = db_now()")
        .await;
    id
}

/// Stores chunks of output as a worker does; the first one has this number.
async fn write(api: &TestApi, id: ExecutionId, first: i32, pieces: &[(&'static str, &str)]) {
    let held = AttemptKey { id, attempt: 1 };
    let written: Vec<Written> = (first..)
        .zip(pieces)
        .map(|(seq, (stream, text))| Written {
            held,
            seq,
            stream,
            text: (*text).to_owned(),
        })
        .collect();
    let kept = execution_log::append(&api.database.pool, &written).await.expect("kept");
    assert_eq!(kept.len(), pieces.len());
    let last = first - 1 + i32::try_from(pieces.len()).expect("few");
    api.bus.feed(Feed {
        execution_id: Some(id),
        log: Some(LogRange {
            attempt: 1,
            first,
            last,
        }),
        ..Feed::new(FeedKind::execution_log())
    });
}

/// Stores the end of an execution as a worker does.
async fn end(api: &TestApi, id: ExecutionId, result: &Value) {
    api.database
        .execute(&format!(
            "delete from execution_queue; update execution set status = 'failed', finished_at = db_now(), error = 'exit code 1', result = '{result}'"
        ))
        .await;
    api.bus.feed(Feed {
        execution_id: Some(id),
        ..Feed::new(FeedKind::execution(ExecutionStatus::Failed))
    });
}

fn texts(data: &Value) -> Vec<(&str, &str)> {
    let logs = data["logs"].as_array().expect("a list");
    logs.iter()
        .map(|log| {
            (
                log["stream"].as_str().expect("text"),
                log["text"].as_str().expect("text"),
            )
        })
        .collect()
}

#[tokio::test]
async fn following_returns_each_line_and_finally_the_rest() {
    let api = TestApi::new().await;
    let id = running(&api).await;
    let path = format!("/api/v1/executions/{id}/logs");
    let first =
        async |after: &str| api.get(&format!("{path}?follow=true{after}")).await.expect(200).body["data"].clone();
    let (one, ()) = tokio::join!(
        first(""),
        write(&api, id, 1, &[("stdout", "one\n"), ("stderr", "two\n")])
    );
    assert_eq!((&one["complete"], &one["status"]), (&json!(false), &json!("running")));
    assert_eq!(texts(&one), [("stdout", "one\n"), ("stderr", "two\n")]);
    let after = format!("&after={}", one["next"].as_str().expect("a place"));
    let (two, ()) = tokio::join!(first(&after), write(&api, id, 3, &[("stdout", "three\n")]));
    assert_eq!(texts(&two), [("stdout", "three\n")]);
    let after = format!("&after={}", two["next"].as_str().expect("a place"));
    let result = json!({"stdout": "one\nthree\nfour\n", "stderr": "two\n", "exit_code": 1});
    let (last, ()) = tokio::join!(first(&after), end(&api, id, &result));
    assert_eq!((&last["complete"], &last["status"]), (&json!(true), &json!("failed")));
    assert_eq!(texts(&last), [("stdout", "four\n")]);
    let again = api.get(&path).await.expect(200).body["data"].clone();
    let all = [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
        ("stdout", "three\n"),
        ("stdout", "four\n"),
    ];
    assert_eq!(texts(&again), all);
    let after = api
        .get(&format!("{path}?after={}", again["next"].as_str().expect("a place")))
        .await
        .expect(200);
    assert_eq!(texts(&after.body["data"]), []);
    let beginning = api.get(&format!("{path}?after=")).await.expect(200);
    assert_eq!(beginning.body["data"], api.get(&path).await.expect(200).body["data"]);
    let bad = api.get(&format!("{path}?after=seven")).await.expect(422);
    assert_eq!(bad.fields(), ["after"]);
    api.close().await;
}

#[tokio::test]
async fn the_stream_includes_logs_on_request_and_resumes_them() {
    let api = TestApi::new().await;
    let id = running(&api).await;
    let mut of_it = Watcher::new(&api, &format!("?execution_id={id}"), None).await;
    let mut named = Watcher::new(&api, "?kind=execution.log", None).await;
    let mut others = Watcher::new(&api, "?kind=execution", None).await;
    let mut all = Watcher::new(&api, "", None).await;
    write(&api, id, 1, &[("stdout", "one\n"), ("stderr", "two\n")]).await;
    end(&api, id, &json!({"stdout": "one\n", "stderr": "two\n"})).await;
    let check = |received: &Received, text: &str, seq: i32| {
        assert_eq!(received.event, "execution.log");
        assert_eq!(
            (
                &received.data["text"],
                &received.data["seq"],
                &received.data["attempt"],
                &received.data["execution_id"]
            ),
            (&json!(text), &json!(seq), &json!(1), &json!(id))
        );
    };
    for watcher in [&mut of_it, &mut named] {
        check(&watcher.next_event().await, "one\n", 1);
        let two = watcher.next_event().await;
        check(&two, "two\n", 2);
        assert_eq!(two.data["stream"], "stderr");
    }
    assert_eq!(of_it.next_event().await.event, "execution.failed");
    // Streams without `execution.log` do not receive it.
    for watcher in [&mut others, &mut all] {
        assert_eq!(watcher.next_event().await.event, "execution.failed");
    }
    let moment = (clock::now().timestamp_millis() - 1_000).to_string();
    let mut back = Watcher::new(&api, &format!("?execution_id={id}"), Some(&moment)).await;
    assert_eq!(back.next_event().await.event, "execution.failed");
    let one = back.next_event().await;
    check(&one, "one\n", 1);
    assert_eq!(one.data["replayed"], true);
    check(&back.next_event().await, "two\n", 2);
    assert_eq!(back.next_event().await.event, "resumed");
    drop((of_it, named, others, all, back));
    api.close().await;
}

/// Another API process on this bus.
fn router(api: &TestApi, bus: &Arc<dyn Bus>) -> axum::Router {
    let (config, pool) = (api.context.config.clone(), api.database.pool.clone());
    let context = Context::new(config, pool, bus.clone(), &api.tasks);
    attune_api::router(Api::new(&context).expect("the API is configured"), context)
}

/// Two API processes on RabbitMQ: a stream of one shows changes that were made through the other.
#[tokio::test]
async fn streams_show_changes_of_other_processes() {
    let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let config = RabbitmqConfig {
        namespace: format!("test-{:016x}", rand::random::<u64>()),
        ..RabbitmqConfig::new(broker.url.clone())
    };
    let bus =
        || -> Arc<dyn Bus> { Arc::new(RabbitmqBus::start(&config, &tracker, stop.clone()).expect("a good address")) };
    let (bus_a, bus_b) = (bus(), bus());
    let mut api = TestApi::new().await;
    api.router = router(&api, &bus_b);
    let mut watcher = Watcher::new(&api, "", None).await;
    api.bus = bus_a.clone();
    api.router = router(&api, &bus_a);
    // Its queue exists once a message arrives; earlier messages may be missed.
    api.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    eventually("both buses to be up", Duration::from_secs(30), async || {
        (bus_a.health().up && bus_b.health().up).then_some(())
    })
    .await;
    let event = loop {
        let ring = api
            .post("/api/v1/events", json!({"trigger_ref": "core.bell", "payload": {}}))
            .await
            .expect(201);
        if let Ok(received) = tokio::time::timeout(Duration::from_secs(2), watcher.next_event()).await {
            assert_eq!(received.event, "event.created");
            break (received, ring.body["data"]["id"].clone());
        }
    };
    assert!(event.0.data["event_id"].is_string() && event.1.is_string());
    let id = running(&api).await;
    let scheduled = loop {
        let received = watcher.next_event().await;
        if received.event == "execution.scheduled" {
            break received;
        }
    };
    assert_eq!(scheduled.data["execution_id"], json!(id));
    api.router = router(&api, &bus_b);
    let mut of_it = Watcher::new(&api, &format!("?execution_id={id}"), None).await;
    let path = format!("/api/v1/executions/{id}/logs?follow=true");
    let (received, ()) = tokio::join!(api.get(&path), write(&api, id, 1, &[("stdout", "one\n")]));
    assert_eq!(texts(&received.expect(200).body["data"]), [("stdout", "one\n")]);
    let line = of_it.next_event().await;
    assert_eq!(
        (line.event.as_str(), &line.data["text"]),
        ("execution.log", &json!("one\n"))
    );
    drop(of_it);
    end(&api, id, &json!({"stdout": "one\ntwo\n", "stderr": ""})).await;
    let mut back = Watcher::new(&api, &format!("?execution_id={id}&kind=execution"), line.id.as_deref()).await;
    let missed = back.next_event().await;
    assert_eq!(
        (missed.event.as_str(), &missed.data["replayed"]),
        ("execution.failed", &json!(true))
    );
    drop((watcher, back));
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    api.close().await;
}

#[tokio::test]
async fn following_a_silent_execution_times_out() {
    let api = TestApi::new().await;
    let id = running(&api).await;
    let received = api.get(&format!("/api/v1/executions/{id}/logs?follow=true")).await;
    let received = &received.expect(200).body["data"];
    assert_eq!((&received["complete"], texts(received)), (&json!(false), vec![]));
    api.close().await;
}

#[tokio::test]
async fn logs_of_earlier_attempts_are_listed() {
    let api = TestApi::new().await;
    let id = running(&api).await;
    api.database
        .execute(&format!(
            "update execution set attempt = 3, worker_id = gen_random_uuid();
             insert into execution_attempt (execution_id, attempt, worker_id, started_at, outcome, detail) values
             ('{id}', 1, gen_random_uuid(), db_now() - interval '9 s', 'failed', '{{\"error\": \"exit code 3\"}}'),
             ('{id}', 2, gen_random_uuid(), db_now() - interval '5 s', 'lost', '{{\"error\": \"its worker vanished\"}}');
             update execution_attempt set late_outcome = 'succeeded' where attempt = 2;
             insert into execution_log (execution_id, attempt, seq, stream, chunk) values ('{id}', 1, 1, 'stdout', 'kept')"
        ))
        .await;
    let path = format!("/api/v1/executions/{id}/attempts");
    let received = api.get(&path).await.expect(200).body["data"].clone();
    let facts: Vec<_> = received
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| {
            json!([
                attempt["attempt"],
                attempt["outcome"],
                attempt["reason"],
                attempt["late_outcome"],
                attempt["logged"]
            ])
        })
        .collect();
    assert_eq!(
        facts,
        [
            json!([1, "failed", "exit code 3", null, true]),
            json!([2, "lost", "its worker vanished", "succeeded", false]),
            json!([3, "running", null, null, false]),
        ]
    );
    assert!((0..3).all(|n| received[n]["worker"].is_string() && received[n]["started_at"].is_string()));
    assert!(received[1]["ended_at"].is_string() && received[2]["ended_at"].is_null());
    api.get(&format!("/api/v1/executions/{}/attempts", Uuid::nil()))
        .await
        .expect(404);
    api.close().await;
}

#[tokio::test]
async fn logs_now_and_at_the_end() {
    let api = TestApi::new().await;
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    let id = made.body["data"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/executions/{id}/logs");
    let now = api.get(&path).await.expect(200).body["data"].clone();
    assert_eq!(
        (&now["complete"], &now["logs"], &now["status"]),
        (&json!(false), &json!([]), &json!("scheduled"))
    );
    let finish = async {
        api.database
            .execute("delete from execution_queue; update execution set status = 'running', attempt = 1")
            .await;
        api.database
            .execute(r#"update execution set status = 'failed', finished_at = db_now(), result = '{"stdout": "one\n", "stderr": "two\n", "exit_code": 1}'"#)
            .await;
        api.bus.feed(Feed {
            event_id: None::<EventId>,
            execution_id: id.parse().ok(),
            ..Feed::new(FeedKind::execution(ExecutionStatus::Failed))
        });
    };
    let follow = format!("{path}?follow=true");
    let (end, ()) = tokio::join!(api.get(&follow), finish);
    let end = &end.expect(200).body["data"];
    let pieces: Vec<_> = end["logs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|log| (&log["stream"], &log["text"]))
        .collect();
    assert_eq!(end["complete"], true);
    assert_eq!(
        pieces,
        [(&json!("stdout"), &json!("one\n")), (&json!("stderr"), &json!("two\n"))]
    );
    // Chunks that were stored while it ran have their order.
    api.database
        .execute(&format!(
            "insert into execution_log (execution_id, attempt, seq, stream, chunk) values
             ('{id}', 1, 2, 'stdout', 'b'), ('{id}', 1, 1, 'stderr', 'a')"
        ))
        .await;
    let kept = api.get(&path).await.expect(200).body["data"]["logs"].clone();
    assert_eq!((&kept[0]["text"], &kept[1]["text"]), (&json!("a"), &json!("b")));
    api.get(&format!("/api/v1/executions/{}/logs", Uuid::nil()))
        .await
        .expect(404);
    api.close().await;
}
