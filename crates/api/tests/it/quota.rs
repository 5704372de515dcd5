//! The rate of a caller, and how it is reported.

use crate::test_api::{Call, TestApi};
use attune_common::config::Config;
use attune_domain::identity::Role;

#[tokio::test]
async fn answers_report_the_quota_of_the_caller() {
    let mut api = TestApi::new().await;
    let default = Config::default().api.requests_per_second;
    assert_eq!(default, 1_000);
    api.configured(|config| config.api.requests_per_second = default);
    let me = || Call::new("GET", "/auth/me").token(Some(api.token(Role::Viewer)));
    let answer = api.send(me()).await.expect(200);
    assert_eq!(answer.header("ratelimit-policy"), "\"caller\";q=1000;w=1");
    assert_eq!(answer.header("ratelimit"), "\"caller\";r=1000;t=1");
    // Also for errors.
    let forbidden = Call::new("GET", "/api/v1/identities").token(Some(api.token(Role::Viewer)));
    assert!(api.send(forbidden).await.expect(403).headers.contains_key("ratelimit"));
    assert!(
        api.get("/api/v1/rules/core.none")
            .await
            .expect(404)
            .headers
            .contains_key("ratelimit")
    );
    for anonymous in [
        Call::new("GET", "/api/docs").token(None),
        Call::new("GET", "/api/v1/rules").token(None),
    ] {
        assert!(!api.send(anonymous).await.headers.contains_key("ratelimit"));
    }
    api.close().await;
}

/// A hundred requests in a row are not throttled.
#[tokio::test]
async fn bulk_reads_are_not_throttled() {
    let mut api = TestApi::new().await;
    api.configured(|config| config.api.requests_per_second = Config::default().api.requests_per_second);
    for _ in 0..1_000 {
        api.get("/auth/me").await.expect(200);
    }
    api.close().await;
}

#[tokio::test]
async fn a_caller_beyond_the_quota_receives_retry_after() {
    let mut api = TestApi::new().await;
    api.configured(|config| config.api.requests_per_second = 2);
    let mut last = api.get("/auth/me").await;
    while last.status == 200 {
        assert_eq!(last.header("ratelimit-policy"), "\"caller\";q=2;w=1");
        last = api.get("/auth/me").await;
    }
    let last = last.expect(429);
    assert_eq!((last.kind(), last.header("retry-after")), ("too_many_requests", "1"));
    assert_eq!(last.header("ratelimit"), "\"caller\";r=0;t=1");
    api.configured(|config| config.api.requests_per_second = 0);
    assert!(!api.get("/auth/me").await.expect(200).headers.contains_key("ratelimit"));
    api.close().await;
}
