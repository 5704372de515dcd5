//! How bodies are read, and what the payload shows of a request.

use super::{super::*, config, headers};
use crate::text::Charset;
use serde_json::{Value, json};

#[test]
fn the_payload() {
    let config = config(&json!({"verify": "none", "headers": ["X-Tenant", "X-Tag"]}));
    let pairs = [
        ("content-type", "application/json"),
        ("x-tenant", "acme"),
        ("x-tag", "a"),
        ("x-tag", "b"),
        ("authorization", "Bearer x"),
        ("x-other", "1"),
    ];
    let query = query("a=1&b=%C3%A4+b&a=2&c").expect("a good query");
    let found = payload(&config, "POST", &headers(&pairs), query, json!({"n": 1}));
    assert_eq!(
        found,
        json!({
            "method": "POST",
            "headers": {"content-type": "application/json", "x-tenant": "acme", "x-tag": ["a", "b"]},
            "query": {"a": ["1", "2"], "b": "ä b", "c": ""},
            "body": {"n": 1},
        })
    );
    let latin = Headers::new([("x-tenant", b"caf\xe9".as_slice()), ("x-tag", "café".as_bytes())]);
    let found = payload(&config, "POST", &latin, json!({}), Value::Null);
    assert_eq!(found["headers"], json!({"x-tenant": "café", "x-tag": "café"}));
}

#[test]
fn a_query_is_read_or_refused() {
    let refused = super::query("ok=1&name=%FF").expect_err("it is refused").into_vec();
    assert_eq!(refused[0].path, "query.name");
    let many = vec!["a=1"; 1001].join("&");
    assert_eq!(super::query(&many).expect_err("too many").into_vec()[0].path, "query");
}

#[test]
fn content_types() {
    for (content_type, form) in [
        ("application/json; charset=utf-8", BodyForm::Json),
        ("APPLICATION/JSON", BodyForm::Json),
        ("text/json", BodyForm::Json),
        ("application/vnd.api+JSON", BodyForm::Json),
        ("application/cloudevents+json; charset=UTF-8", BodyForm::Json),
        ("application/x-www-form-urlencoded", BodyForm::Form),
        ("application/x-www-form-urlencoded;charset=iso-8859-1", BodyForm::Form),
        ("text/plain", BodyForm::Text),
        ("text/csv", BodyForm::Text),
        ("application/xml", BodyForm::Text),
        ("application/atom+xml", BodyForm::Text),
        ("application/yaml", BodyForm::Text),
        ("application/x-yaml", BodyForm::Text),
        ("application/openapi+yaml", BodyForm::Text),
        ("application/x-ndjson", BodyForm::Text),
        ("", BodyForm::Unsaid),
        ("application/octet-stream", BodyForm::Foreign),
        ("image/png", BodyForm::Foreign),
        ("multipart/form-data; boundary=x", BodyForm::Multipart),
        ("multipart/mixed; boundary=x", BodyForm::Foreign),
    ] {
        assert_eq!(BodyForm::of(Some(content_type)), form, "{content_type}");
    }
    for (content_type, expected) in [
        ("text/plain", Ok(Charset::Utf8)),
        ("text/plain; charset=utf-8", Ok(Charset::Utf8)),
        ("text/plain;charset=\"ISO-8859-1\"", Ok(Charset::Windows1252)),
        (
            "text/plain; format=flowed; CHARSET = windows-1252 ",
            Ok(Charset::Windows1252),
        ),
        ("text/plain; charset=utf-8; charset=UTF-8", Ok(Charset::Utf8)),
        (
            "text/plain; charset=utf-8; charset=latin1",
            Err("utf-8 and also latin1"),
        ),
        ("text/plain; charset=EBCDIC-US", Err("EBCDIC-US")),
        ("text/plain; charset=utf-32", Err("utf-32")),
    ] {
        let found = charset(Some(content_type)).map_err(|error| error.to_string());
        match expected {
            Ok(expected) => assert_eq!(found, Ok(expected), "{content_type}"),
            Err(name) => assert!(found.expect_err(content_type).contains(name), "{content_type}"),
        }
    }
}

#[test]
fn a_handshake_in_the_query() {
    let challenge = |value: Value| {
        config(&json!({"verify": "none", "challenge": value}))
            .challenge
            .expect("given")
    };
    let graph = challenge(json!({"query": "validationToken"}));
    let meta = challenge(json!({"query": "hub.challenge", "when": {"hub.mode": "subscribe", "hub.verify_token": "t"}}));
    let answer = |text: &str| Some(Handshake::Answer(text.to_owned()));
    let wrong = |name: &str| Some(Handshake::Wrong(name.to_owned()));
    for (challenge, query, expected) in [
        (
            &graph,
            json!({"validationToken": "Validation: <x> &"}),
            answer("Validation: <x> &"),
        ),
        (&graph, json!({"validationToken": ""}), None),
        (&graph, json!({"validationToken": ["a", "b"]}), None),
        (&graph, json!({"a": "b"}), None),
        (
            &meta,
            json!({"hub.challenge": "7", "hub.mode": "subscribe", "hub.verify_token": "t"}),
            answer("7"),
        ),
        (
            &meta,
            json!({"hub.challenge": "7", "hub.mode": "subscribe", "hub.verify_token": "u"}),
            wrong("hub.verify_token"),
        ),
        (
            &meta,
            json!({"hub.challenge": "7", "hub.verify_token": "t"}),
            wrong("hub.mode"),
        ),
        (&meta, json!({"hub.mode": "subscribe"}), None),
    ] {
        assert_eq!(challenge.handshake(&query), expected, "{query}");
    }
}
