//! What happens, live.

use crate::site::{Call, Site};
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

/// Somebody who watches.
pub struct Watcher {
    body: BodyDataStream,
    text: String,
}

#[derive(Debug, PartialEq)]
pub struct Told {
    pub id: Option<String>,
    pub event: String,
    pub data: Value,
}

impl Watcher {
    pub async fn new(site: &Site, query: &str, last: Option<&str>) -> Self {
        Self::by(site, query, last, site.token(Role::Viewer)).await
    }

    async fn by(site: &Site, query: &str, last: Option<&str>, token: &str) -> Self {
        let mut request = Request::get(format!("/api/v1/stream{query}"))
            .header(header::HOST, "attune")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).expect("a request");
        let response = site.router.clone().oneshot(request).await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self {
            body: response.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    /// The next event that is no sign of life; nothing when the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (told, rest) = (read(frame), rest.to_owned());
                self.text = rest;
                if let Some(told) = told.filter(|told| told.event != "heartbeat") {
                    return Some(told);
                }
            }
            let more = tokio::time::timeout(Duration::from_secs(20), self.body.next()).await;
            let more = more.expect("something within 20 seconds")?.expect("bytes");
            self.text.push_str(std::str::from_utf8(&more).expect("text"));
        }
    }

    pub async fn told(&mut self) -> Told {
        self.next().await.expect("the stream goes on")
    }
}

fn read(frame: &str) -> Option<Told> {
    let field = |name: &str| {
        frame
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .map(str::to_owned)
    };
    Some(Told {
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

async fn ring(site: &Site, name: &str) -> String {
    let body = json!({"trigger_ref": name, "payload": {}});
    let made = site.post("/api/v1/events", body).await.expect(201);
    made.body["data"]["id"].as_str().expect("an id").to_owned()
}

async fn with_bells() -> Site {
    let site = Site::new().await;
    for name in ["core.bell", "core.horn"] {
        site.post("/api/v1/triggers", json!({"ref": name, "kind": "custom"}))
            .await
            .expect(201);
    }
    site
}

#[tokio::test]
async fn what_happens_is_told() {
    let site = with_bells().await;
    let mut all = Watcher::new(&site, "", None).await;
    let mut bell = Watcher::new(&site, "?trigger_ref=core.bell", None).await;
    let mut failures = Watcher::new(&site, "?kind=enforcement,execution.failed", None).await;
    let horn_event = ring(&site, "core.horn").await;
    let bell_event = ring(&site, "core.bell").await;
    site.bus.feed(ended(1, ExecutionStatus::Succeeded));
    site.bus.feed(ended(2, ExecutionStatus::Failed));

    let first = all.told().await;
    assert_eq!(first.event, "event.created");
    assert_eq!(
        (&first.data["event_id"], &first.data["trigger_ref"]),
        (&json!(horn_event), &json!("core.horn"))
    );
    assert!(first.id.is_some() && first.data["at"].is_string());
    assert_eq!(all.told().await.data["event_id"], bell_event);
    assert_eq!(all.told().await.event, "execution.succeeded");
    assert_eq!(bell.told().await.data["event_id"], bell_event);
    assert_eq!(failures.told().await.event, "execution.failed");
    drop((all, bell, failures));
    site.close().await;
}

/// A worker tells of an execution and does not know its rule: the watcher of the rule hears of it all the same.
#[tokio::test]
async fn a_filter_knows_what_an_execution_belongs_to() {
    let site = with_bells().await;
    let event = ring(&site, "core.bell").await;
    let row = |id: u128, rule: &str| {
        let id = Uuid::from_u128(id);
        format!(
            "insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, trace_id)
             values ('{id}', '{event}', '{rule}', 'core.echo', 'default', '{{}}', 'running', db_now(), '{event}');"
        )
    };
    site.database.execute(&(row(1, "core.one") + &row(2, "core.two"))).await;
    let mut of_rule = Watcher::new(&site, "?rule_ref=core.two", None).await;
    let mut of_trigger = Watcher::new(&site, "?trigger_ref=core.bell&kind=execution", None).await;
    let mut of_event = Watcher::new(&site, &format!("?event_id={event}"), None).await;
    for id in [3, 1, 2] {
        site.bus.feed(ended(id, ExecutionStatus::Succeeded));
    }
    let two = of_rule.told().await;
    assert_eq!(
        (
            &two.data["execution_id"],
            &two.data["action_ref"],
            &two.data["trigger_ref"]
        ),
        (&json!(Uuid::from_u128(2)), &json!("core.echo"), &json!("core.bell"))
    );
    for watcher in [&mut of_trigger, &mut of_event] {
        assert_eq!(watcher.told().await.data["rule_ref"], "core.one");
        assert_eq!(watcher.told().await.data["rule_ref"], "core.two");
    }
    drop((of_rule, of_trigger, of_event));
    site.close().await;
}

/// Nobody watches with a filter, so nothing is remembered for anybody.
#[tokio::test]
async fn without_a_filter_a_message_names_the_same() {
    let site = with_bells().await;
    let (event, other) = (ring(&site, "core.bell").await, ring(&site, "core.horn").await);
    let id = Uuid::from_u128(1);
    site.database
        .execute(&format!(
            "insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, trace_id)
             values ('{id}', '{event}', 'core.one', 'core.echo', 'default', '{{}}', 'running', db_now(), '{event}')"
        ))
        .await;
    let mut all = Watcher::new(&site, "", None).await;
    site.bus.feed(ended(1, ExecutionStatus::Succeeded));
    // An executor does not tell the trigger of what it decided.
    site.bus.feed(Feed {
        event_id: other.parse().ok().map(EventId),
        ..Feed::new(FeedKind::enforcement("created"))
    });
    let told = all.told().await;
    let names = ["rule_ref", "trigger_ref", "action_ref", "event_id"].map(|name| &told.data[name]);
    let expected = [
        &json!("core.one"),
        &json!("core.bell"),
        &json!("core.echo"),
        &json!(event),
    ];
    assert_eq!(names, expected);
    assert_eq!(all.told().await.data["trigger_ref"], "core.horn");
    drop(all);
    site.close().await;
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_and_holds_up_nobody() {
    let site = with_bells().await;
    let mut slow = Watcher::new(&site, "", None).await;
    let started = std::time::Instant::now();
    for id in 0..20_000 {
        site.bus.feed(ended(id, ExecutionStatus::Succeeded));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "publishing never waits");
    let missed = slow.told().await;
    assert_eq!((missed.event.as_str(), missed.id), ("missed", None));
    let count = missed.data["count"].as_u64().expect("a number");
    assert!((10_000..20_000).contains(&count), "{count}");
    // From there on nothing is missing.
    let first = slow.told().await;
    assert_eq!(first.data["execution_id"], json!(Uuid::from_u128(u128::from(count))));
    drop(slow);
    site.close().await;
}

#[tokio::test]
async fn whoever_comes_back_gets_what_happened_meanwhile() {
    let site = with_bells().await;
    let event = ring(&site, "core.bell").await;
    site.database
        .execute(&format!(
            "insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, finished_at, trace_id)
             values (id_floor(id_time('{event}')), '{event}', 'core.one', 'core.echo', 'default', '{{}}', 'failed', db_now(), db_now() + interval '1 ms', '{event}')"
        ))
        .await;
    let moment = |ago: i64| (clock::now().timestamp_millis() - ago).to_string();
    let mut back = Watcher::new(&site, "?trigger_ref=core.bell", Some(&moment(1_000))).await;
    let first = back.told().await;
    assert_eq!(
        (first.event.as_str(), &first.data["event_id"]),
        ("event.created", &json!(event))
    );
    assert_eq!(first.data["replayed"], true);
    let second = back.told().await;
    assert_eq!(
        (second.event.as_str(), &second.data["rule_ref"]),
        ("execution.failed", &json!("core.one"))
    );
    let resumed = back.told().await;
    assert_eq!(
        (resumed.event.as_str(), &resumed.data["replayed"]),
        ("resumed", &json!(2))
    );
    // And then live.
    let next = ring(&site, "core.bell").await;
    assert_eq!(back.told().await.data["event_id"], next);
    let mut other = Watcher::new(&site, "?trigger_ref=core.horn", Some(&moment(1_000))).await;
    assert_eq!(other.told().await.data["replayed"], 0);
    for (last, reason) in [(moment(3_600_000), "too_long_ago"), ("seven".to_owned(), "unknown_id")] {
        let mut lost = Watcher::new(&site, "", Some(&last)).await;
        let told = lost.told().await;
        assert_eq!((told.event.as_str(), &told.data["reason"]), ("missed", &json!(reason)));
    }
    drop((back, other));
    site.close().await;
}

#[tokio::test]
async fn whoever_may_no_longer_is_sent_away() {
    let site = with_bells().await;
    let id = site.identity("leaver", Role::Viewer).await;
    let token = site.sign_in(id).await;
    let mut leaver = Watcher::by(&site, "", None, &token).await;
    let mut stayer = Watcher::new(&site, "", None).await;
    site.patch(&format!("/api/v1/identities/{id}"), json!({"enabled": false}))
        .await
        .expect(200);
    let end = leaver.told().await;
    assert_eq!(
        (end.event.as_str(), &end.data["reason"]),
        ("end", &json!("unauthorized"))
    );
    assert_eq!(leaver.next().await, None);
    site.tasks.stop.cancel();
    assert_eq!(stayer.told().await.data["reason"], "stopping");
    assert_eq!(stayer.next().await, None);
    drop((leaver, stayer));
    site.close().await;
}

#[tokio::test]
async fn streams_are_bounded_and_questions_are_checked() {
    let site = with_bells().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Watcher::new(&site, "", None).await);
    }
    let call = || Call::new("GET", "/api/v1/stream").token(Some(site.token(Role::Viewer)));
    assert_eq!(site.ask(call()).await.expect(429).kind(), "too_many_streams");
    open.pop();
    open.push(Watcher::new(&site, "", None).await);
    let bad = site
        .get("/api/v1/stream?kind=events&rule_ref=x&surprise=1")
        .await
        .expect(422);
    assert_eq!(bad.fields(), ["surprise"]);
    let bad = site.get("/api/v1/stream?kind=events&rule_ref=x").await.expect(422);
    assert_eq!(bad.fields(), ["rule_ref", "kind"]);
    drop(open);
    site.close().await;
}
