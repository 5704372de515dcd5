//! Requests that the HTTP parser refuses are answered like all others: as a problem, with the security headers.

use crate::{served::listening, test_api::TestApi};
use serde_json::Value;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

#[tokio::test]
async fn what_cannot_be_parsed_is_answered_as_a_problem() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\n{}: x\r\n\r\n", "a".repeat(40_000));
    let many: Vec<String> = (0..200).map(|i| format!("x-{i}: y\r\n")).collect();
    let many = many.concat();
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    let path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000));
    for (request, status, kind) in [
        ("BAD\r\n\r\n", 400, "refused"),
        ("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", 400, "refused"),
        ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400, "refused"),
        (
            "POST /auth/login HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
            400,
            "refused",
        ),
        (
            "POST /auth/login HTTP/1.1\r\nhost: a\r\ntransfer-encoding: x\r\n\r\n",
            400,
            "refused",
        ),
        (long.as_str(), 431, "too_large"),
        (many.as_str(), 431, "too_large"),
        (path.as_str(), 431, "too_large"),
    ] {
        for before in ["", "GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(format!("{before}{request}").as_bytes()).await.ok();
            let mut received = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut received));
            read.await.expect("the connection is closed").ok();
            let received = String::from_utf8_lossy(&received);
            let shown: String = request.chars().take(60).collect();
            let begin = received
                .find(&format!("HTTP/1.1 {status} "))
                .unwrap_or_else(|| panic!("{shown}: {received}"));
            assert_eq!(begin > 0, !before.is_empty(), "{received}");
            let (head, body) = received[begin..].split_once("\r\n\r\n").expect("a head");
            for header in [
                "content-type: application/problem+json",
                "x-content-type-options: nosniff",
                "referrer-policy: no-referrer",
                "cache-control: no-store",
                "connection: close",
                &format!("content-length: {}", body.len()),
                "date: ",
            ] {
                assert!(head.contains(&format!("\r\n{header}")), "{shown}: {header}: {head}");
            }
            let problem: Value = serde_json::from_str(body).expect("a problem");
            assert_eq!(problem["type"], format!("urn:attune:problem:{kind}"), "{shown}");
            assert_eq!(problem["status"], status);
            let id = problem["instance"].as_str().expect("an id");
            assert!(head.contains(&format!("x-request-id: {id}")), "{head}");
        }
    }
    api.router = axum::Router::new();
    api.close().await;
}
