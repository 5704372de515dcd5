//! Thousands of waiting connections do not block other clients.

use crate::{served::listening, test_api::TestApi};
use attune_common::testing::eventually;
use attune_domain::identity::Role;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

const CROWD: usize = 4_200;
/// The maximum time for one answer on a machine that is busy with tests.
const ANSWERED: Duration = Duration::from_secs(5);

/// A connection from one of the addresses of the loopback network.
pub async fn from(client: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, client], 0)))?;
    socket.connect(to).await
}

/// Incomplete requests.
const UNFINISHED: [&str; 4] = [
    "",
    "GET /health/live HTTP/1.1\r\nhost: attune\r\nx-slow",
    "POST /auth/login HTTP/1.1\r\nhost: attune\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    "POST /auth/login HTTP/1.1\r\nhost: attune\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
];

/// This process holds both ends of every connection.
fn open_many_files() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit is readable");
    let needed = 3 * CROWD as u64;
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed, hard).expect("a hard limit of open files of 12,600 or more");
    }
}

/// Opens `count` connections from `addresses` client addresses.
async fn crowd(count: usize, addresses: u8, to: SocketAddr) -> Vec<TcpStream> {
    let mut crowd = Vec::with_capacity(count);
    for n in 0..count {
        let client = 2 + u8::try_from(n % usize::from(addresses)).expect("a small number");
        let mut stream = timeout(ANSWERED, from(client, to))
            .await
            .expect("accepted in time")
            .expect("connected");
        // The write fails if the connection was closed to admit another.
        stream.write_all(UNFINISHED[n % UNFINISHED.len()].as_bytes()).await.ok();
        crowd.push(stream);
    }
    crowd
}

async fn status(client: u8, to: SocketAddr, path: &str) -> String {
    let exchange = async {
        let mut stream = from(client, to).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: attune\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(ANSWERED, exchange)
        .await
        .expect("answered in time")
        .expect("answered");
    answer.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

async fn stays_served(count: usize, addresses: u8, connections_max: u32) {
    open_many_files();
    let mut api = TestApi::new().await;
    api.configured(|config| config.api.connections_max = connections_max);
    let to = listening(&api).await;
    eventually("ready", Duration::from_secs(10), async || {
        (status(1, to, "/health/ready").await == "200").then_some(())
    })
    .await;
    // A stream of another client.
    let mut watcher = from(1, to).await.expect("connected");
    let token = api.token(Role::Viewer);
    let request = format!("GET /api/v1/stream HTTP/1.1\r\nhost: attune\r\nauthorization: Bearer {token}\r\n\r\n");
    watcher.write_all(request.as_bytes()).await.expect("sent");
    let mut begun = [0; 15];
    watcher.read_exact(&mut begun).await.expect("it begins");
    assert_eq!(&begun, b"HTTP/1.1 200 OK");

    let crowd = crowd(count, addresses, to).await;
    // From another address, and from one of the crowd.
    for client in [1, 2] {
        for path in ["/health/live", "/health/ready", "/api/docs"] {
            assert_eq!(status(client, to, path).await, "200", "{path} from 127.0.0.{client}");
        }
    }
    // The stream still receives heartbeats.
    for _ in 0..2 {
        let mut heard = [0; 4096];
        let read = timeout(Duration::from_secs(15), watcher.read(&mut heard)).await;
        let count = read.expect("a heartbeat arrives").expect("it is still connected");
        assert!(count > 0, "it was closed");
    }
    drop(crowd);
    api.router = axum::Router::new();
    api.close().await;
}

#[tokio::test]
async fn a_crowd_from_one_address_blocks_no_other() {
    stays_served(CROWD, 1, 4_096).await;
}

#[tokio::test]
async fn a_crowd_from_many_addresses_blocks_no_other() {
    stays_served(CROWD, 200, 4_096).await;
}

/// All of them connect before the first one times out.
#[tokio::test]
async fn other_clients_do_not_wait_for_the_timeouts_of_a_crowd() {
    stays_served(300, 200, 64).await;
}

/// The connections of one address are limited; one that is in use is not closed to admit another.
#[tokio::test]
async fn connections_of_one_address_are_limited() {
    const MAX: u32 = 8;
    let mut api = TestApi::new().await;
    api.configured(|config| config.api.connections_per_peer_max = MAX);
    let to = listening(&api).await;
    let mut idle = Vec::new();
    for _ in 0..2 * MAX {
        idle.push(from(2, to).await.expect("connected"));
    }
    let open = async || {
        let mut open = 0;
        for stream in &idle {
            let closed = timeout(Duration::from_millis(20), stream.readable()).await.is_ok();
            open += u32::from(!closed);
        }
        (open == MAX).then_some(())
    };
    eventually("the oldest connections are closed", Duration::from_secs(8), open).await;
    assert_eq!(status(2, to, "/health/live").await, "200");
    api.router = axum::Router::new();
    api.close().await;
}
