//! Over a real connection: the listener, its limits, health, and the drain.

use crate::site::Site;
use attune_common::testing::eventually;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub async fn listening(site: &Site) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    site.context
        .spawn("api", attune_api::serve(site.context.clone(), listener));
    site.context
        .spawn("health", attune_common::health::probe(site.context.clone()));
    address
}

/// Sends a request as it stands, and reads until the other side closes.
async fn talk(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    read.expect("answered in time").expect("readable");
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: attune\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn it_listens_tells_its_health_and_stops() {
    let mut site = Site::new().await;
    let address = listening(&site).await;
    eventually("ready", Duration::from_secs(10), async || {
        talk(address, &get("/health/ready"))
            .await
            .starts_with("HTTP/1.1 200")
            .then_some(())
    })
    .await;
    let health = talk(address, &get("/health")).await;
    assert!(
        health.contains("\"api\":{") && health.contains("\"version\""),
        "{health}"
    );
    assert!(talk(address, &get("/health/live")).await.starts_with("HTTP/1.1 200"));
    assert!(talk(address, &get("/metrics")).await.starts_with("HTTP/1.1 200"));
    assert!(talk(address, &get("/api/v1/rules")).await.starts_with("HTTP/1.1 401"));

    let large = format!(
        "GET / HTTP/1.1\r\nhost: attune\r\nx-large: {}\r\n\r\n",
        "x".repeat(64 * 1024)
    );
    let refused = talk(address, &large).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused:?}");

    // An idle connection does not hold up the stop.
    let idle = TcpStream::connect(address).await.expect("connected");
    site.router = axum::Router::new();
    let finished = tokio::time::timeout(Duration::from_secs(10), site.tasks.finish()).await;
    finished.expect("it stops within seconds");
    assert!(!site.tasks.failed());
    assert!(TcpStream::connect(address).await.is_err(), "it still listens");
    drop(idle);
    site.close().await;
}

/// Without the database there is an honest answer at once, and nothing of what is inside.
#[tokio::test]
async fn without_the_database() {
    let site = Site::new().await;
    site.database.pool.close().await;
    for path in ["/api/v1/rules", "/auth/me"] {
        let answer = site.get(path).await.expect(503);
        assert_eq!(
            (answer.kind(), answer.header("retry-after")),
            ("unavailable", "2"),
            "{path}"
        );
    }
    let login = crate::site::Call::new("POST", "/auth/login")
        .token(None)
        .json(serde_json::json!({"login": "admin", "password": "x"}));
    site.ask(login).await.expect(503);
    site.close().await;
}
