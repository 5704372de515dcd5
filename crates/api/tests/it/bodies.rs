//! Bodies of ordinary requests: numbers, charsets, content encodings, and the text of a query.

use crate::test_api::{Answer, Call, TestApi};
use flate2::{Compression, read::GzEncoder};
use serde_json::{Value, json};
use std::io::Read as _;

async fn post(api: &TestApi, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let call = Call::new("POST", "/api/v1/events").raw(body);
    api.send(
        headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value)),
    )
    .await
}

async fn with_bell() -> TestApi {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.bell", "kind": "custom"}))
        .await
        .expect(201);
    api
}

#[tokio::test]
async fn numbers_are_exact_in_every_input() {
    let api = with_bell().await;
    let json_type = [("content-type", "application/json")];
    let event = |number: &str| format!(r#"{{"trigger_ref": "core.bell", "payload": {{"n": [{number}]}}}}"#);
    for (number, held) in [
        ("9007199254740993", json!(9_007_199_254_740_993_i64)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("0.1", json!(0.1)),
        ("0.30000000000000004", json!(0.300_000_000_000_000_04)),
        ("2.2250738585072014e-308", json!(2.225_073_858_507_201_4e-308)),
        ("123456.789e-3", json!(123.456_789)),
        ("-0", json!(0)),
    ] {
        let made = post(&api, &json_type, event(number).as_bytes()).await.expect(201);
        let id = made.body["data"]["id"].as_str().expect("an id").to_owned();
        assert_eq!(made.body["data"]["payload"]["n"], json!([held]), "{number}");
        let read = api.get(&format!("/api/v1/events/{id}")).await.expect(200);
        assert_eq!(read.body["data"]["payload"]["n"], json!([held]), "{number}");
    }
    for number in [
        "18446744073709551616",
        "1e400",
        "1e-400",
        "0.1234567890123456789",
        "9007199254740993.0",
    ] {
        let refused = post(&api, &json_type, event(number).as_bytes()).await.expect(422);
        assert_eq!(refused.fields(), ["payload.n[0]"], "{number}");
        let bodies = [
            (
                "/api/v1/rules",
                format!(
                    r#"{{"ref": "core.r", "trigger_ref": "core.bell", "action_ref": "core.echo", "action_params": {{"n": {number}}}}}"#
                ),
                "action_params.n",
            ),
            (
                "/api/v1/executions",
                format!(r#"{{"action_ref": "core.echo", "parameters": {{"n": {number}}}}}"#),
                "parameters.n",
            ),
            (
                "/api/v1/triggers/core.bell/fire",
                format!(r#"{{"payload": {{"n": {number}}}}}"#),
                "payload.n",
            ),
            (
                "/api/v1/actions",
                format!(
                    r#"{{"ref": "core.a", "runtime_ref": "core.shell", "entry_point": "x", "parameters_schema": {{"properties": {{"n": {{"maximum": {number}}}}}}}}}"#
                ),
                "parameters_schema.properties.n.maximum",
            ),
        ];
        for (path, body, field) in bodies {
            let call = Call::new("POST", path)
                .header("content-type", "application/json")
                .raw(body);
            assert_eq!(api.send(call).await.expect(422).fields(), [field], "{path} {number}");
        }
    }
    api.close().await;
}

#[tokio::test]
async fn charsets_and_content_encodings() {
    let api = with_bell().await;
    let text = r#"{"trigger_ref": "core.bell", "payload": {"name": "café"}}"#;
    let latin: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).expect("latin"))
        .collect();
    let utf_16: Vec<u8> = format!("\u{feff}{text}")
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let mut gzip = Vec::new();
    GzEncoder::new(text.as_bytes(), Compression::fast())
        .read_to_end(&mut gzip)
        .expect("encoded");
    for (content_type, coding, body) in [
        ("application/json", "", format!("\u{feff}{text}").into_bytes()),
        ("application/json; charset=UTF-8", "", text.into()),
        ("text/json", "", text.into()),
        ("application/vnd.acme+json", "identity", text.into()),
        ("application/json; charset=iso-8859-1", "", latin),
        ("application/json; charset=utf-16", "", utf_16),
        ("application/json", "gzip", gzip),
    ] {
        let made = post(
            &api,
            &[("content-type", content_type), ("content-encoding", coding)],
            &body,
        )
        .await;
        assert_eq!(made.status, 201, "{content_type} {coding}: {}", made.body);
        assert_eq!(
            made.body["data"]["payload"],
            json!({"name": "café"}),
            "{content_type} {coding}"
        );
    }
    let mut bomb = Vec::new();
    GzEncoder::new(&vec![b' '; 20_000_000][..], Compression::best())
        .read_to_end(&mut bomb)
        .expect("encoded");
    for (content_type, coding, body, status) in [
        ("application/json; charset=shift_jis", "", text.as_bytes(), 415),
        ("application/json; charset=utf-16", "", text.as_bytes(), 415),
        ("application/json", "", b"{\"a\": \"\xe9\"}".as_slice(), 400),
        ("application/json", "gzip", text.as_bytes(), 400),
        ("application/json", "compress", text.as_bytes(), 415),
        ("application/json", "gzip", &bomb, 413),
        ("application/x-www-form-urlencoded", "", b"a=1", 415),
        ("text/plain", "", text.as_bytes(), 415),
    ] {
        let refused = post(
            &api,
            &[("content-type", content_type), ("content-encoding", coding)],
            body,
        )
        .await;
        assert_eq!(refused.status, status, "{content_type} {coding}: {}", refused.body);
    }
    let twice = [("content-type", "application/json"), ("content-type", "text/plain")];
    post(&api, &twice, text.as_bytes()).await.expect(415);
    api.close().await;
}

#[tokio::test]
async fn a_query_is_never_read_with_replacements() {
    let api = TestApi::new().await;
    for (query, fields) in [
        ("trigger_ref=%FF", vec!["trigger_ref"]),
        ("trigger_ref=core.%C3", vec!["trigger_ref"]),
        ("limit=1&%FF=1", vec!["%FF"]),
        ("trigger_ref=%00", vec!["trigger_ref"]),
        ("limit=1&limit=2", vec!["limit"]),
    ] {
        let refused = api.get(&format!("/api/v1/events?{query}")).await.expect(422);
        assert_eq!(refused.fields(), fields, "{query}");
    }
    let many = vec!["a=1"; 1001].join("&");
    let refused: Value = api.get(&format!("/api/v1/events?{many}")).await.expect(422).body;
    assert!(refused.to_string().contains("1001 fields"), "{refused}");
    api.close().await;
}
