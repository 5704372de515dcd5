//! The live stream of changes.

use crate::test_api::{Call, TestApi};
use attune_common::{
    bus::{Feed, FeedKind},
    clock,
};
use attune_domain::{EventId, ExecutionId, execution::ExecutionStatus, identity::Role};
use axum::{
    body::{Body, BodyDataStream},
    http::{Request, header},
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use std::time::Duration;
use tower::ServiceExt as _;
use uuid::Uuid;

/// A client of a stream.
pub struct Watcher {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug, PartialEq)]
pub struct Received {
    pub id: Option<String>,
    pub event: String,
    pub data: Value,
}

impl Watcher {
    pub async fn new(api: &TestApi, query: &str, last: Option<&str>) -> Self {
        Self::by(api, query, last, api.token(Role::Viewer)).await
    }

    async fn by(api: &TestApi, query: &str, last: Option<&str>, token: &str) -> Self {
        let token = format!("Bearer {token}");
        let mut headers = vec![("host", "attune"), ("authorization", token.as_str())];
        headers.extend(last.map(|last| ("last-event-id", last)));
        Self::with(api, query, &headers).await
    }

    pub async fn with(api: &TestApi, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = Request::get(format!("/api/v1/stream{query}")).header(header::ACCEPT_ENCODING, "gzip, br");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = api.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        // A compressed stream would be buffered.
        assert!(!response.headers().contains_key(header::CONTENT_ENCODING));
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event except heartbeats; `None` when the stream has ended.
    async fn next(&mut self) -> Option<Received> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (received, rest) = (read(frame), rest.to_owned());
                self.text = rest;
                if let Some(received) = received.filter(|received| received.event != "heartbeat") {
                    return Some(received);
                }
            }
            let more = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await;
            let more = more.expect("something within 20 seconds")?.expect("bytes");
            self.text.push_str(std::str::from_utf8(&more).expect("text"));
        }
    }

    pub async fn next_event(&mut self) -> Received {
        self.next().await.expect("the stream continues")
    }
}

fn read(frame: &str) -> Option<Received> {
    let field = |name: &str| {
        frame
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::to_owned)
    };
    Some(Received {
        id: field("id: "),
        event: field("event: ")?,
        data: serde_json::from_str(&field("data: ")?).expect("JSON"),
    })
}

fn ended(id: u128, status: ExecutionStatus) -> Feed {
    Feed {
        execution_id: Some(ExecutionId(Uuid::from_u128(id))),
        ..Feed::new(FeedKind::execution(status))
    }
}

async fn ring(api: &TestApi, name: &str) -> String {
    let body = json!({"trigger_ref": name, "payload": {}});
    let made = api.post("/api/v1/events", body).await.expect(201);
    made.body["data"]["id"].as_str().expect("an id").to_owned()
}

async fn with_bells() -> TestApi {
    let api = TestApi::new().await;
    for name in ["core.bell", "core.horn"] {
        api.post("/api/v1/triggers", json!({"ref": name, "kind": "custom"}))
            .await
            .expect(201);
    }
    api
}

#[tokio::test]
async fn changes_are_streamed() {
    let api = with_bells().await;
    let mut all = Watcher::new(&api, "", None).await;
    let mut bell = Watcher::new(&api, "?trigger_ref=core.bell", None).await;
    let mut failures = Watcher::new(&api, "?kind=enforcement,execution.failed", None).await;
    let horn_event = ring(&api, "core.horn").await;
    let bell_event = ring(&api, "core.bell").await;
    api.bus.feed(ended(1, ExecutionStatus::Succeeded));
    api.bus.feed(ended(2, ExecutionStatus::Failed));

    let first = all.next_event().await;
    assert_eq!(first.event, "event.created");
    assert_eq!(
        (&first.data["event_id"], &first.data["trigger_ref"]),
        (&json!(horn_event), &json!("core.horn"))
    );
    assert!(first.id.is_some() && first.data["at"].is_string());
    assert_eq!(all.next_event().await.data["event_id"], bell_event);
    assert_eq!(all.next_event().await.event, "execution.succeeded");
    assert_eq!(bell.next_event().await.data["event_id"], bell_event);
    assert_eq!(failures.next_event().await.event, "execution.failed");
    drop((all, bell, failures));
    api.close().await;
}

/// A worker announces an execution without its rule; a stream of the rule still receives it.
#[tokio::test]
async fn a_filter_by_definition_matches_executions() {
    let api = with_bells().await;
    let event = ring(&api, "core.bell").await;
    let row = |id: u128, rule: &str| {
        let id = Uuid::from_u128(id);
        format!(
            "insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, trace_id)
             values ('{id}', '{event}', '{rule}', 'core.echo', 'default', '{{}}', 'running', db_now(), '{event}');"
        )
    };
    api.database.execute(&(row(1, "core.one") + &row(2, "core.two"))).await;
    let mut of_rule = Watcher::new(&api, "?rule_ref=core.two", None).await;
    let mut of_trigger = Watcher::new(&api, "?trigger_ref=core.bell&kind=execution", None).await;
    let mut of_event = Watcher::new(&api, &format!("?event_id={event}"), None).await;
    let mut of_trace = Watcher::new(&api, &format!("?trace_id={event}"), None).await;
    for id in [3, 1, 2] {
        api.bus.feed(ended(id, ExecutionStatus::Succeeded));
    }
    let two = of_rule.next_event().await;
    assert_eq!(
        (
            &two.data["execution_id"],
            &two.data["action_ref"],
            &two.data["trigger_ref"]
        ),
        (&json!(Uuid::from_u128(2)), &json!("core.echo"), &json!("core.bell"))
    );
    for watcher in [&mut of_trigger, &mut of_event, &mut of_trace] {
        assert_eq!(watcher.next_event().await.data["rule_ref"], "core.one");
        assert_eq!(watcher.next_event().await.data["rule_ref"], "core.two");
    }
    drop((of_rule, of_trigger, of_event, of_trace));
    api.close().await;
}

/// Without a filter, nothing is cached.
#[tokio::test]
async fn messages_without_a_filter_have_the_same_fields() {
    let api = with_bells().await;
    let (event, other) = (ring(&api, "core.bell").await, ring(&api, "core.horn").await);
    let id = Uuid::from_u128(1);
    api.database
        .execute(&format!(
            "insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, trace_id)
             values ('{id}', '{event}', 'core.one', 'core.echo', 'default', '{{}}', 'running', db_now(), '{event}')"
        ))
        .await;
    let mut all = Watcher::new(&api, "", None).await;
    api.bus.feed(ended(1, ExecutionStatus::Succeeded));
    // An executor announces a decision without the trigger.
    api.bus.feed(Feed {
        event_id: other.parse().ok().map(EventId),
        ..Feed::new(FeedKind::enforcement("created"))
    });
    let received = all.next_event().await;
    let names = ["rule_ref", "trigger_ref", "action_ref", "event_id"].map(|name| &received.data[name]);
    let expected = [
        &json!("core.one"),
        &json!("core.bell"),
        &json!("core.echo"),
        &json!(event),
    ];
    assert_eq!(names, expected);
    assert_eq!(all.next_event().await.data["trigger_ref"], "core.horn");
    drop(all);
    api.close().await;
}

#[tokio::test]
async fn a_slow_reader_receives_a_gap_and_delays_no_other() {
    let api = with_bells().await;
    let mut slow = Watcher::new(&api, "", None).await;
    let started = std::time::Instant::now();
    for id in 0..20_000 {
        api.bus.feed(ended(id, ExecutionStatus::Succeeded));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "publishing never waits");
    let missed = slow.next_event().await;
    assert_eq!((missed.event.as_str(), missed.id), ("missed", None));
    let count = missed.data["count"].as_u64().expect("a number");
    assert!((10_000..20_000).contains(&count), "{count}");
    // From there on no change is missing.
    let first = slow.next_event().await;
    assert_eq!(first.data["execution_id"], json!(Uuid::from_u128(u128::from(count))));
    drop(slow);
    api.close().await;
}

#[tokio::test]
async fn a_reconnect_replays_missed_changes() {
    let api = with_bells().await;
    let event = ring(&api, "core.bell").await;
    api.database
        .execute(&format!(
            "insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, finished_at, trace_id)
             values (id_floor(id_time('{event}')), '{event}', 'core.one', 'core.echo', 'default', '{{}}', 'failed', db_now(), db_now() + interval '1 ms', '{event}')"
        ))
        .await;
    let moment = |ago: i64| (clock::now().timestamp_millis() - ago).to_string();
    let mut back = Watcher::new(&api, "?trigger_ref=core.bell", Some(&moment(1_000))).await;
    let first = back.next_event().await;
    assert_eq!(
        (first.event.as_str(), &first.data["event_id"]),
        ("event.created", &json!(event))
    );
    assert_eq!(first.data["replayed"], true);
    let second = back.next_event().await;
    assert_eq!(
        (second.event.as_str(), &second.data["rule_ref"]),
        ("execution.failed", &json!("core.one"))
    );
    let resumed = back.next_event().await;
    assert_eq!(
        (resumed.event.as_str(), &resumed.data["replayed"]),
        ("resumed", &json!(2))
    );
    // Then live changes follow.
    let next = ring(&api, "core.bell").await;
    assert_eq!(back.next_event().await.data["event_id"], next);
    let mut other = Watcher::new(&api, "?trigger_ref=core.horn", Some(&moment(1_000))).await;
    assert_eq!(other.next_event().await.data["replayed"], 0);
    for (last, reason) in [(moment(3_600_000), "too_long_ago"), ("seven".to_owned(), "unknown_id")] {
        let mut lost = Watcher::new(&api, "", Some(&last)).await;
        let received = lost.next_event().await;
        assert_eq!(
            (received.event.as_str(), &received.data["reason"]),
            ("missed", &json!(reason))
        );
    }
    drop((back, other));
    api.close().await;
}

#[tokio::test]
async fn a_stream_ends_when_its_right_is_revoked() {
    let api = with_bells().await;
    let id = api.identity("leaver", Role::Viewer).await;
    let token = api.sign_in(id).await;
    let mut leaver = Watcher::by(&api, "", None, &token).await;
    let mut stayer = Watcher::new(&api, "", None).await;
    api.patch(&format!("/api/v1/identities/{id}"), json!({"enabled": false}))
        .await
        .expect(200);
    let end = leaver.next_event().await;
    assert_eq!(
        (end.event.as_str(), &end.data["reason"]),
        ("end", &json!("unauthorized"))
    );
    assert_eq!(leaver.next().await, None);
    api.tasks.stop.cancel();
    assert_eq!(stayer.next_event().await.data["reason"], "stopping");
    assert_eq!(stayer.next().await, None);
    drop((leaver, stayer));
    api.close().await;
}

#[tokio::test]
async fn streams_are_limited_and_filters_are_checked() {
    let api = with_bells().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Watcher::new(&api, "", None).await);
    }
    let call = || Call::new("GET", "/api/v1/stream").token(Some(api.token(Role::Viewer)));
    assert_eq!(api.send(call()).await.expect(429).kind(), "too_many_streams");
    open.pop();
    open.push(Watcher::new(&api, "", None).await);
    let bad = api
        .get("/api/v1/stream?kind=events&rule_ref=x&surprise=1")
        .await
        .expect(422);
    assert_eq!(bad.fields(), ["surprise"]);
    let bad = api.get("/api/v1/stream?kind=events&rule_ref=x").await.expect(422);
    assert_eq!(bad.fields(), ["rule_ref", "kind"]);
    drop(open);
    api.close().await;
}
