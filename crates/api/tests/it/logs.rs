//! What an action wrote, and what it writes.

use crate::{
    site::Site,
    stream::{Told, Watcher},
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

/// An execution that runs, its first attempt.
async fn running(site: &Site) -> ExecutionId {
    let made = site
        .post("/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    let id = made.body["data"]["id"].as_str().expect("an id").parse().expect("an id");
    site.database
        .execute("update execution_queue set ready = false, attempt = 1; update execution set status = 'running', attempt = 1, started_at = db_now()")
        .await;
    id
}

/// What a worker does with pieces of output, the first of which has this number.
async fn write(site: &Site, id: ExecutionId, first: i32, pieces: &[(&'static str, &str)]) {
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
    let kept = execution_log::append(&site.database.pool, &written)
        .await
        .expect("kept");
    assert_eq!(kept.len(), pieces.len());
    let last = first - 1 + i32::try_from(pieces.len()).expect("few");
    site.bus.feed(Feed {
        execution_id: Some(id),
        log: Some(LogRange {
            attempt: 1,
            first,
            last,
        }),
        ..Feed::new(FeedKind::execution_log())
    });
}

/// What a worker does at the end.
async fn end(site: &Site, id: ExecutionId, result: &Value) {
    site.database
        .execute(&format!(
            "delete from execution_queue; update execution set status = 'failed', finished_at = db_now(), error = 'exit code 1', result = '{result}'"
        ))
        .await;
    site.bus.feed(Feed {
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
async fn whoever_follows_gets_each_line_when_it_comes_and_at_the_end_what_is_missing() {
    let site = Site::new().await;
    let id = running(&site).await;
    let path = format!("/api/v1/executions/{id}/logs");
    let first =
        async |after: &str| site.get(&format!("{path}?follow=true{after}")).await.expect(200).body["data"].clone();
    let (one, ()) = tokio::join!(
        first(""),
        write(&site, id, 1, &[("stdout", "one\n"), ("stderr", "two\n")])
    );
    assert_eq!((&one["complete"], &one["status"]), (&json!(false), &json!("running")));
    assert_eq!(texts(&one), [("stdout", "one\n"), ("stderr", "two\n")]);
    let after = format!("&after={}", one["next"].as_str().expect("a place"));
    let (two, ()) = tokio::join!(first(&after), write(&site, id, 3, &[("stdout", "three\n")]));
    assert_eq!(texts(&two), [("stdout", "three\n")]);
    let after = format!("&after={}", two["next"].as_str().expect("a place"));
    let result = json!({"stdout": "one\nthree\nfour\n", "stderr": "two\n", "exit_code": 1});
    let (last, ()) = tokio::join!(first(&after), end(&site, id, &result));
    assert_eq!((&last["complete"], &last["status"]), (&json!(true), &json!("failed")));
    assert_eq!(texts(&last), [("stdout", "four\n")]);
    let again = site.get(&path).await.expect(200).body["data"].clone();
    let all = [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
        ("stdout", "three\n"),
        ("stdout", "four\n"),
    ];
    assert_eq!(texts(&again), all);
    let after = site
        .get(&format!("{path}?after={}", again["next"].as_str().expect("a place")))
        .await
        .expect(200);
    assert_eq!(texts(&after.body["data"]), []);
    let beginning = site.get(&format!("{path}?after=")).await.expect(200);
    assert_eq!(beginning.body["data"], site.get(&path).await.expect(200).body["data"]);
    let bad = site.get(&format!("{path}?after=seven")).await.expect(422);
    assert_eq!(bad.fields(), ["after"]);
    site.close().await;
}

#[tokio::test]
async fn lines_are_on_the_stream_for_who_asks_and_resumed() {
    let site = Site::new().await;
    let id = running(&site).await;
    let mut of_it = Watcher::new(&site, &format!("?execution_id={id}"), None).await;
    let mut named = Watcher::new(&site, "?kind=execution.log", None).await;
    let mut others = Watcher::new(&site, "?kind=execution", None).await;
    let mut all = Watcher::new(&site, "", None).await;
    write(&site, id, 1, &[("stdout", "one\n"), ("stderr", "two\n")]).await;
    end(&site, id, &json!({"stdout": "one\n", "stderr": "two\n"})).await;
    let check = |told: &Told, text: &str, seq: i32| {
        assert_eq!(told.event, "execution.log");
        assert_eq!(
            (
                &told.data["text"],
                &told.data["seq"],
                &told.data["attempt"],
                &told.data["execution_id"]
            ),
            (&json!(text), &json!(seq), &json!(1), &json!(id))
        );
    };
    for watcher in [&mut of_it, &mut named] {
        check(&watcher.told().await, "one\n", 1);
        let two = watcher.told().await;
        check(&two, "two\n", 2);
        assert_eq!(two.data["stream"], "stderr");
    }
    assert_eq!(of_it.told().await.event, "execution.failed");
    // Who did not ask for them does not get them.
    for watcher in [&mut others, &mut all] {
        assert_eq!(watcher.told().await.event, "execution.failed");
    }
    let moment = (clock::now().timestamp_millis() - 1_000).to_string();
    let mut back = Watcher::new(&site, &format!("?execution_id={id}"), Some(&moment)).await;
    assert_eq!(back.told().await.event, "execution.failed");
    let one = back.told().await;
    check(&one, "one\n", 1);
    assert_eq!(one.data["replayed"], true);
    check(&back.told().await, "two\n", 2);
    assert_eq!(back.told().await.event, "resumed");
    drop((of_it, named, others, all, back));
    site.close().await;
}

/// One more API of the site, on this bus.
fn router(site: &Site, bus: &Arc<dyn Bus>) -> axum::Router {
    let (config, pool) = (site.context.config.clone(), site.database.pool.clone());
    let context = Context::new(config, pool, bus.clone(), &site.tasks);
    attune_api::router(Api::new(&context).expect("the API is configured"), context)
}

/// Two APIs on RabbitMQ: who watches the one sees what was caused through the other, and a worker of its own.
#[tokio::test]
async fn every_api_tells_what_happened_through_another() {
    let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let config = RabbitmqConfig {
        namespace: format!("test-{:016x}", rand::random::<u64>()),
        ..RabbitmqConfig::new(broker.url.clone())
    };
    let bus =
        || -> Arc<dyn Bus> { Arc::new(RabbitmqBus::start(&config, &tracker, stop.clone()).expect("a good address")) };
    let (bus_a, bus_b) = (bus(), bus());
    let mut site = Site::new().await;
    site.router = router(&site, &bus_b);
    let mut watcher = Watcher::new(&site, "", None).await;
    site.bus = bus_a.clone();
    site.router = router(&site, &bus_a);
    // Its queue is there when something comes through: the first messages may go by before.
    site.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    eventually("both buses to be up", Duration::from_secs(30), async || {
        (bus_a.health().up && bus_b.health().up).then_some(())
    })
    .await;
    let event = loop {
        let ring = site
            .post("/api/v1/events", json!({"trigger_ref": "core.bell", "payload": {}}))
            .await
            .expect(201);
        if let Ok(told) = tokio::time::timeout(Duration::from_secs(2), watcher.told()).await {
            assert_eq!(told.event, "event.created");
            break (told, ring.body["data"]["id"].clone());
        }
    };
    assert!(event.0.data["event_id"].is_string() && event.1.is_string());
    let id = running(&site).await;
    let scheduled = loop {
        let told = watcher.told().await;
        if told.event == "execution.scheduled" {
            break told;
        }
    };
    assert_eq!(scheduled.data["execution_id"], json!(id));
    site.router = router(&site, &bus_b);
    let mut of_it = Watcher::new(&site, &format!("?execution_id={id}"), None).await;
    let path = format!("/api/v1/executions/{id}/logs?follow=true");
    let (told, ()) = tokio::join!(site.get(&path), write(&site, id, 1, &[("stdout", "one\n")]));
    assert_eq!(texts(&told.expect(200).body["data"]), [("stdout", "one\n")]);
    let line = of_it.told().await;
    assert_eq!(
        (line.event.as_str(), &line.data["text"]),
        ("execution.log", &json!("one\n"))
    );
    drop(of_it);
    end(&site, id, &json!({"stdout": "one\ntwo\n", "stderr": ""})).await;
    let mut back = Watcher::new(&site, &format!("?execution_id={id}&kind=execution"), line.id.as_deref()).await;
    let missed = back.told().await;
    assert_eq!(
        (missed.event.as_str(), &missed.data["replayed"]),
        ("execution.failed", &json!(true))
    );
    drop((watcher, back));
    stop.cancel();
    tracker.close();
    tracker.wait().await;
    site.close().await;
}

#[tokio::test]
async fn whoever_follows_what_says_nothing_is_answered_all_the_same() {
    let site = Site::new().await;
    let id = running(&site).await;
    let told = site.get(&format!("/api/v1/executions/{id}/logs?follow=true")).await;
    let told = &told.expect(200).body["data"];
    assert_eq!((&told["complete"], texts(told)), (&json!(false), vec![]));
    site.close().await;
}

#[tokio::test]
async fn earlier_attempts_are_told() {
    let site = Site::new().await;
    let id = running(&site).await;
    site.database
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
    let told = site.get(&path).await.expect(200).body["data"].clone();
    let facts: Vec<_> = told
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
    assert!((0..3).all(|n| told[n]["worker"].is_string() && told[n]["started_at"].is_string()));
    assert!(told[1]["ended_at"].is_string() && told[2]["ended_at"].is_null());
    site.get(&format!("/api/v1/executions/{}/attempts", Uuid::nil()))
        .await
        .expect(404);
    site.close().await;
}

#[tokio::test]
async fn logs_now_and_at_the_end() {
    let site = Site::new().await;
    let made = site
        .post("/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    let id = made.body["data"]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/executions/{id}/logs");
    let now = site.get(&path).await.expect(200).body["data"].clone();
    assert_eq!(
        (&now["complete"], &now["logs"], &now["status"]),
        (&json!(false), &json!([]), &json!("scheduled"))
    );
    let finish = async {
        site.database
            .execute("delete from execution_queue; update execution set status = 'running', attempt = 1")
            .await;
        site.database
            .execute(r#"update execution set status = 'failed', finished_at = db_now(), result = '{"stdout": "one\n", "stderr": "two\n", "exit_code": 1}'"#)
            .await;
        site.bus.feed(Feed {
            event_id: None::<EventId>,
            execution_id: id.parse().ok(),
            ..Feed::new(FeedKind::execution(ExecutionStatus::Failed))
        });
    };
    let follow = format!("{path}?follow=true");
    let (end, ()) = tokio::join!(site.get(&follow), finish);
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
    // Pieces that were kept while it ran tell more: their order.
    site.database
        .execute(&format!(
            "insert into execution_log (execution_id, attempt, seq, stream, chunk) values
             ('{id}', 1, 2, 'stdout', 'b'), ('{id}', 1, 1, 'stderr', 'a')"
        ))
        .await;
    let kept = site.get(&path).await.expect(200).body["data"]["logs"].clone();
    assert_eq!((&kept[0]["text"], &kept[1]["text"]), (&json!("a"), &json!("b")));
    site.get(&format!("/api/v1/executions/{}/logs", Uuid::nil()))
        .await
        .expect(404);
    site.close().await;
}
