//! Over a real connection: the listener, its limits, health, and the drain.

use crate::test_api::TestApi;
use attune_common::{
    bus::{Feed, FeedKind},
    health,
    service::every,
    testing::eventually,
};
use attune_domain::{execution::ExecutionStatus, identity::Role};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

pub async fn listening(api: &TestApi) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    api.context
        .spawn("api", attune_api::serve(api.context.clone(), listener));
    every(&api.context, "health", health::PROBE_PERIOD, health::probe);
    address
}

/// Sends raw bytes and reads until the server closes.
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
async fn it_listens_reports_health_and_stops() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
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
    api.router = axum::Router::new();
    let finished = tokio::time::timeout(Duration::from_secs(10), api.tasks.finish()).await;
    finished.expect("it stops within seconds");
    assert!(!api.tasks.failed());
    assert!(TcpStream::connect(address).await.is_err(), "it still listens");
    drop(idle);
    api.close().await;
}

/// A stream whose client stops reading is closed within seconds, and its slot is freed.
#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let mut api = TestApi::new().await;
    let address = listening(&api).await;
    let mut deaf = TcpStream::connect(address).await.expect("connected");
    let token = api.token(Role::Viewer);
    let request = format!("GET /api/v1/stream HTTP/1.1\r\nhost: attune\r\nauthorization: Bearer {token}\r\n\r\n");
    deaf.write_all(request.as_bytes()).await.expect("sent");
    deaf.readable().await.expect("it begins");
    let connections = async || {
        // Repeatedly more than the buffers of both sides can hold.
        for _ in 0..1_000 {
            api.bus.feed(Feed::new(FeedKind::execution(ExecutionStatus::Succeeded)));
        }
        let table = std::fs::read_to_string("/proc/net/tcp").expect("procfs is readable");
        let port = format!(":{:04X}", address.port());
        let open = table.lines().filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(1).is_some_and(|local| local.ends_with(&port)) && fields.get(3) == Some(&"01")
        });
        open.count()
    };
    assert_eq!(connections().await, 1);
    eventually("its connection to be closed", Duration::from_secs(40), async || {
        (connections().await == 0).then_some(())
    })
    .await;
    drop(deaf);
    api.router = axum::Router::new();
    api.tasks.finish().await;
    api.close().await;
}

/// During shutdown the service is alive but not ready, and requests in progress are answered.
#[tokio::test]
async fn requests_in_progress_are_answered_during_shutdown() {
    let api = TestApi::new().await;
    let address = listening(&api).await;
    let ready = || api.send(crate::test_api::Call::new("GET", "/health/ready").token(None));
    eventually("ready", Duration::from_secs(10), async || {
        (ready().await.status == 200).then_some(())
    })
    .await;
    let body = r#"{"username": "unknown", "password": "wrong"}"#;
    let head = format!(
        "POST /auth/login HTTP/1.1\r\nhost: attune\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let (begun, rest) = body.split_at(10);
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(begun.as_bytes()).await.expect("sent");
    // Another connection was served after it, so this one has been accepted.
    assert!(talk(address, &get("/health/live")).await.starts_with("HTTP/1.1 200"));

    api.tasks.stop.cancel();
    eventually("it accepts no new connection", Duration::from_secs(10), async || {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
    let draining = ready().await.expect(503);
    assert!(
        draining.body["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("shutting down")),
        "{}",
        draining.body
    );
    api.send(crate::test_api::Call::new("GET", "/health/live").token(None))
        .await
        .expect(200);
    stream.write_all(rest.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    read.expect("answered in time").expect("readable");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.starts_with("HTTP/1.1 401") && answer.contains("urn:attune:problem"),
        "{answer}"
    );
    api.close().await;
}

/// Without the database, errors are immediate and reveal no internals.
#[tokio::test]
async fn without_the_database() {
    let api = TestApi::new().await;
    api.database.pool.close().await;
    for path in ["/api/v1/rules", "/auth/me"] {
        let answer = api.get(path).await.expect(503);
        assert_eq!(
            (answer.kind(), answer.header("retry-after")),
            ("unavailable", "2"),
            "{path}"
        );
    }
    let login = crate::test_api::Call::new("POST", "/auth/login")
        .token(None)
        .json(serde_json::json!({"login": "admin", "password": "x"}));
    api.send(login).await.expect(503);
    api.close().await;
}

/// While executors are far behind, low priorities are refused first, and essential requests never.
#[tokio::test]
async fn low_priorities_are_shed_first() {
    let mut api = TestApi::new().await;
    // Quarantined and suspect events are not a sign of overload.
    api.database
        .execute(
            "insert into event_queue (event_id, run_at, tries, quarantined_at)
             values ('00000000-0000-7000-8000-00000000000a', db_now() - interval '1 hour', 7, db_now()),
                    ('00000000-0000-7000-8000-00000000000b', db_now() - interval '1 hour', 2, null)",
        )
        .await;
    // Health is reported even while expired rows cannot be removed.
    api.database
        .execute(
            "create function hang() returns trigger language plpgsql as $$ begin perform pg_sleep(14); return null; end $$;
             create trigger hang before delete on sign_in_attempt for each statement execute function hang();
             create trigger hang before delete on idempotency for each statement execute function hang()",
        )
        .await;
    let address = listening(&api).await;
    let token = api.token(Role::Operator).to_owned();
    let send = async |request: &str| {
        let (first, body) = request.split_once('|').unwrap_or((request, ""));
        let request = format!(
            "{first} HTTP/1.1\r\nhost: attune\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        talk(address, &request).await
    };
    let history = "GET /api/v1/events";
    let manual = r#"POST /api/v1/executions|{"action_ref": "core.none"}"#;
    let webhook = "POST /api/v1/webhooks/none|{}";
    let always = "GET /api/v1/rules";
    // Without a backlog, requests fail only because their object does not exist, or not at all.
    let answers = |refused: usize| {
        [(history, 200), (manual, 422), (webhook, 404), (always, 200)]
            .into_iter()
            .enumerate()
            .map(move |(at, (request, status))| (request, if at < refused { 503 } else { status }))
    };
    for (seconds, refused) in [(0, 0), (11, 1), (61, 2), (601, 3), (5, 0)] {
        api.database
            .execute(&format!(
                "insert into event_queue (event_id, run_at) values ('00000000-0000-7000-8000-000000000001', db_now() - interval '{seconds} seconds')
                 on conflict (event_id) do update set run_at = excluded.run_at"
            ))
            .await;
        for (request, status) in answers(refused) {
            let what = format!("{request} after {seconds} s is answered with {status}");
            let answered = async || {
                let answer = send(request).await;
                let received = answer.starts_with(&format!("HTTP/1.1 {status}"));
                (received && (status != 503 || answer.contains("retry-after: 10"))).then_some(())
            };
            eventually(&what, Duration::from_secs(10), answered).await;
        }
        let reported = async || {
            let health = talk(address, &get("/health")).await;
            let refusals = ["looking", "by_hand", "webhooks"].map(|what| health.contains(&format!("\"{what}\"")));
            (refusals == [refused > 0, refused > 1, refused > 2]).then_some(())
        };
        eventually("health reports what is refused", Duration::from_secs(10), reported).await;
    }
    api.router = axum::Router::new();
    api.tasks.finish().await;
    api.close().await;
}
