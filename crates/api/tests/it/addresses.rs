//! Forms of paths, and compression of answers.

use crate::test_api::{Call, TestApi};
use serde_json::{Value, json};
use std::io::Read as _;

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let api = TestApi::new().await;
    for path in [
        "/api/v1/rules/",
        "/api/v1/rules/?limit=1",
        "/api/v1/actions/core.echo/",
        "/auth/me/",
        "/health/",
        "/health/live/",
        "/",
        "/api/v1/rules//",
    ] {
        api.get(path).await.expect(200);
    }
    let made = api
        .post("/api/v1/executions/", json!({"action_ref": "core.echo"}))
        .await
        .expect(201);
    assert!(made.header("location").starts_with("/api/v1/executions/"));
    // The same operation: a key that was used without the slash is the same key.
    let call = |path: &str| {
        Call::new("POST", path)
            .json(json!({"action_ref": "core.echo"}))
            .header("idempotency-key", "k")
    };
    let first = api.send(call("/api/v1/executions")).await.expect(201);
    let again = api.send(call("/api/v1/executions/")).await.expect(200);
    assert_eq!(first.body["data"]["id"], again.body["data"]["id"]);
    api.delete("/api/v1/executions/").await.expect(405);
    api.get("/api/v1/nothing/").await.expect(404);
    api.send(Call::new("GET", "/api/v1/rules/").token(None))
        .await
        .expect(401);
    api.close().await;
}

#[tokio::test]
async fn json_is_compressed_and_secrets_are_not() {
    let api = TestApi::new().await;
    let send = async |call: Call, encodings: &str| api.send(call.header("accept-encoding", encodings)).await;
    let get = |path: &str| Call::new("GET", path);
    for (encodings, expected) in [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "br"),
        ("br;q=0, gzip", "gzip"),
        ("identity", ""),
        ("zstd", ""),
    ] {
        let answer = send(get("/api/v1/triggers"), encodings).await.expect(200);
        assert_eq!(answer.header("content-encoding"), expected, "{encodings}");
        assert!(answer.header("vary").contains("accept-encoding"), "{encodings}");
    }
    let plain = send(get("/api/v1/triggers"), "identity").await;
    let packed = send(get("/api/v1/triggers"), "gzip").await;
    assert!(
        packed.raw.len() * 2 < plain.raw.len(),
        "{} of {}",
        packed.raw.len(),
        plain.raw.len()
    );
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.raw.as_slice())
        .read_to_string(&mut text)
        .expect("gzip");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), plain.body);

    let small = send(get("/"), "gzip").await.expect(200);
    assert_eq!(small.header("content-encoding"), "");
    let long = "x".repeat(3000);
    let hook = json!({"ref": "core.hook", "kind": "webhook", "description": long, "config": {"verify": "none"}});
    let made = send(Call::new("POST", "/api/v1/triggers").json(hook), "gzip")
        .await
        .expect(201);
    assert!(made.raw.len() > 3000);
    assert_eq!(made.header("content-encoding"), "", "it holds the address's key");
    let changed = send(
        Call::new("PATCH", "/api/v1/triggers/core.hook").json(json!({"label": "Hook"})),
        "gzip",
    )
    .await;
    assert_eq!(changed.expect(200).header("content-encoding"), "");
    api.close().await;
}

/// The routes that return a secret are those whose schema contains one.
#[test]
fn routes_with_secrets_in_answers_are_marked() {
    const SECRETS: [&str; 6] = ["access_token", "refresh_token", "token", "secret", "key", "webhook_url"];
    let document = attune_api::openapi_document();
    let mut found = 0;
    for route in attune_api::routes() {
        let method = route.method.as_str().to_lowercase();
        let responses = &document["paths"][route.path][&method]["responses"];
        let answers = responses.as_object().expect("answers");
        let resolve = |reference: &Value| document.pointer(reference["$ref"].as_str()?.trim_start_matches('#'));
        let schemas = answers
            .values()
            .filter_map(|answer| resolve(&answer["content"]["application/json"]["schema"]["properties"]["data"]));
        let variants = |schema: &Value| match schema["oneOf"].as_array() {
            Some(variants) => variants.iter().filter_map(resolve).map(Value::to_string).collect(),
            None => schema.to_string(),
        };
        let text: String = schemas.map(variants).collect();
        let has = SECRETS.iter().any(|name| text.contains(&format!("\"{name}\":")));
        // Reads return no new secret, and enabling or disabling creates none.
        let makes = method != "get" && !route.path.ends_with("able");
        assert_eq!(route.secret, has && makes, "{method} {}: {text}", route.path);
        found += usize::from(route.secret);
    }
    assert!(found >= 7, "{found}");
}
