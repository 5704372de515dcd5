//! Headers that every answer carries, and the one that every request must carry.

use crate::test_api::{Call, TestApi};
use serde_json::json;

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let api = TestApi::new().await;
    let calls = [
        Call::new("GET", "/health"),
        Call::new("GET", "/health/live"),
        Call::new("GET", "/metrics"),
        Call::new("GET", "/api/v1/rules"),
        Call::new("GET", "/api/v1/rules").token(None),
        Call::new("GET", "/api/v1/nothing"),
        Call::new("DELETE", "/health"),
        Call::new("GET", "/api/docs").token(None),
        Call::new("GET", "/api/v1/openapi.json").token(None),
        Call::new("POST", "/auth/login").token(None).json(json!({})),
        Call::new("POST", "/api/v1/webhooks/unknown").token(None),
        Call::new("POST", "/api/v1/packs").json(json!({"ref": "with_headers"})),
    ];
    for call in calls {
        let shown = format!("{call:?}");
        let answer = api.send(call).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{shown}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{shown}");
        assert!(!answer.header("cache-control").is_empty(), "{shown}");
    }
    api.close().await;
}

#[tokio::test]
async fn a_request_names_one_host() {
    let api = TestApi::new().await;
    let call = || Call::new("GET", "/api/v1/rules");
    for good in [
        "localhost",
        "localhost:8080",
        "attune.example.org",
        "[::1]:8080",
        "10.0.0.1",
    ] {
        api.send(call().header("host", good)).await.expect(200);
    }
    for bad in ["", "a b", "user@host", "a/b", "host:port"] {
        assert_eq!(
            api.send(call().header("host", bad)).await.expect(400).kind(),
            "host",
            "{bad:?}"
        );
    }
    let twice = call().header("host", "a").header("host", "b");
    assert_eq!(api.send(twice).await.expect(400).kind(), "host");
    assert_eq!(api.send(call().without_host()).await.expect(400).kind(), "host");
    api.close().await;
}
