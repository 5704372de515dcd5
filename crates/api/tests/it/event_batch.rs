//! Creating many events with one request.

use crate::test_api::{Call, TestApi};
use attune_common::bus::Wake;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/api/v1/events/batch";

async fn with_doorbell() -> TestApi {
    let api = TestApi::new().await;
    for name in ["doorbell", "broken"] {
        let trigger = json!({"ref": format!("core.{name}"), "kind": "custom", "enabled": name != "broken"});
        api.post("/api/v1/triggers", trigger).await.expect(201);
    }
    api
}

fn ndjson(text: &str) -> Call {
    Call::new("POST", PATH)
        .header("content-type", "application/x-ndjson")
        .raw(text)
}

fn outcomes(body: &Value) -> Vec<&str> {
    let items = body["data"]["items"].as_array().expect("items");
    items
        .iter()
        .map(|item| item["outcome"].as_str().expect("an outcome"))
        .collect()
}

fn fields(item: &Value) -> Vec<&str> {
    let errors = item["problem"]["errors"].as_array().expect("errors");
    errors
        .iter()
        .map(|error| error["path"].as_str().expect("a path"))
        .collect()
}

#[tokio::test]
async fn each_item_has_its_outcome() {
    let api = with_doorbell().await;
    let wakes = api.bus.wakes(Wake::Events);
    wakes.recv().await;
    let first = api
        .post(
            "/api/v1/events",
            json!({"trigger_ref": "core.doorbell", "dedup_key": "a"}),
        )
        .await
        .expect(201);
    let body = json!([
        {"trigger_ref": "core.doorbell", "payload": {"n": 1}},
        {"trigger_ref": "core.doorbell", "dedup_key": "a"},
        {"trigger_ref": "core.doorbell", "dedup_key": "b"},
        {"trigger_ref": "core.doorbell", "dedup_key": "b"},
        {"trigger_ref": "core.nothing", "dedup_key": ""},
        {"payload": {}},
        {"trigger_ref": "core.doorbell", "color": "red"},
        {"trigger_ref": "core.broken"},
        7,
    ]);
    let answer = api.post(PATH, body).await.expect(200);
    let (a, d, r) = ("accepted", "duplicate", "refused");
    assert_eq!(outcomes(&answer.body), [a, d, a, d, r, r, r, r, r]);
    let data = &answer.body["data"];
    assert_eq!(
        (&data["accepted"], &data["duplicates"], &data["refused"]),
        (&json!(2), &json!(2), &json!(5))
    );
    let items = &data["items"];
    assert_eq!(items[1]["event_id"], first.body["data"]["id"]);
    assert_eq!(items[3]["event_id"], items[2]["event_id"]);
    assert_eq!(fields(&items[4]), ["dedup_key", "trigger_ref"]);
    assert_eq!(fields(&items[5]), ["trigger_ref"]);
    assert_eq!(fields(&items[6]), ["color"]);
    assert_eq!(
        (&items[7]["problem"]["status"], &items[7]["event_id"]),
        (&json!(409), &Value::Null)
    );
    assert_eq!(fields(&items[8]), [""]);
    let stored = api
        .get(&format!(
            "/api/v1/events/{}",
            items[0]["event_id"].as_str().expect("an id")
        ))
        .await;
    assert_eq!(stored.expect(200).body["data"]["payload"], json!({"n": 1}));
    tokio::time::timeout(Duration::from_secs(5), wakes.recv())
        .await
        .expect("an executor is woken");
    assert_eq!(api.database.count("select count(*) from event_queue").await, 3);
    api.close().await;
}

#[tokio::test]
async fn lines_are_read_one_by_one() {
    let api = with_doorbell().await;
    let text = "{\"trigger_ref\": \"core.doorbell\"}\r\n\n{\"trigger_ref\": oops}\n{\"trigger_ref\": \"core.doorbell\", \"payload\": \"\\u0000\"}\n{\"trigger_ref\": \"core.doorbell\"}";
    let answer = api.send(ndjson(text)).await.expect(200);
    assert_eq!(outcomes(&answer.body), ["accepted", "refused", "refused", "accepted"]);
    let items = &answer.body["data"]["items"];
    assert_eq!(items[1]["problem"]["status"], json!(400));
    assert_eq!(fields(&items[2]), ["payload"]);
    api.close().await;
}

#[tokio::test]
async fn a_repeated_batch_creates_nothing() {
    let api = with_doorbell().await;
    let post = |body: Value| Call::new("POST", PATH).json(body).header("idempotency-key", "one");
    let body = || json!([{"trigger_ref": "core.doorbell"}, {"trigger_ref": "core.nothing"}]);
    let first = api.send(post(body())).await.expect(200);
    let again = api.send(post(body())).await.expect(200);
    assert_eq!(first.body, again.body);
    assert_eq!(api.database.count("select count(*) from event").await, 1);
    let other = api
        .send(post(json!([{"trigger_ref": "core.doorbell"}])))
        .await
        .expect(422);
    assert_eq!(other.fields(), ["Idempotency-Key"]);
    api.close().await;
}

#[tokio::test]
async fn a_thousand_and_no_more() {
    let api = with_doorbell().await;
    let items = |count: usize| Value::from(vec![json!({"trigger_ref": "core.doorbell"}); count]);
    let answer = api.post(PATH, items(1_000)).await.expect(200);
    assert_eq!(answer.body["data"]["accepted"], json!(1_000));
    assert_eq!(api.database.count("select count(*) from event_queue").await, 1_000);
    for count in [0, 1_001] {
        assert_eq!(api.post(PATH, items(count)).await.expect(422).fields(), [""], "{count}");
    }
    assert_eq!(
        api.post(PATH, json!({"trigger_ref": "core.doorbell"}))
            .await
            .expect(422)
            .fields(),
        [""]
    );
    api.send(ndjson("")).await.expect(422);
    api.send(Call::new("POST", PATH).header("content-type", "text/plain").raw("{}"))
        .await
        .expect(415);
    let large = json!([{"trigger_ref": "core.doorbell", "payload": "x".repeat(4 * 1024 * 1024)}]);
    api.post(PATH, large).await.expect(413);
    api.close().await;
}
