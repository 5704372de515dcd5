//! What a trace shows of executions that went wrong.

use crate::test_api::TestApi;
use serde_json::{Value, json};

/// An execution of attempt 2 that ended like this.
async fn ended(api: &TestApi, status: &str, result: Option<Value>) -> String {
    let made = api
        .post("/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    let id = made.body["data"]["id"].as_str().expect("an id").to_owned();
    let result = result.map_or("null".to_owned(), |result| format!("'{result}'"));
    api.database
        .execute(&format!(
            "delete from execution_queue;
             update execution set status = 'running', attempt = 2 where id = '{id}';
             update execution set status = '{status}', finished_at = db_now(), result = {result} where id = '{id}'"
        ))
        .await;
    id
}

async fn logged(api: &TestApi, id: &str, attempt: i32, pieces: &[(&str, &str)]) {
    for ((stream, text), seq) in pieces.iter().zip(1..) {
        let row = format!(
            "insert into execution_log (execution_id, attempt, seq, stream, chunk) values ('{id}', {attempt}, {seq}, '{stream}', '{text}')"
        );
        api.database.execute(&row).await;
    }
}

async fn in_trace(api: &TestApi, id: &str) -> Value {
    let trace = api.get(&format!("/api/v1/traces/{id}")).await.expect(200);
    trace.body["data"]["executions"][0].clone()
}

#[tokio::test]
async fn a_trace_of_a_failure_contains_the_end_of_standard_error() {
    let api = TestApi::new().await;
    let written = |stderr: &str| Some(json!({"stdout": "", "stderr": stderr, "exit_code": 1}));
    let lines: Vec<_> = (1..=40).map(|number| format!("line {number}\n")).collect();
    let lines = lines.concat();
    let last: Vec<String> = (31..=40).map(|number| format!("line {number}")).collect();
    for (status, result, expected) in [
        ("failed", written("boom\n"), json!("boom")),
        ("failed", written(&lines), json!(last.join("\n"))),
        ("failed", written(""), Value::Null),
        ("timed_out", written("slow\n"), json!("slow")),
        ("lost", written("gone\n"), json!("gone")),
        ("lost", None, Value::Null),
        ("succeeded", written("a warning\n"), Value::Null),
    ] {
        let id = ended(&api, status, result).await;
        assert_eq!(in_trace(&api, &id).await["stderr_end"], expected, "{status}");
    }
    api.close().await;
}

#[tokio::test]
async fn a_lost_execution_without_a_result_shows_the_end_of_its_log() {
    let api = TestApi::new().await;
    let id = ended(&api, "lost", None).await;
    logged(&api, &id, 1, &[("stderr", "of the first attempt\n")]).await;
    assert_eq!(in_trace(&api, &id).await["stderr_end"], Value::Null);
    let long = "x".repeat(3000) + "\n";
    let pieces = [
        ("stderr", long.as_str()),
        ("stdout", "noise\n"),
        ("stderr", "the "),
        ("stderr", "end\n"),
    ];
    logged(&api, &id, 2, &pieces).await;
    let end = in_trace(&api, &id).await["stderr_end"]
        .as_str()
        .expect("a text")
        .to_owned();
    assert!(end.ends_with("xx\nthe end") && end.len() == 1024, "{end}");
    api.close().await;
}

#[tokio::test]
async fn a_trace_explains_missing_output() {
    let api = TestApi::new().await;
    let result = json!({"stdout": "", "stderr": "", "exit_code": 0, "output_error": "standard output is empty"});
    let id = ended(&api, "succeeded", Some(result)).await;
    assert_eq!(in_trace(&api, &id).await["output_error"], "standard output is empty");
    api.close().await;
}
