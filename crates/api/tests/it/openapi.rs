//! The OpenAPI document is complete and committed.

use crate::{
    secrets,
    test_api::{Call, TestApi},
};
use attune_api::examples;
use serde_json::Value;
use std::path::Path;

/// Writes a changed document and fails, so that the change is reviewed and committed.
#[test]
fn the_generated_document_is_the_one_in_the_repository() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated/openapi.json");
    let text = serde_json::to_string_pretty(&attune_api::openapi_document()).expect("JSON") + "\n";
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != text {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(&path, &text).expect("the document can be written");
    }
    assert!(
        kept == text,
        "docs/generated/openapi.json was not up to date; it is now: review and commit the difference"
    );
}

#[test]
fn every_reference_has_a_target() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
                Value::String(target) if name == "$ref" => found.push(target),
                value => walk(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let document = attune_api::openapi_document();
    let mut found = Vec::new();
    walk(&document, &mut found);
    assert!(found.len() > 50);
    for target in found {
        let pointer = target.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    }
}

/// Properties on which user interfaces and client generators rely.
#[test]
fn every_operation_is_described() {
    let document = attune_api::openapi_document();
    let mut count = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        let operations = item.as_object().expect("operations").iter();
        for (method, operation) in operations.filter(|(name, _)| *name != "parameters") {
            let place = format!("{method} {path}");
            for field in ["summary", "description", "operationId"] {
                assert!(
                    operation[field].as_str().is_some_and(|text| text.len() > 4),
                    "{place}: {field}"
                );
            }
            let curl = operation["x-codeSamples"][0]["source"].as_str();
            assert!(curl.is_some_and(|line| line.starts_with("curl ")), "{place}: {curl:?}");
            assert_eq!(
                operation["security"].is_array(),
                operation["x-right"] == "public",
                "{place}"
            );
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let described = parameter["description"].as_str().is_some_and(|text| !text.is_empty());
                assert!(described || parameter["$ref"].is_string(), "{place}: {parameter}");
            }
            let responses = operation["responses"].as_object().expect("responses");
            assert!(!responses.contains_key("default"), "{place}");
            count += 1;
        }
    }
    assert!(count > 80, "{count}");
    assert!(!document.to_string().contains("\"allOf\""));
}

/// Every example of the document works, and every body has one.
#[tokio::test]
async fn its_examples_work() {
    let key = "3b1f0c7d9e2a48566f7a8b9c0d1e2f30415263748596a7b8";
    let mut api = TestApi::new().await;
    api.configured(|config| config.security.encryption_key = Some(key.into()));
    secrets::register_keys(&api).await;
    for example in examples::all() {
        let path = example
            .route
            .replace("{ref}", example.name)
            .replace("{id}", example.name);
        let answer = api.send(Call::new(example.method, &path).json(example.body)).await;
        assert!(
            answer.status.is_success(),
            "{} {path}: {} {}",
            example.method,
            answer.status,
            answer.body
        );
    }
    let shown = |method: &str, path: &str| examples::of(method, path).is_some();
    for route in attune_api::routes() {
        let has_fields = route.body.as_ref().is_some_and(|body| !body.fields().is_empty());
        let method = route.method.as_str();
        assert!(
            !has_fields || shown(method, route.path),
            "{method} {} has no example",
            route.path
        );
    }
    for example in examples::all() {
        let path = example.route.replace('/', "~1");
        let place = format!("/paths/{path}/{}/requestBody", example.method.to_lowercase());
        let document = attune_api::openapi_document();
        assert!(document.pointer(&place).is_some(), "{place} is not in the document");
    }
    api.close().await;
}

#[tokio::test]
async fn the_page_loads_nothing_from_other_hosts() {
    let api = TestApi::new().await;
    let served = api
        .send(Call::new("GET", "/api/v1/openapi.json").token(None))
        .await
        .expect(200);
    assert_eq!(served.body["openapi"], "3.1.0");
    assert_eq!(served.body["paths"]["/api/v1/rules"]["post"]["x-right"], "editor");
    let page = api.send(Call::new("GET", "/api/docs").token(None)).await.expect(200);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let text = include_str!("../../src/routes/docs/page.html");
    assert!(!text.contains("http://") && !text.contains("https://"));
    api.close().await;
}
