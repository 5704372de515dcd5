//! Bodies of webhooks in every form and encoding: the event is read back as the sender meant it, or the request is refused
//! by name.

use crate::{
    hook::{Hook, inbox},
    test_api::{Answer, Call},
};
use flate2::{
    Compression,
    read::{GzEncoder, ZlibEncoder},
};
use serde_json::{Value, json};
use std::io::Read as _;

const FORM: &str = "application/x-www-form-urlencoded";

fn call(hook: &Hook, headers: &[(&str, &str)], body: &[u8]) -> Call {
    let call = Call::new("POST", &hook.path).token(None).raw(body);
    headers
        .iter()
        .fold(call, |call, (name, value)| call.header(name, value))
}

async fn check(hook: &Hook, content_type: &str, raw: &[u8], body: Value) {
    let headers = [("content-type", content_type)];
    let headers = if content_type.is_empty() { &[][..] } else { &headers };
    let answer = hook.send(call(hook, headers, raw)).await;
    assert_eq!(answer.status, 202, "{content_type} {raw:?}: {}", answer.body);
    let event = hook.event(&answer).await;
    assert_eq!(event["payload"]["body"], body, "{content_type} {raw:?}");
}

async fn refused(hook: &Hook, content_type: &str, raw: &[u8], status: u16, named: &str) -> Answer {
    let answer = hook.send(call(hook, &[("content-type", content_type)], raw)).await;
    assert_eq!(answer.status, status, "{content_type} {raw:?}: {}", answer.body);
    let text = answer.body.to_string();
    assert!(text.contains(named), "{content_type} {raw:?}: {text}");
    answer
}

fn utf_16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[tokio::test]
async fn numbers_are_stored_exactly_or_refused_by_name() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let text = r#"{"a": 9007199254740993, "b": 18446744073709551615, "c": -9223372036854775808, "d": 0.1, "e": 1E5, "f": -0.0, "g": -0, "h": 0.30000000000000004, "i": 1.7976931348623157e308, "j": 5e-324, "k": 9007199254740992.0}"#;
    let held = json!({"a": 9_007_199_254_740_993_i64, "b": u64::MAX, "c": i64::MIN, "d": 0.1, "e": 100_000.0, "f": 0.0,
                      "g": 0, "h": 0.300_000_000_000_000_04, "i": f64::MAX, "j": 5e-324, "k": 9_007_199_254_740_992.0});
    for content_type in ["application/json", "text/json", "application/vnd.acme.v1+json", ""] {
        let headers = [("content-type", content_type)];
        let headers = if content_type.is_empty() { &[][..] } else { &headers };
        let answer = hook.send(call(&hook, headers, text.as_bytes())).await.expect(202);
        let body = hook.event(&answer).await["payload"]["body"].clone();
        for (name, value) in held.as_object().expect("an object") {
            let found = &body[name];
            let same = found == value || found.as_f64().is_some_and(|found| Some(found) == value.as_f64());
            assert!(same, "{content_type} {name}: {found} is not {value}");
        }
    }
    for number in [
        "18446744073709551616",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "1e400",
        "-1e400",
        "1e-400",
        "0.1234567890123456789",
        "9007199254740993.0",
        "1764495254.123456789",
    ] {
        let text = format!(r#"{{"order": {{"ids": [1, {number}]}}}}"#);
        for content_type in ["application/json", "text/json", "application/vnd.acme.v1+json"] {
            let answer = refused(&hook, content_type, text.as_bytes(), 422, number).await;
            assert_eq!(answer.fields(), ["body.order.ids[1]"], "{number}");
        }
        let unsaid = hook.send(call(&hook, &[], text.as_bytes())).await.expect(422);
        assert_eq!(unsaid.fields(), ["body.order.ids[1]"], "it is JSON, and no text");
        // What is text stays text.
        check(&hook, FORM, format!("id={number}").as_bytes(), json!({"id": number})).await;
        check(&hook, "text/plain", number.as_bytes(), json!(number)).await;
        check(
            &hook,
            "application/json",
            format!("[\"{number}\"]").as_bytes(),
            json!([number]),
        )
        .await;
    }
    hook.api.close().await;
}

#[tokio::test]
async fn charsets_and_byte_order_marks() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let (le, be) = (u16::to_le_bytes, u16::to_be_bytes);
    let name = json!({"name": "café"});
    let text = r#"{"name": "café"}"#;
    for (content_type, raw) in [
        ("application/json", format!("\u{feff}{text}").into_bytes()),
        ("", format!("\u{feff}{text}").into_bytes()),
        ("application/json; charset=utf-8", text.into()),
        (
            "application/json; charset=iso-8859-1",
            b"{\"name\": \"caf\xe9\"}".to_vec(),
        ),
        (
            "application/json; charset=\"Windows-1252\"",
            b"{\"name\": \"caf\xe9\"}".to_vec(),
        ),
        (
            "application/json; charset=utf-16",
            utf_16(&format!("\u{feff}{text}"), le),
        ),
        ("application/json", utf_16(&format!("\u{feff}{text}"), be)),
        ("", utf_16(&format!("\u{feff}{text}"), le)),
        (FORM, "\u{feff}name=café".into()),
        (FORM, b"name=caf%C3%A9".to_vec()),
        (
            "application/x-www-form-urlencoded; charset=ISO-8859-1",
            b"name=caf%E9".to_vec(),
        ),
        (
            "application/x-www-form-urlencoded; charset=windows-1252",
            b"name=caf\xe9".to_vec(),
        ),
        (
            "application/x-www-form-urlencoded; charset=utf-16",
            utf_16("\u{feff}name=caf%C3%A9", be),
        ),
    ] {
        check(&hook, content_type, &raw, name.clone()).await;
    }
    for (content_type, raw) in [
        ("text/plain", "\u{feff}café €".to_owned().into_bytes()),
        ("text/plain; charset=latin1", b"caf\xe9 \x80".to_vec()),
        ("text/csv; charset=windows-1252", b"caf\xe9 \x80".to_vec()),
        ("text/plain; charset=utf-16", utf_16("\u{feff}café €", le)),
        ("application/x-yaml", "\u{feff}café €".to_owned().into_bytes()),
        ("", "\u{feff}café €".to_owned().into_bytes()),
    ] {
        check(&hook, content_type, &raw, json!("café €")).await;
    }
    for (content_type, raw, status, named) in [
        (
            "application/json; charset=shift_jis",
            b"{}".as_slice(),
            415,
            "shift_jis",
        ),
        ("text/plain; charset=koi8-r", b"x", 415, "koi8-r"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"a=1", 415, "utf-7"),
        ("text/plain; charset=utf-16", b"x\0", 415, "byte order mark"),
        ("text/plain", b"caf\xe9", 400, "UTF-8 after its first 3 bytes"),
        ("application/json", b"{\"a\": \"caf\xe9\"}", 400, "UTF-8"),
        (FORM, b"ok=1&name=caf%E9", 422, "body.name"),
        (FORM, b"ok=1&na%FFme=x", 422, "body.na%FFme"),
    ] {
        refused(&hook, content_type, raw, status, named).await;
    }
    let bad_query = Call::new("POST", &format!("{}?ok=1&name=%ff", hook.path)).token(None);
    assert_eq!(hook.send(bad_query).await.expect(422).fields(), ["query.name"]);
    hook.api.close().await;
}

#[tokio::test]
async fn a_form_and_a_query_have_at_most_a_thousand_fields() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let fields = |count: usize| (0..count).map(|i| format!("f{i}=1")).collect::<Vec<_>>().join("&");
    let answer = hook
        .send(call(&hook, &[("content-type", FORM)], fields(1000).as_bytes()))
        .await
        .expect(202);
    let body = hook.event(&answer).await["payload"]["body"].clone();
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(1000));
    refused(&hook, FORM, fields(1001).as_bytes(), 422, "has 1001 fields").await;
    let query = Call::new("POST", &format!("{}?{}", hook.path, fields(1001))).token(None);
    assert_eq!(hook.send(query).await.expect(422).fields(), ["query"]);
    hook.api.close().await;
}

#[tokio::test]
async fn compressed_bodies() {
    let hook = Hook::new(json!({"verify": "none", "body_bytes_max": 2000})).await;
    let body = r#"{"text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#;
    let gzip = |plain: &[u8]| {
        let mut bytes = Vec::new();
        GzEncoder::new(plain, Compression::best())
            .read_to_end(&mut bytes)
            .expect("encoded");
        bytes
    };
    let mut zlib = Vec::new();
    ZlibEncoder::new(body.as_bytes(), Compression::best())
        .read_to_end(&mut zlib)
        .expect("encoded");
    let zstd = ruzstd::encoding::compress_to_vec(body.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let json = |coding: &'static str| [("content-type", "application/json"), ("content-encoding", coding)];
    for (coding, bytes) in [
        ("gzip", gzip(body.as_bytes())),
        ("deflate", zlib),
        ("zstd", zstd),
        ("identity", body.into()),
    ] {
        let answer = hook.send(call(&hook, &json(coding), &bytes)).await.expect(202);
        let found = hook.event(&answer).await["payload"]["body"].to_string();
        assert_eq!(found, body.replace(": ", ":"), "{coding}");
    }
    let brotli = b"\x8b\x03\x80{\"n\": 1}\x03";
    let answer = hook.send(call(&hook, &json("br"), brotli)).await.expect(202);
    assert_eq!(hook.event(&answer).await["payload"]["body"], json!({"n": 1}));
    let bomb = gzip(&vec![b' '; 1_000_000]);
    assert_eq!(
        hook.send(call(&hook, &json("gzip"), &bomb)).await.expect(413).kind(),
        "too_large"
    );
    let unknown = hook.send(call(&hook, &json("compress"), b"{}")).await.expect(415);
    assert!(
        unknown.body["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("compress"))
    );
    hook.send(call(&hook, &json("gzip"), b"{}")).await.expect(400);
    // The inbox stores the raw bytes, and a redelivered request is decoded again.
    let kept = inbox(&hook, "&verdict=accepted", 5).await;
    let id = kept.last().and_then(|kept| kept["id"].as_str()).expect("the first one");
    let again = hook
        .api
        .post(&format!("/api/v1/webhook-requests/{id}/redeliver"), json!({}))
        .await
        .expect(201);
    assert_eq!(
        again.body["data"]["payload"]["body"].to_string(),
        body.replace(": ", ":")
    );
    hook.api.close().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn multipart_forms() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let multipart = "multipart/form-data; boundary=xYx";
    let body = |parts: &[(&str, &[u8])]| {
        let mut body = Vec::new();
        for (head, content) in parts {
            body.extend_from_slice(format!("--xYx\r\nContent-Disposition: form-data; {head}\r\n\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--xYx--\r\n");
        body
    };
    let fields = body(&[
        ("name=\"a\"", b"1"),
        ("name=\"filename\"", b"2"),
        ("name=\"tag\"", b"x"),
        ("name=\"tag\"", "ä & b=c".as_bytes()),
        (
            "name=\"latin\"\r\nContent-Type: text/plain; charset=iso-8859-1",
            b"caf\xe9",
        ),
        ("name=\"id\"", b"123456789012345678901234567890"),
        (
            "name=\"none\"; filename=\"\"\r\nContent-Type: application/octet-stream",
            b"",
        ),
    ]);
    let read = json!({"a": "1", "filename": "2", "tag": ["x", "ä & b=c"], "latin": "café", "id": "123456789012345678901234567890"});
    check(&hook, multipart, &fields, read).await;
    check(&hook, "multipart/form-data; boundary=\"xYx\"", &body(&[]), json!({})).await;
    let file = body(&[("name=\"a\"", b"1"), ("name=\"report\"; filename=\"r.pdf\"", b"\xff\0")]);
    assert_eq!(
        refused(&hook, multipart, &file, 422, "must not be a file")
            .await
            .fields(),
        ["body.report"]
    );
    for (content_type, raw, status, named) in [
        (multipart, body(&[("name=\"a\"", b"caf\xe9")]), 422, "body.a"),
        (
            multipart,
            body(&[("name=\"a\"\r\nContent-Type: text/plain; charset=koi8-r", b"x")]),
            422,
            "koi8-r",
        ),
        (multipart, body(&[("size=1", b"1")]), 422, "without a name"),
        (
            multipart,
            body(&[("name=\"a\"; filename*=UTF-8''r.txt", b"1")]),
            422,
            "must not be a file",
        ),
        (
            multipart,
            body(&[("name=\"a\"; FileName=r.txt", b"1")]),
            422,
            "must not be a file",
        ),
        (
            multipart,
            body(&vec![("name=\"a\"", b"1".as_slice()); 1001]),
            422,
            "1001 fields",
        ),
        (
            multipart,
            body(&[("name=\"a\"", b"1")])[..40].to_vec(),
            400,
            "multipart",
        ),
        (multipart, b"nothing of it".to_vec(), 400, "multipart"),
        ("multipart/form-data", b"--x--".to_vec(), 400, "boundary"),
        ("multipart/mixed; boundary=xYx", body(&[]), 415, "multipart/form-data"),
    ] {
        refused(&hook, content_type, &raw, status, named).await;
    }
    hook.change(json!({"verify": "none", "files": "ignore"}))
        .await
        .expect(200);
    check(&hook, multipart, &file, json!({"a": "1"})).await;
    hook.api.close().await;
}

#[tokio::test]
async fn listed_headers_that_are_repeated_are_a_list() {
    let hook = Hook::new(json!({"verify": "none", "headers": ["X-Tag", "X-One"]})).await;
    let headers = [("x-tag", "a"), ("x-one", "1"), ("x-tag", "b, c"), ("x-tag", "a")];
    let answer = hook.send(call(&hook, &headers, b"x")).await.expect(202);
    let event = hook.event(&answer).await;
    assert_eq!(
        event["payload"]["headers"],
        json!({"x-tag": ["a", "b, c", "a"], "x-one": "1"})
    );
    let kept = inbox(&hook, "", 1).await;
    // The inbox stores all headers, the payload only the listed ones.
    let mut listed = kept[0]["headers"].clone();
    listed.as_object_mut().expect("headers").remove("host");
    assert_eq!(listed, event["payload"]["headers"]);
    let id = kept[0]["id"].as_str().expect("an id");
    let again = hook
        .api
        .post(&format!("/api/v1/webhook-requests/{id}/redeliver"), json!({}))
        .await
        .expect(201);
    assert_eq!(again.body["data"]["payload"], event["payload"]);
    let twice = [("content-type", "text/plain"), ("content-type", "application/json")];
    hook.send(call(&hook, &twice, b"{}")).await.expect(415);
    hook.api.close().await;
}

#[tokio::test]
async fn a_slash_at_the_end_of_the_address() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    for method in ["POST", "GET"] {
        let call = Call::new(method, &format!("{}/?a=1", hook.path)).token(None).raw("");
        let answer = hook.send(call).await;
        match method {
            "POST" => assert_eq!(
                hook.event(&answer.expect(202)).await["payload"]["query"],
                json!({"a": "1"})
            ),
            _ => assert_eq!(answer.expect(405).header("allow"), "POST"),
        }
    }
    let two = Call::new("POST", &format!("{}//", hook.path)).token(None);
    hook.send(two).await.expect(202);
    hook.api.close().await;
}

#[tokio::test]
async fn handshakes_in_the_query() {
    let hook =
        Hook::new(json!({"verify": "github", "secret": "s3cret-s3cret", "challenge": {"query": "validationToken"}}))
            .await;
    for method in ["POST", "GET"] {
        let path = format!("{}?validationToken=Validation%3A+%3Cb%3E+caf%C3%A9", hook.path);
        let (status, headers, text) = hook.api.send_text(Call::new(method, &path).token(None)).await;
        assert_eq!((status.as_u16(), text.as_str()), (200, "Validation: <b> café"));
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
    let kept = inbox(&hook, "&verdict=accepted", 2).await;
    assert_eq!(
        (&kept[0]["reason"], &kept[0]["event_id"]),
        (&json!("url_verification"), &Value::Null)
    );
    // Without the parameter it is a request like any other, and has to be genuine.
    hook.send(hook.call("{}")).await.expect(401);
    let meta = json!({"query": "hub.challenge", "when": {"hub.mode": "subscribe", "hub.verify_token": "right"}});
    hook.change(json!({"verify": "github", "secret": "s3cret-s3cret", "challenge": meta}))
        .await
        .expect(200);
    let challenge = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        Call::new("GET", &format!("{}?{query}", hook.path)).token(None)
    };
    assert_eq!(hook.api.send_text(challenge("right")).await.2, "1158201444");
    assert_eq!(hook.send(challenge("wrong")).await.expect(403).kind(), "challenge");
    assert_eq!(hook.events().await, 0);
    hook.api.close().await;
}
