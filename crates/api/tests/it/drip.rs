//! Clients that send a request, or read an answer, byte by byte: each is closed in time, and others are served.

use crate::{hook::Hook, served::listening, test_api::TestApi};
use attune_common::{
    bus::{Feed, FeedKind},
    testing::eventually,
};
use attune_domain::{execution::ExecutionStatus, identity::Role};
use serde_json::json;
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::{interval, timeout},
};

/// The time limit of a header, of a whole request, and of an answer that is not read.
const LIMIT: Duration = Duration::from_secs(10);
/// The body of a webhook.
const WEBHOOK_BODY: Duration = Duration::from_secs(8);
/// Extra time on a machine that is busy with tests.
const ALLOWANCE: Duration = Duration::from_secs(10);

/// Sends the head and then single bytes, until the server closes. Returns what was received, and how long it took.
async fn dripped(address: SocketAddr, head: &str) -> (String, Duration) {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let (began, mut received) = (Instant::now(), Vec::new());
    let (mut from, mut to) = stream.split();
    let mut pace = interval(Duration::from_millis(100));
    let drip = async {
        loop {
            pace.tick().await;
            if to.write_all(b"x").await.is_err() {
                return std::future::pending().await;
            }
        }
    };
    let closed = async {
        tokio::select! {
            () = drip => {}
            _ = from.read_to_end(&mut received) => {}
        }
    };
    timeout(LIMIT + ALLOWANCE, closed)
        .await
        .expect("a slow client is disconnected");
    (String::from_utf8_lossy(&received).into_owned(), began.elapsed())
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: attune\r\ncontent-type: application/json\r\ncontent-length: 10000\r\n\r\n")
}

#[tokio::test]
async fn a_client_that_sends_byte_by_byte_times_out() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let (mut api, path) = (hook.api, hook.path);
    let address = listening(&api).await;
    let (login, webhook) = (post("/auth/login"), post(&path));
    let all = async {
        tokio::join!(
            dripped(address, "GET /api/docs HTTP/1.1\r\nhost: attune\r\nx-slow: "),
            dripped(address, &login),
            dripped(address, &webhook),
        )
    };
    let (header, body, webhook) = others_are_served(address, all).await;
    for (what, (received, after), limit, answer) in [
        ("a header", header, LIMIT, ""),
        ("a body", body, LIMIT, "HTTP/1.1 503"),
        ("the body of a webhook", webhook, WEBHOOK_BODY, "HTTP/1.1 408"),
    ] {
        assert!(after < limit + ALLOWANCE, "{what}: ended after {after:?}");
        assert!(
            received.starts_with(answer) && !received.contains(" 200 "),
            "{what}: {received}"
        );
    }
    api.router = axum::Router::new();
    api.close().await;
}

/// Meanwhile, another client sends requests, which are answered immediately.
async fn others_are_served<T>(address: SocketAddr, slow: impl Future<Output = T>) -> T {
    let ended = AtomicBool::new(false);
    let others = async {
        let mut served = 0;
        let mut pace = interval(Duration::from_millis(100));
        while !ended.load(Ordering::Relaxed) {
            pace.tick().await;
            let mut stream = TcpStream::connect(address).await.expect("connected");
            let request = b"GET /health/live HTTP/1.1\r\nhost: attune\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await.expect("sent");
            let mut answer = Vec::new();
            let read = timeout(Duration::from_secs(3), stream.read_to_end(&mut answer)).await;
            read.expect("others are answered").expect("readable");
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            served += 1;
        }
        served
    };
    let slow = async {
        let result = slow.await;
        ended.store(true, Ordering::Relaxed);
        result
    };
    let (result, served) = tokio::join!(slow, others);
    assert!(served >= 10, "{served} others were served");
    result
}

/// Sends a request and reads the answer byte by byte until the server closes the connection. Returns the number of bytes and
/// the time.
async fn read_slowly(address: SocketAddr, request: &str) -> (u32, Duration) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(address).await.expect("connected");
    let client = stream.local_addr().expect("an address");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut pace = interval(Duration::from_millis(1));
    let (began, mut taken) = (Instant::now(), 0);
    let sip = async {
        while stream.read_u8().await.is_ok() {
            taken += 1;
            pace.tick().await;
        }
    };
    let closed = async || (!is_open(address, client)).then_some(());
    tokio::select! {
        () = sip => {}
        () = eventually("a slow reader is disconnected", 2 * LIMIT + ALLOWANCE, closed) => {}
    }
    (taken, began.elapsed())
}

/// Whether the server's end of this connection is still open.
fn is_open(server: SocketAddr, client: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("procfs is readable");
    let [server, client] = [server, client].map(|address| format!(":{:04X}", address.port()));
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ends = |at: usize, with: &str| fields.get(at).is_some_and(|field| field.ends_with(with));
        ends(1, &server) && ends(2, &client) && ends(3, "01")
    })
}

fn authorized(api: &TestApi, path: &str) -> String {
    let token = api.token(Role::Viewer);
    format!("GET {path} HTTP/1.1\r\nhost: attune\r\nauthorization: Bearer {token}\r\n\r\n")
}

#[tokio::test]
async fn a_client_that_reads_a_list_byte_by_byte_is_cut_off() {
    const EVENTS: u32 = 200;
    const EACH: u32 = 100_000;
    let mut api = TestApi::new().await;
    let payload = format!("jsonb_build_object('text', repeat('x', {EACH}))");
    api.database
        .execute(&format!(
            "insert into event (id, trigger_id, trigger_ref, source, payload, trace_id)
             select id, 1, 'core.any', 'api', {payload}, id
             from (select overlay(id_floor(db_now())::text placing lpad(n::text, 12, '0') from 25)::uuid as id
                   from generate_series(1, {EVENTS}) n) e"
        ))
        .await;
    let address = listening(&api).await;
    let request = authorized(&api, &format!("/api/v1/events?limit={EVENTS}"));
    let (taken, after) = others_are_served(address, read_slowly(address, &request)).await;
    assert!(taken > 1_000, "it took {taken} bytes of its answer");
    assert!(taken < EVENTS * EACH / 2, "it took {taken} bytes until it was cut off");
    assert!(after > LIMIT / 2, "it was given time: {after:?}");
    api.router = axum::Router::new();
    api.tasks.finish().await;
    api.close().await;
}

#[tokio::test]
async fn a_client_that_reads_the_stream_byte_by_byte_is_cut_off() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    let request = authorized(&api, "/api/v1/stream");
    let talk = async {
        // Repeatedly more than the buffers of both sides can hold.
        let mut pace = interval(Duration::from_millis(100));
        loop {
            for _ in 0..1_000 {
                api.bus.feed(Feed::new(FeedKind::execution(ExecutionStatus::Succeeded)));
            }
            pace.tick().await;
        }
    };
    let slow = async {
        tokio::select! {
            () = talk => (0, Duration::ZERO),
            read_slowly = read_slowly(address, &request) => read_slowly,
        }
    };
    let (taken, after) = others_are_served(address, slow).await;
    assert!(taken > 1_000, "it took {taken} bytes of the stream");
    assert!(after > LIMIT / 2, "it was given time: {after:?}");
    api.router = axum::Router::new();
    api.tasks.finish().await;
    api.close().await;
}
