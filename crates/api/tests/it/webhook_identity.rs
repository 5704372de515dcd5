//! What identifies a delivery: a repeat gets the first event, everything else becomes a new event or is refused.

use crate::{
    hook::Hook,
    test_api::{Answer, Call, TestApi},
};
use serde_json::{Value, json};

async fn order(hook: &Hook, id: &str) -> Answer {
    hook.send(hook.call(&format!(r#"{{"order": {{"id": {id}}}}}"#))).await
}

#[tokio::test]
async fn by_a_pointer_into_the_body() {
    let hook = Hook::new(json!({"verify": "none", "dedup": {"pointer": "/order/id"}})).await;
    let mut events = 0;
    for empty in ["\"\"", "\" \\t\"", "null", "[]", "{}"] {
        for _ in 0..2 {
            order(&hook, empty).await.expect(202);
            events += 1;
        }
    }
    for other in ["{}", "[]", "7", r#"{"order": 7}"#] {
        hook.send(hook.call(other)).await.expect(202);
        hook.send(hook.call(other)).await.expect(202);
        events += 2;
    }
    assert_eq!(hook.events().await, events, "nothing is lost");
    for (first, repeat) in [
        ("1", "1.0"),
        ("\"1\"", "\"1\""),
        ("\"true\"", "\"true\""),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740992", "9007199254740992.0"),
        ("18446744073709551615", "18446744073709551615"),
        ("0.1", "0.1"),
        ("0", "-0.0"),
        (
            "\"123456789012345678901234567890\"",
            "\"123456789012345678901234567890\"",
        ),
        (
            "\"123456789012345678901234567891\"",
            "\"123456789012345678901234567891\"",
        ),
        ("\"\u{e9}\"", "\"\\u00e9\""),
        ("\"e\u{301}\"", "\"e\\u0301\""),
        ("\" 1\"", "\" 1\""),
    ] {
        let made = order(&hook, first).await;
        let again = order(&hook, repeat).await;
        assert_eq!(
            (made.status.as_u16(), again.status.as_u16()),
            (202, 200),
            "{first} {repeat}"
        );
        assert_eq!(made.body, again.body, "{first} {repeat}");
    }
    let long = |end: &str| format!("\"{}{end}\"", "x".repeat(500_000));
    order(&hook, &long("a")).await.expect(202);
    order(&hook, &long("b")).await.expect(202);
    order(&hook, &long("a")).await.expect(200);
    for bad in ["true", "false", "[1]", "{\"a\": 1}"] {
        assert_eq!(order(&hook, bad).await.expect(422).fields(), ["/order/id"], "{bad}");
    }
    for rounded in [
        "18446744073709551616",
        "18446744073709551617",
        "123456789012345678901234567890",
        "1e400",
        "0.1234567890123456789",
    ] {
        assert_eq!(
            order(&hook, rounded).await.expect(422).fields(),
            ["body.order.id"],
            "{rounded}"
        );
    }
    hook.api.close().await;
}

#[tokio::test]
async fn by_a_header() {
    let hook = Hook::new(json!({"verify": "none", "dedup": {"header": "X-Delivery"}})).await;
    let send = async |values: &[&str]| {
        let call = values
            .iter()
            .fold(hook.call("{}"), |call, value| call.header("x-delivery", value));
        hook.send(call).await
    };
    for empty in [[].as_slice(), &[""], &["  "], &["", " "]] {
        send(empty).await.expect(202);
        send(empty).await.expect(202);
    }
    assert_eq!(hook.events().await, 8);
    let first = send(&["a"]).await.expect(202);
    assert_eq!(send(&["a", "a"]).await.expect(200).body, first.body);
    assert_eq!(send(&["", "a"]).await.expect(200).body, first.body);
    for different in [["a", "b"], ["a", "c"], ["b", "a"]] {
        assert_eq!(send(&different).await.expect(422).fields(), ["x-delivery"]);
    }
    send(&["b"]).await.expect(202);
    send(&["A"]).await.expect(202);
    let long = "x".repeat(4000);
    send(&[&format!("{long}1")]).await.expect(202);
    send(&[&format!("{long}2")]).await.expect(202);
    hook.api.close().await;
}

#[tokio::test]
async fn of_events_and_of_requests_to_the_api() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    let send = async |key: Value| {
        api.post("/api/v1/events", json!({"trigger_ref": "core.bell", "dedup_key": key}))
            .await
    };
    for bad in [
        json!(""),
        json!(" "),
        json!("\t"),
        json!("x".repeat(513)),
        json!(1),
        json!(true),
        json!([]),
        json!({}),
    ] {
        assert_eq!(send(bad.clone()).await.expect(422).fields(), ["dedup_key"], "{bad}");
    }
    send(Value::Null).await.expect(201);
    send(Value::Null).await.expect(201);
    for key in ["1", "1.0", "\u{e9}", "e\u{301}", " 1"] {
        send(json!(key)).await.expect(201);
        send(json!(key)).await.expect(200);
    }
    let with = async |keys: &[&str]| {
        let call = Call::new("POST", "/api/v1/events").json(json!({"trigger_ref": "core.bell"}));
        let call = keys.iter().fold(call, |call, key| call.header("idempotency-key", key));
        api.send(call).await
    };
    let long = "x".repeat(256);
    for bad in [[""].as_slice(), &[" "], &["a", "a"], &["a", "b"], &["", "a"], &[&long]] {
        assert_eq!(with(bad).await.expect(422).fields(), ["Idempotency-Key"], "{bad:?}");
    }
    with(&["a"]).await.expect(201);
    with(&["a"]).await.expect(200);
    with(&["A"]).await.expect(201);
    api.close().await;
}
