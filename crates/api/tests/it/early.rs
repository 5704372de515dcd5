//! Answers that are sent before the body was read: clients receive them and can keep using the connection.

use crate::{crowd, hook::Hook, served::listening, test_api::TestApi};
use attune_domain::identity::Role;
use serde_json::json;
use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{interval_at, timeout},
};

/// Extra time on a machine that is busy with tests.
const ALLOWANCE: Duration = Duration::from_secs(10);

/// Runs a client in another language against an API. Returns its error output.
async fn complaints(program: &'static str, script: &'static str) -> String {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let (mut api, path) = (hook.api, hook.path);
    let address = listening(&api).await;
    let arguments = [
        format!("{}/tests/it/{script}", env!("CARGO_MANIFEST_DIR")),
        address.port().to_string(),
        api.token(Role::Admin).to_owned(),
        path,
        api.token(Role::Viewer).to_owned(),
    ];
    #[expect(clippy::disallowed_methods, reason = "clients of other languages are what is tested")]
    let run = move || Command::new(program).args(arguments).output();
    let output = tokio::task::spawn_blocking(run)
        .await
        .expect("it ran")
        .expect("it could be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    api.router = axum::Router::new();
    api.close().await;
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn pythons_http_client_sees_early_answers_and_keeps_its_connection() {
    assert_eq!(complaints("python3", "early.py").await, "done\n");
}

/// Where Node is installed.
#[tokio::test]
async fn nodes_fetch_sees_early_answers() {
    #[expect(clippy::disallowed_methods, reason = "it ends at once")]
    let node = Command::new("node").args(["-e", "fetch"]).output();
    if node.is_ok_and(|node| node.status.success()) {
        assert_eq!(complaints("node", "early.mjs").await, "done\n");
    }
}

/// Sends a request in parts and reads until the server closes. Returns what was received, and how long it took.
async fn talk(
    address: SocketAddr,
    head: &str,
    body: impl Iterator<Item = Vec<u8>>,
    pause: Duration,
) -> (String, Duration) {
    let (began, mut answer) = (Instant::now(), Vec::new());
    let stream = crowd::from(1, address).await.expect("connected");
    let (mut from, mut to) = stream.into_split();
    let send = async {
        to.write_all(head.as_bytes()).await.ok();
        let mut pace = interval_at(tokio::time::Instant::now() + pause, pause);
        for part in body {
            pace.tick().await;
            if to.write_all(&part).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = send => {}
        read = timeout(Duration::from_secs(60), from.read_to_end(&mut answer)) => { read.expect("it is closed").ok(); }
    }
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

fn post(path: &str, more: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: attune\r\ncontent-type: application/json\r\n{more}\r\n\r\n")
}

/// A bounded part of a body is discarded in a bounded time. The answer arrives and announces the close.
#[tokio::test]
async fn discarded_bodies_are_bounded() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    let endless = || (0..10_000).map(|_| vec![b' '; 64 * 1024]);
    let declared = post("/nowhere", "content-length: 10000000000");
    let (received, after) = talk(address, &declared, endless(), Duration::from_millis(1)).await;
    assert!(
        received.starts_with("HTTP/1.1 404") && received.contains("connection: close"),
        "{received}"
    );
    assert!(after < Duration::from_secs(10) + ALLOWANCE, "{after:?}");

    let chunk = || {
        let mut chunk = b"10000\r\n".to_vec();
        chunk.extend(vec![b' '; 0x1_0000]);
        chunk.extend(b"\r\n");
        chunk
    };
    let chunked = post("/nowhere", "transfer-encoding: chunked");
    let (received, after) = talk(
        address,
        &chunked,
        (0..10_000).map(|_| chunk()),
        Duration::from_millis(1),
    )
    .await;
    assert!(received.starts_with("HTTP/1.1 404"), "{received}");
    assert!(after < Duration::from_secs(40) + ALLOWANCE, "{after:?}");

    // A client that sends byte by byte keeps its connection for a few seconds only.
    let slow = post("/nowhere", "content-length: 100000");
    let bytes = (0..1_000).map(|_| vec![b' ']);
    let (received, after) = talk(address, &slow, bytes, Duration::from_millis(100)).await;
    assert!(received.starts_with("HTTP/1.1 404"), "{received}");
    assert!(after < Duration::from_secs(10) + ALLOWANCE, "{after:?}");
    api.router = axum::Router::new();
    api.close().await;
}

/// With `Expect: 100-continue`, a client is refused before it sends the body.
#[tokio::test]
async fn an_offered_body_is_refused_before_it_is_sent() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    for (path, status) in [("/auth/login", "413"), ("/nowhere", "404"), ("/api/v1/packs", "401")] {
        let offered = post(path, "content-length: 8000000\r\nexpect: 100-continue");
        let (received, after) = talk(address, &offered, std::iter::empty(), Duration::from_millis(1)).await;
        assert!(
            received.starts_with(&format!("HTTP/1.1 {status}")),
            "{path}: {received}"
        );
        assert!(received.contains("connection: close"), "{path}: {received}");
        assert!(after < ALLOWANCE, "{after:?}");
    }
    let accepted = post(
        "/auth/login",
        "content-length: 2\r\nexpect: 100-continue\r\nconnection: close",
    );
    let (received, _) = talk(
        address,
        &accepted,
        [b"{}".to_vec()].into_iter(),
        Duration::from_millis(300),
    )
    .await;
    assert!(
        received.starts_with("HTTP/1.1 100") && received.contains("HTTP/1.1 422"),
        "{received}"
    );
    api.router = axum::Router::new();
    api.close().await;
}

/// A request that violates HTTP is answered as well, although its client continues to send.
#[tokio::test]
async fn a_header_that_is_too_large_is_answered() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    for _ in 0..20 {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let large = format!(
            "GET / HTTP/1.1\r\nhost: attune\r\nx-large: {}\r\n\r\n",
            "x".repeat(512 * 1024)
        );
        // Sends everything before it reads the answer.
        stream.write_all(large.as_bytes()).await.expect("taken");
        let mut answer = String::new();
        let read = timeout(ALLOWANCE, stream.read_to_string(&mut answer)).await;
        read.expect("answered in time").expect("the answer is not lost");
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
    api.router = axum::Router::new();
    api.close().await;
}
