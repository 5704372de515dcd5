//! Two API processes on one database: a request that waits for an execution is answered by either, with and without a broker.

use super::support::{
    Api,
    services::{Own, PASSWORD, Services},
    surroundings::free_port,
};
use attune_common::testing::{Database, rabbitmq};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// One execution through an API, waited for. Returns its status, and how long that took.
async fn run(api: &Api, path: &str, body: Value) -> (Value, Duration) {
    let began = Instant::now();
    let request = api.request(Method::POST, path).json(&body);
    let (status, answer) = Api::send(request).await.expect("an answer");
    assert_eq!(status, StatusCode::CREATED, "{answer}");
    (answer["data"].clone(), began.elapsed())
}

#[tokio::test]
async fn each_api_waits_for_executions_with_and_without_a_broker() {
    for has_broker in [true, false] {
        let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
        // Nothing listens there.
        let url = if has_broker {
            broker.url.clone()
        } else {
            rabbitmq::url(1)
        };
        let port = free_port();
        let listen = vec![("ATTUNE__API__LISTEN", format!("127.0.0.1:{port}"))];
        let own = Own::from([("api-2".to_owned(), listen)]);
        let mut services = Services::over(Database::empty().await, &url, own).await;
        services.begin("api-2");
        let second = Api::sign_in(&format!("http://127.0.0.1:{port}"), PASSWORD).await;
        let first = services.api.clone();
        let echo = json!({"action_ref": "core.echo", "parameters": {"message": "hi"}});
        for _ in 0..3 {
            let wait = "/api/v1/executions?wait=10";
            let ((a, a_took), (b, b_took)) =
                tokio::join!(run(&first, wait, echo.clone()), run(&second, wait, echo.clone()));
            for (execution, took) in [(&a, a_took), (&b, b_took)] {
                assert_eq!(execution["status"], "succeeded", "broker: {has_broker}: {execution}");
                assert!(took < Duration::from_secs(9), "broker: {has_broker}: {took:?}");
            }
            // What one API made, the other runs again and waits for.
            let id = a["id"].as_str().expect("an id");
            let (again, _) = run(&second, &format!("/api/v1/executions/{id}/rerun?wait=10"), json!({})).await;
            assert_eq!(again["status"], "succeeded", "broker: {has_broker}: {again}");
        }
        services.stop().await;
    }
}
