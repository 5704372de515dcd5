//! Requests to real servers on the loopback device.

use super::*;
use crate::{
    native::Call,
    redact::Redactor,
    runner::{Outcome, Stop},
};
use axum::{
    Router,
    body::Body,
    extract::Request as Received,
    http::header,
    response::{IntoResponse, Redirect},
    routing::{any, get},
};
use serde_json::json;
use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// The address of a server. It ends with the test's runtime.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn reaching(networks: &str) -> Http {
    Http::new(&WorkerHttp {
        allow_private: networks.parse().unwrap(),
    })
}

fn here() -> Http {
    reaching("127.0.0.0/8")
}

#[track_caller]
fn failed(run: &RunResult) -> &str {
    assert_eq!(run.outcome, Outcome::Failed);
    run.error.as_deref().unwrap()
}

#[track_caller]
fn result(run: RunResult) -> Value {
    assert_eq!((run.outcome, &run.error), (Outcome::Succeeded, &None));
    run.result.unwrap()
}

/// Answers with the request.
async fn echo(request: Received) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let headers: Vec<_> = head.headers.iter().collect();
    let text = format!(
        "{} {} {headers:?}\n{}",
        head.method,
        head.uri,
        String::from_utf8_lossy(&body)
    );
    ([(header::SET_COOKIE, "a=1")], [("x-two", "1")], text)
}

#[tokio::test]
async fn a_request_arrives_as_described_and_its_response_is_the_result() {
    let types = get(|| async { ([(header::CONTENT_TYPE, "application/problem+json")], "{\"n\": [1]}") });
    let binary = get(|| async { vec![0xff_u8, 0] });
    let url = serve(
        Router::new()
            .route("/echo", any(echo))
            .route("/json", types)
            .route("/binary", binary),
    )
    .await;
    let http = here();
    let run = http
        .run(
            &json!({"method": "PUT", "url": format!("{url}/echo?a=1"), "query": {"b": "ü"}, "json": {"k": [1]},
            "headers": {"X-Id": "7"}, "auth": {"bearer": "t0k"}}),
        )
        .await;
    let found = result(run);
    assert_eq!(
        (&found["status_code"], &found["headers"]["set-cookie"]),
        (&json!(200), &json!("a=1"))
    );
    assert!(found["elapsed_ms"].is_u64());
    let body = found["body"].as_str().unwrap();
    for expected in [
        "PUT /echo?a=1&b=%C3%BC",
        "\"x-id\", \"7\"",
        "Bearer t0k",
        "application/json",
        "\n{\"k\":[1]}",
    ] {
        assert!(body.contains(expected), "{expected}: {body}");
    }
    let found = result(http.run(&json!({"url": format!("{url}/json")})).await);
    assert_eq!((&found["json"], found.get("body")), (&json!({"n": [1]}), None));
    let found = result(http.run(&json!({"url": format!("{url}/binary")})).await);
    assert_eq!(found["body_base64"], "/wA=");
    let head = result(http.run(&json!({"url": format!("{url}/json"), "method": "HEAD"})).await);
    assert_eq!(head["body"], "");
}

#[tokio::test]
async fn an_unexpected_status_fails_and_keeps_the_response() {
    let url = serve(Router::new()).await;
    let http = here();
    let run = http.run(&json!({"url": format!("{url}/gone?token=hunter2")})).await;
    assert_eq!(failed(&run), format!("status 404 from {url}/gone; expected 2xx"));
    assert_eq!(run.result.unwrap()["status_code"], 404);
    let run = http.run(&json!({"url": url, "expect_status": [204, "4xx"]})).await;
    assert_eq!(result(run)["status_code"], 404);
}

#[tokio::test]
async fn the_policy_holds_for_addresses_names_and_redirects() {
    let to = |target: String| get(move || async move { Redirect::temporary(&target) });
    let hits = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&hits);
    let inside = serve(Router::new().route(
        "/",
        get(move || async move {
            counted.fetch_add(1, Ordering::Relaxed);
            "inside"
        }),
    ))
    .await;
    let port = inside.rsplit_once(':').unwrap().1.to_owned();
    let nothing = reaching("");
    for (url, expected) in [
        (
            inside.clone(),
            "is not allowed: 127.0.0.1 is a loopback address; to allow it, add its network",
        ),
        (
            format!("http://localhost:{port}"),
            "localhost resolves to an address that is not allowed: ",
        ),
        (
            "http://169.254.169.254/latest?x=hunter2".to_owned(),
            "169.254.169.254 is a link-local address, which is always blocked",
        ),
    ] {
        let run = nothing.run(&json!({"url": url})).await;
        let error = failed(&run);
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
    }
    // The first server may be reached, where it redirects to may not.
    let outside = serve(
        Router::new()
            .route("/address", to("http://169.254.169.254/".to_owned()))
            .route("/address6", to("http://[::ffff:169.254.169.254]/".to_owned()))
            .route("/other", to(format!("http://127.0.0.2:{port}/")))
            .route("/file", to("file:///etc/passwd".to_owned())),
    )
    .await;
    let one = reaching("127.0.0.1");
    for (path, expected) in [
        ("address", "always blocked"),
        ("address6", "always blocked"),
        ("other", "127.0.0.2 is a loopback address"),
        ("file", "redirects to something that is not an HTTP URL"),
    ] {
        let run = one.run(&json!({"url": format!("{outside}/{path}")})).await;
        assert!(failed(&run).contains(expected), "{path}: {:?}", run.error);
    }
    assert_eq!(hits.load(Ordering::Relaxed), 0, "nothing blocked was reached");
    result(one.run(&json!({"url": inside})).await);
    assert_eq!(hits.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn redirects_are_followed_without_credentials_for_another_server() {
    let other = serve(Router::new().route("/echo", any(echo))).await;
    let target = format!("{other}/echo");
    let first = serve(
        Router::new()
            .route("/away", any(move || async move { Redirect::temporary(&target) }))
            .route("/see", any(|| async { Redirect::to("/echo") }))
            .route("/loop", any(|| async { Redirect::temporary("/loop") }))
            .route("/echo", any(echo)),
    )
    .await;
    let http = here();
    let request = |path: &str| {
        json!({"url": format!("{first}/{path}"), "method": "POST", "json": {"n": 1},
            "auth": {"bearer": "t0k"}, "headers": {"X-Key": "k3y"}})
    };
    let away = result(http.run(&request("away")).await);
    let away = away["body"].as_str().unwrap();
    assert!(away.starts_with("POST ") && away.ends_with("{\"n\":1}"), "{away}");
    assert!(!away.contains("t0k") && !away.contains("k3y"), "{away}");
    let see = result(http.run(&request("see")).await);
    let see = see["body"].as_str().unwrap();
    assert!(
        see.starts_with("GET ") && see.contains("t0k") && see.ends_with('\n'),
        "{see}"
    );
    let run = http.run(&request("loop")).await;
    assert_eq!(failed(&run), format!("more than 5 redirects from {first}/loop"));
    let run = http
        .run(&json!({"url": format!("{first}/loop"), "redirects": 0, "expect_status": [307]}))
        .await;
    assert_eq!(result(run)["headers"]["location"], "/loop");
}

#[tokio::test]
async fn a_busy_server_gets_the_request_again_after_its_pause() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let busy = get(move || async move {
        match counted.fetch_add(1, Ordering::Relaxed) {
            0 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "0")]).into_response(),
            1 => {
                let at = "Wed, 21 Oct 2026 07:28:00 GMT";
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    [(header::RETRY_AFTER, at), (header::DATE, at)],
                )
                    .into_response()
            }
            _ => "done".into_response(),
        }
    });
    let patient = get(|| async { (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "3600")]) });
    let url = serve(Router::new().route("/", busy).route("/patient", patient)).await;
    let http = here();
    let run = http.run(&json!({"url": url, "retries": 2})).await;
    assert_eq!(result(run)["body"], "done");
    assert_eq!(tries.load(Ordering::Relaxed), 3);
    // A pause that does not fit into the time-out is not begun.
    let run = http.run(&json!({"url": format!("{url}/patient"), "retries": 2})).await;
    assert!(failed(&run).starts_with("status 503"), "{:?}", run.error);
}

/// A body that has begun and does not end.
async fn endless() -> impl IntoResponse {
    let never = futures_util::stream::pending::<Result<&str, io::Error>>();
    let first = futures_util::stream::iter([Ok("begun")]);
    Body::from_stream(futures_util::StreamExt::chain(first, never))
}

#[tokio::test]
async fn large_and_slow_bodies_end_the_run() {
    let large = |bytes: usize| get(move || async move { vec![b'x'; bytes] });
    let chunked = get(|| async {
        let chunks = (0..100).map(|_| Ok::<_, io::Error>(vec![b'x'; 100 << 10]));
        Body::from_stream(futures_util::stream::iter(chunks))
    });
    let url = serve(
        Router::new()
            .route("/fits", large(8 << 20))
            .route("/large", large((8 << 20) + 1))
            .route("/chunked", chunked)
            .route("/endless", get(endless)),
    )
    .await;
    let http = here();
    let fits = result(http.run(&json!({"url": format!("{url}/fits")})).await);
    assert_eq!(fits["body"].as_str().unwrap().len(), 8 << 20);
    for path in ["large", "chunked"] {
        let run = http.run(&json!({"url": format!("{url}/{path}")})).await;
        assert_eq!(
            failed(&run),
            format!("the response from {url}/{path} is larger than 8 MiB")
        );
    }
    let slow = json!({"url": format!("{url}/endless?k=hunter2"), "timeout_seconds": 0.2});
    let run = http.run(&slow).await;
    assert_eq!(
        failed(&run),
        format!("no complete response from {url}/endless within 0.2 s")
    );
}

#[tokio::test]
async fn a_run_ends_with_its_time_and_when_it_is_stopped() {
    let url = serve(Router::new().route("/", get(endless))).await;
    let call = |timeout| Call {
        name: "http".to_owned(),
        parameters: json!({"url": url}),
        redactor: None,
        timeout,
    };
    let (http, stop) = (here(), Stop::default());
    let run = call(Duration::from_millis(200)).run(&http, &stop).await;
    assert_eq!(
        (run.outcome, run.error.as_deref()),
        (Outcome::TimedOut, Some("timed out after 0.2 s"))
    );
    let stopped = call(Duration::from_secs(60));
    let (run, ()) = tokio::join!(stopped.run(&http, &stop), async {
        tokio::task::yield_now().await;
        stop.terminate();
    });
    assert_eq!(
        (run.outcome, run.error.as_deref()),
        (Outcome::Canceled, Some("canceled"))
    );
}

#[tokio::test]
async fn what_the_server_sends_back_is_redacted() {
    let url = serve(Router::new().route("/", any(echo))).await;
    let secret = json!("s3cret-t0ken");
    let redactor = Redactor::new([("a.token", &secret)].into_iter()).unwrap().map(Arc::new);
    for expected in [200, 204] {
        let call = Call {
            name: "http".to_owned(),
            parameters: json!({"url": url, "auth": {"bearer": secret}, "expect_status": [expected]}),
            redactor: redactor.clone(),
            timeout: Duration::from_secs(60),
        };
        let run = call.run(&here(), &Stop::default()).await;
        let text = format!("{:?} {:?}", run.result, run.error);
        assert!(
            text.contains("Bearer [secret a.token]") && !text.contains("s3cret"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_query() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/path", listener.local_addr().unwrap());
    drop(listener);
    let run = here().run(&json!({"url": format!("{url}?k=hunter2")})).await;
    let error = failed(&run);
    assert!(
        error.starts_with(&format!("failed to send the request to {url}: ")) && !error.contains("hunter2"),
        "{error}"
    );
    assert!(error.to_lowercase().contains("refused"), "{error}");
}
