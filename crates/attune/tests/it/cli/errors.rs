//! Exit codes when the server refuses, fails or is missing.

use super::{LIMIT, Shell};
use crate::support::surroundings::free_port;
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

#[tokio::test]
async fn an_unreachable_server_is_reported_soon() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let url = format!("http://127.0.0.1:{}", free_port());
    let shell = Shell::remote(folder.path()).with_token(&url, "atn_x");
    let begun = Instant::now();
    shell.fails(7, "attune up", "attune rule list").await;
    shell.fails(7, "no response", "attune status").await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let none = Shell::remote(folder.path());
    none.fails(3, "not signed in", "attune rule list").await;
    none.fails(
        2,
        "must begin with http",
        "attune rule list --url localhost --token-file /dev/null",
    )
    .await;
    let report = none.run("attune doctor").await;
    assert_eq!(report.code, 1);
    assert!(
        report.out.contains("reachable") && report.out.contains("attune login URL"),
        "{}",
        report.out
    );
}

/// A server that is busy `times` times, and the number of requests so far.
async fn busy(times: usize, status: StatusCode, kind: &str, retry_after: &'static str) -> (String, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let problem = format!("{{\"type\": \"urn:attune:problem:{kind}\", \"detail\": \"busy\"}}");
    let answer = move || {
        let busy = counted.fetch_add(1, Ordering::Relaxed) < times;
        let problem = problem.clone();
        async move {
            if busy {
                (status, [("retry-after", retry_after)], problem).into_response()
            } else {
                "{\"data\": [], \"pagination\": {\"next\": null}}".into_response()
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().route("/api/v1/rules", get(answer));
    TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    (url, count)
}

#[tokio::test]
async fn a_busy_server_is_retried_for_a_while() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    for (times, status, kind, after, code, requests) in [
        (2, StatusCode::TOO_MANY_REQUESTS, "rate_limited", "1", 0, 3),
        (1, StatusCode::SERVICE_UNAVAILABLE, "unavailable", "0", 0, 2),
        (9, StatusCode::TOO_MANY_REQUESTS, "rate_limited", "3600", 8, 1),
        (9, StatusCode::SERVICE_UNAVAILABLE, "overloaded", "3600", 8, 1),
        (9, StatusCode::SERVICE_UNAVAILABLE, "unavailable", "3600", 7, 1),
        (9, StatusCode::INTERNAL_SERVER_ERROR, "internal", "0", 7, 1),
    ] {
        let (url, count) = busy(times, status, kind, after).await;
        let shell = Shell::remote(folder.path()).with_token(&url, "atn_x");
        let begun = Instant::now();
        shell.ends(code, "attune rule list -q").await;
        assert_eq!(count.load(Ordering::Relaxed), requests, "{status} {kind} {after}");
        assert!(
            times != 2 || begun.elapsed() >= Duration::from_secs(2),
            "it waits as the server requested"
        );
        assert!(begun.elapsed() < LIMIT);
    }
}
