//! A webhook that waits for its result, observed on the live stream and explained afterwards by `attune why`.

use super::support::{
    Process,
    embedded::Embedded,
    surroundings::{environment, program},
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use uuid::Uuid;

/// GitHub's published example.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &str = "Hello, World!";
const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

#[tokio::test]
async fn a_webhook_runs_an_action_and_why_explains_it() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let attune = Embedded::up(folder.path(), "webhooks.log").await;
    let url = define(&attune).await;
    let path = "/api/v1/stream?rule_ref=core.hello_github&kind=execution";
    let mut stream = attune.api.request(Method::GET, path).send().await.expect("a stream");
    assert_eq!(stream.status(), 200);

    let refused = call(&url, "d0", &SIGNATURE.replace('7', "8")).await;
    assert_eq!(refused.0, 401);
    let (status, answer) = call(&url, "d1", SIGNATURE).await;
    assert_eq!(status, 200, "{answer}");
    let ran = &answer["data"]["executions"];
    assert_eq!(answer["data"]["complete"], true, "{answer}");
    assert_eq!(ran.as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(
        (&ran[0]["rule_ref"], &ran[0]["status"], &ran[0]["result"]["stdout"]),
        (
            &json!("core.hello_github"),
            &json!("succeeded"),
            &json!("Hello, World!\n")
        )
    );
    // A repeat finds the same event and does not wait.
    assert_eq!(call(&url, "d1", SIGNATURE).await.1, answer);
    wait_for_message(&mut stream, "event: execution.succeeded").await;
    drop(stream);

    let logs = format!(
        "/api/v1/executions/{}/logs?follow=true",
        ran[0]["execution_id"].as_str().expect("an id")
    );
    assert_eq!(attune.api.get(&logs).await["logs"][0]["text"], "Hello, World!\n");
    why(
        &attune,
        folder.path(),
        answer["data"]["event_id"].as_str().expect("an id"),
    )
    .await;
    attune.interrupt(Duration::from_secs(12)).await;
}

/// A trigger, a rule that matches and one that does not. Returns the address.
async fn define(attune: &Embedded) -> String {
    let config = json!({"verify": "github", "secret": SECRET, "wait_seconds": 20});
    let hook = json!({"ref": "core.github", "kind": "webhook", "config": config});
    let made = attune.api.post("/api/v1/triggers", hook).await;
    for (name, condition) in [
        ("hello_github", Value::Null),
        ("goodbye", json!("event.payload.body == 'Goodbye'")),
    ] {
        let rule = json!({"ref": format!("core.{name}"), "trigger_ref": "core.github", "action_ref": "core.echo", "condition": condition,
                          "action_params": {"message": "{{ event.payload.body }}"}});
        attune.api.post("/api/v1/rules", rule).await;
    }
    let url = made["webhook_url"].as_str().expect("an address");
    let (_, path) = url.split_once("/api/").expect("an address of the API");
    format!("{}/api/{path}", attune.api.url)
}

/// A delivery in the form that GitHub sends.
async fn call(url: &str, delivery: &str, signature: &str) -> (u16, Value) {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client can be made");
    let answer = http
        .post(url)
        .header("content-type", "text/plain")
        .header("x-github-delivery", delivery)
        .header("x-hub-signature-256", signature)
        .body(BODY)
        .send()
        .await
        .expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("JSON"))
}

async fn wait_for_message(stream: &mut Response, what: &str) {
    let mut text = String::new();
    let poll = async {
        while !text.contains(what) {
            let more = stream
                .chunk()
                .await
                .expect("the stream can be read")
                .expect("the stream is open");
            text.push_str(&String::from_utf8_lossy(&more));
        }
    };
    tokio::time::timeout(Duration::from_secs(20), poll)
        .await
        .expect("the message arrives in time");
}

/// Errors of `attune why` suggest what to try next.
#[tokio::test]
async fn errors_of_why_suggest_the_next_step() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let check = async |name: &str, arguments: &[&str], code: i32, words: &[&str]| {
        let program = program("attune");
        let command = [&[program.as_str(), "why"], arguments].concat();
        let mut process = Process::start("attune why", &command, &environment(), &folder.path().join(name));
        let printed = (process.ended(Duration::from_secs(20)).await, process.printed());
        assert_eq!(printed.0, code, "{}", printed.1);
        for word in words {
            assert!(printed.1.contains(word), "{word:?} in {}", printed.1);
        }
    };
    let id = "019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e";
    check("1", &["nope"], 2, &["must be an id such as", "attune event list"]).await;
    check("2", &[id], 3, &["ATTUNE_API_TOKEN", "attune login"]).await;
    let nowhere = ["--token", "atn_x", "--url", "http://127.0.0.1:1", id];
    check(
        "3",
        &nowhere,
        7,
        &["http://127.0.0.1:1: ", "Connection refused", "--url"],
    )
    .await;
    check("4", &["--help"], 0, &["Exit codes:"]).await;
}

async fn why(attune: &Embedded, folder: &Path, event: &str) {
    let token = attune
        .api
        .post("/api/v1/tokens", json!({"label": "why", "role": "viewer"}))
        .await;
    let mut environment = environment();
    environment.push(("ATTUNE_API_URL", attune.api.url.clone()));
    environment.push(("ATTUNE_API_TOKEN", token["token"].as_str().expect("a token").to_owned()));
    let log = folder.join("why.log");
    let mut process = Process::start("attune why", &[&program("attune"), "why", event], &environment, &log);
    assert_eq!(process.ended(Duration::from_secs(20)).await, 0, "{}", process.printed());
    let printed = process.printed();
    let log = folder.join("why_not.log");
    let unknown = Uuid::now_v7().to_string();
    let mut process = Process::start("attune why", &[&program("attune"), "why", &unknown], &environment, &log);
    assert_eq!(process.ended(Duration::from_secs(20)).await, 4);
    assert!(
        process.printed().contains("attune retention list"),
        "{}",
        process.printed()
    );
    for part in [
        &format!("event {event}  core.github (webhook)"),
        "core.hello_github  matched",
        "core.echo  succeeded  attempt 1",
        "core.goodbye  does not match: event.payload.body == 'Goodbye' is false",
    ] {
        assert!(printed.contains(part), "{part:?} in:\n{printed}");
    }
}
