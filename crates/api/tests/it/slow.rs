//! Slow clients and large requests: each is disconnected in time, and the memory they use is bounded.

use crate::{crowd, hook::Hook, served::listening, test_api::TestApi};
use attune_common::testing::eventually;
use attune_domain::identity::Role;
use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

/// Extra time on a machine that is busy with tests.
const ALLOWANCE: Duration = Duration::from_secs(10);
const HEADER_READ: Duration = Duration::from_secs(10);
const REQUEST: Duration = Duration::from_secs(10);

async fn connected(address: SocketAddr, sent: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(sent).await.expect("sent");
    stream
}

/// Waits until the server closes. Returns what was received, and how long it took.
async fn until_closed(mut stream: TcpStream) -> (String, Duration) {
    let (began, mut answer) = (Instant::now(), Vec::new());
    let closed = tokio::time::timeout(REQUEST + ALLOWANCE, stream.read_to_end(&mut answer)).await;
    closed.expect("a slow client is closed").ok();
    (String::from_utf8_lossy(&answer).into_owned(), began.elapsed())
}

#[tokio::test]
async fn slow_clients_are_closed_in_time() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    let idle = connected(address, b"").await;
    let half_header = connected(address, b"GET /api/docs HTTP/1.1\r\nhost: attune\r\nx-slow").await;
    let half_body = connected(
        address,
        b"POST /auth/login HTTP/1.1\r\nhost: attune\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    )
    .await;
    let unread = unread(address).await;
    let (idle, half_header, half_body, ()) = tokio::join!(
        until_closed(idle),
        until_closed(half_header),
        until_closed(half_body),
        cut(unread)
    );
    let (received, after) = idle;
    assert!(after < HEADER_READ + ALLOWANCE, "idle: closed after {after:?}");
    assert_eq!(received, "", "an idle connection gets no answer");
    let (received, after) = half_header;
    assert!(after < HEADER_READ + ALLOWANCE, "half a header: closed after {after:?}");
    assert!(
        received.starts_with("HTTP/1.1 408") && received.contains("urn:attune:problem:timeout"),
        "{received}"
    );
    let (received, after) = half_body;
    assert!(after < REQUEST + ALLOWANCE, "half a body: closed after {after:?}");
    assert!(
        received.starts_with("HTTP/1.1 503") && received.contains("timeout"),
        "{received}"
    );
    api.router = axum::Router::new();
    api.close().await;
}

/// A webhook without `wait_seconds` has the time limit of other requests, wherever the time is spent.
#[tokio::test]
async fn a_webhook_is_answered_in_time_like_others() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let (mut api, path) = (hook.api, hook.path);
    let address = listening(&api).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: attune\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{"
    );
    api.database
        .execute(
            "create function hang() returns trigger language plpgsql as $$ begin perform pg_sleep(14); return null; end $$;
             create trigger hang before insert on event_queue for each statement execute function hang()",
        )
        .await;
    let silent = connected(address, head.as_bytes()).await;
    let mut late = connected(address, head.as_bytes()).await;
    let early = tokio::time::timeout(Duration::from_secs(6), late.readable()).await;
    assert!(early.is_err(), "it is not answered before its body is there");
    // The event would take five seconds more to be refused.
    late.write_all(b"}").await.expect("sent");
    let ((silent, _), (late, _)) = tokio::join!(until_closed(silent), until_closed(late));
    assert!(silent.starts_with("HTTP/1.1 408"), "{silent}");
    assert!(
        late.starts_with("HTTP/1.1 503") && late.contains("problem:timeout"),
        "{late}"
    );
    api.router = axum::Router::new();
    api.close().await;
}

/// Requests more than the buffers of the system can hold, and reads nothing.
async fn unread(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(address).await.expect("connected");
    let request = "GET /api/v1/openapi.json HTTP/1.1\r\nhost: attune\r\n\r\n".repeat(200);
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

async fn cut(stream: TcpStream) {
    let poll = async || {
        stream
            .try_write(b"G")
            .is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock)
            .then_some(())
    };
    eventually("a client that reads no answer is closed", REQUEST + 2 * ALLOWANCE, poll).await;
}

/// A hundred requests to sign in send 1 MiB each and stop before the end: together they may hold 8 MiB, those of one client
/// 2 MiB, and they take nothing from a caller who is signed in.
#[tokio::test]
async fn large_bodies_hold_a_bounded_amount() {
    const BODY: usize = 1024 * 1024;
    const CLIENTS: usize = 100;
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    let before = resident();
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nhost: attune\r\ncontent-type: application/json\r\ncontent-length: {BODY}\r\n\r\n"
    );
    let almost = [head.as_bytes(), &vec![b' '; BODY - 1]].concat();
    let mut refused = 0;
    let mut waiting = Vec::new();
    for n in 0..CLIENTS {
        // The first forty come from one address.
        let client = u8::try_from(n).expect("a small number").saturating_sub(40);
        let mut stream = crowd::from(2 + client, address).await.expect("connected");
        let sent = stream.write_all(&almost).await;
        waiting.push((stream, sent.is_ok()));
    }
    let mut of_first = 0;
    for (n, (stream, sent)) in waiting.iter_mut().enumerate() {
        if n == 40 {
            of_first = refused;
        }
        let mut answer = [0; 12];
        let read = tokio::time::timeout(Duration::from_millis(200), stream.read_exact(&mut answer)).await;
        match read {
            Ok(Ok(_)) => {
                assert_eq!(&answer, b"HTTP/1.1 503");
                refused += 1;
            }
            Ok(Err(_)) => refused += 1,
            Err(_) => assert!(*sent, "it was taken completely"),
        }
    }
    let grown = resident().saturating_sub(before);
    assert!(refused >= CLIENTS - 8, "{refused} of {CLIENTS} were refused");
    // Chunks do not fill the last MiB exactly.
    assert!(
        (CLIENTS - 8..=CLIENTS - 6).contains(&refused),
        "{} were taken",
        CLIENTS - refused
    );
    assert!(of_first >= 38, "{of_first} of 40 from one address were refused");
    assert!(grown < 100 * 1024, "{grown} KiB for 8 MiB of bodies");
    let signed_in = format!(
        "POST /api/v1/packs HTTP/1.1\r\nhost: attune\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {BODY}\r\nconnection: close\r\n\r\n",
        api.token(Role::Editor)
    );
    let whole = [signed_in.as_bytes(), &vec![b' '; BODY]].concat();
    let (received, _) = until_closed(connected(address, &whole).await).await;
    assert!(
        received.starts_with("HTTP/1.1 400"),
        "one who is signed in is served: {received}"
    );
    drop(waiting);
    // Afterwards the budget is free again.
    let poll = async || {
        let whole = [head.as_bytes(), &vec![b' '; BODY]].concat();
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(&whole).await.ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.ok()?;
        (&answer == b"HTTP/1.1 400").then_some(())
    };
    eventually("the budget is free again", ALLOWANCE, poll).await;
    api.router = axum::Router::new();
    api.close().await;
}

/// The resident memory of this process in KiB.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("procfs is readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("a number")
}
