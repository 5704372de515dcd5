//! Signatures were made elsewhere: they are the providers' published examples, or computed with Python's `hmac`.

use super::*;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

const NO_HEADERS: &[(&str, &str)] = &[];

fn config(value: &Value) -> WebhookConfig {
    WebhookConfig::parse(value).expect("a good configuration")
}

fn headers<'a>(pairs: &[(&'a str, &'a str)]) -> Headers<'a> {
    Headers::new(pairs.iter().map(|(name, value)| (*name, value.as_bytes())))
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("an instant")
}

/// `""` when it is genuine, else the reason.
fn reason(value: &Value, pairs: &[(&str, &str)], body: &str, now: i64) -> &'static str {
    let verified = verify(&config(value), &headers(pairs), body.as_bytes(), at(now));
    verified.err().map_or("", |refusal| refusal.reason())
}

/// The genuine request is taken; without any of its headers, or with any byte of its body changed, it is not.
fn check_profile(value: &Value, pairs: &[(&str, &str)], body: &str, now: i64) {
    assert_eq!(reason(value, pairs, body, now), "", "{value}");
    for missing in 0..pairs.len() {
        let mut fewer = pairs.to_vec();
        let (name, _) = fewer.remove(missing);
        assert_eq!(
            reason(value, &fewer, body, now),
            "missing_header",
            "{value} without {name}"
        );
    }
    for place in 0..body.len() {
        let mut changed = body.as_bytes().to_vec();
        changed[place] ^= 1;
        let verified = verify(&config(value), &headers(pairs), &changed, at(now));
        assert_eq!(verified, Err(Refusal::Signature), "{value} with another byte {place}");
    }
    let mut other = value.clone();
    other["secret"] = "d3Jvbmc=".into();
    assert_eq!(
        reason(&other, pairs, body, now),
        "signature",
        "{value} with another secret"
    );
    let mut rotated = other;
    rotated["secret_previous"] = value["secret"].clone();
    assert_eq!(reason(&rotated, pairs, body, now), "", "{value} with the secret before");
}

fn check_timestamp(value: &Value, pairs: &[(&str, &str)], body: &str, now: i64) {
    for (moved, expected) in [
        (TOLERANCE_SECONDS, ""),
        (-TOLERANCE_SECONDS, ""),
        (TOLERANCE_SECONDS + 1, "timestamp"),
        (-TOLERANCE_SECONDS - 1, "timestamp"),
        (1 << 40, "timestamp"),
    ] {
        assert_eq!(
            reason(value, pairs, body, now + moved),
            expected,
            "{value} moved by {moved}"
        );
    }
}

#[test]
fn github() {
    let value = json!({"verify": "github", "secret": "It's a Secret to Everybody"});
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let pairs = [("x-hub-signature-256", signature)];
    check_profile(&value, &pairs, "Hello, World!", 0);
    for malformed in [
        &signature[7..],
        "sha256=",
        "sha256=7571",
        "sha256=zz",
        "sha1=757107ea0eb2509fc211221cce984b8a37570b6d",
        "",
    ] {
        let found = reason(&value, &[("x-hub-signature-256", malformed)], "Hello, World!", 0);
        assert!(
            ["malformed_header", "signature"].contains(&found),
            "{malformed}: {found:?}"
        );
    }
    let twice = [("x-hub-signature-256", signature), ("x-hub-signature-256", signature)];
    assert_eq!(reason(&value, &twice, "Hello, World!", 0), "malformed_header");
}

#[test]
fn standard_webhooks() {
    let value = json!({"verify": "standard-webhooks", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    let with = |signature: &'static str| {
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ]
    };
    let body = r#"{"test": 2432232314}"#;
    let pairs = with("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    check_profile(&value, &pairs, body, 1_614_265_330);
    check_timestamp(&value, &pairs, body, 1_614_265_330);
    let several = with("v1a,AAAA v1,AAAA v2,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    assert_eq!(reason(&value, &several, body, 1_614_265_330), "");
    let none = with("v1a,AAAA v2,AAAA");
    assert_eq!(reason(&value, &none, body, 1_614_265_330), "malformed_header");
    let mut other_id = pairs;
    other_id[0].1 = "msg_another";
    assert_eq!(reason(&value, &other_id, body, 1_614_265_330), "signature");
    let mut worded = pairs;
    worded[1].1 = "-1614265330";
    assert_eq!(reason(&value, &worded, body, 1_614_265_330), "malformed_header");
}

#[test]
fn stripe() {
    let value = json!({"verify": "stripe", "secret": "whsec_test_secret"});
    let body = r#"{"id": "evt_1", "object": "event", "type": "charge.succeeded"}"#;
    let signature =
        "t=1614265330,v1=b530f1009d43f5a656b9bc0de4ff8796a0fece69921a6446e5b62483d9fba173,v0=6ffbb59b2300aae6";
    let pairs = [("stripe-signature", signature)];
    check_profile(&value, &pairs, body, 1_614_265_330);
    check_timestamp(&value, &pairs, body, 1_614_265_330);
    let both = json!({"verify": "stripe", "secret": "whsec_test_secret", "secret_previous": "whsec_the_one_before"});
    let before = "t=1614265330, v1=76480b927a613556e8497856721c99ceda49bec96e32502688a2fe175989e9c1";
    assert_eq!(reason(&both, &[("stripe-signature", before)], body, 1_614_265_330), "");
    assert_eq!(
        reason(&value, &[("stripe-signature", before)], body, 1_614_265_330),
        "signature"
    );
    for malformed in [
        "",
        "t=1614265330",
        "v1=b530",
        "t=1,t=1614265330,v1=b5",
        "t=1614265330,v1=xy",
        "t=,v1=b5",
    ] {
        let found = reason(&value, &[("stripe-signature", malformed)], body, 1_614_265_330);
        assert_eq!(found, "malformed_header", "{malformed}");
    }
}

#[test]
fn slack() {
    let value = json!({"verify": "slack", "secret": "8f742231b10e8888abcd99yyyzzz85a5"});
    let body = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let pairs = [
        (
            "x-slack-signature",
            "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ),
        ("x-slack-request-timestamp", "1531420618"),
    ];
    check_profile(&value, &pairs, body, 1_531_420_618);
    check_timestamp(&value, &pairs, body, 1_531_420_618);
}

#[test]
fn gitlab() {
    let value = json!({"verify": "gitlab token", "secret": "old", "secret_previous": "older"});
    for (token, expected) in [
        ("old", ""),
        ("older", ""),
        ("oldest", "token"),
        ("", "token"),
        ("ol", "token"),
    ] {
        assert_eq!(
            reason(&value, &[("x-gitlab-token", token)], "{}", 0),
            expected,
            "{token}"
        );
    }
    assert_eq!(reason(&value, NO_HEADERS, "{}", 0), "missing_header");
}

#[test]
fn generic() {
    let check = |settings: Value, signature: &str| {
        let mut value = json!({"verify": "generic", "secret": "key", "header": "X-Signature"});
        value
            .as_object_mut()
            .expect("an object")
            .extend(settings.as_object().expect("an object").clone());
        check_profile(&value, &[("x-signature", signature)], "order=7", 0);
    };
    check(
        json!({}),
        "c1ffdc1c38ff19d5021fb27bcebf94ad8483f8d5b3d62449590e087ee60c9046",
    );
    check(
        json!({"prefix": "sha1=", "algorithm": "sha1"}),
        "sha1=760279DC383003c4b3226a255f1ca7605ff4d563",
    );
    check(
        json!({"algorithm": "sha512", "encoding": "base64"}),
        "npZaFCclLQnGocEoMshrtZVP692IP6d0wsokxcESUumQ9iLBcTKxaAPpQfpyxuFWFdr3Vd3NHdz5ypDZNj4isg==",
    );
}

#[test]
fn all_errors_are_reported() {
    let check = |value: Value, paths: &[&str]| {
        let errors = WebhookConfig::parse(&value).err().unwrap_or_default().into_vec();
        let found: Vec<_> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(found, paths, "{value}: {errors:#?}");
    };
    check(json!({"verify": "none"}), &[]);
    check(json!([]), &[""]);
    check(json!({}), &["verify"]);
    check(json!({"verify": "githup", "secret": "x"}), &["verify"]);
    check(json!({"verify": "none", "secret": "x"}), &["secret"]);
    check(json!({"verify": "github"}), &["secret"]);
    check(json!({"verify": "github", "secret": MASK}), &["secret"]);
    check(json!({"verify": "github", "secret": ""}), &["secret"]);
    check(json!({"verify": "standard-webhooks", "secret": "whsec_!"}), &["secret"]);
    check(
        json!({"verify": "generic", "secret": "x", "encoding": "octal"}),
        &["header", "encoding"],
    );
    check(
        json!({"verify": "github", "secret": "x", "header": "x-sig"}),
        &["header"],
    );
    check(
        json!({"verify": "none", "dedup": {"pointer": "id"}, "dedup_window_seconds": 1, "methods": ["TRACE"],
               "headers": ["Cookie"], "body_bytes_max": 1 << 30, "wait_seconds": 31, "challenge": "x", "files": "keep",
               "surprise": 1}),
        &[
            "dedup.pointer",
            "dedup_window_seconds",
            "methods",
            "headers[0]",
            "body_bytes_max",
            "wait_seconds",
            "challenge",
            "files",
            "surprise",
        ],
    );
    check(
        json!({"verify": "none", "dedup": {"pointer": "/a~2"}}),
        &["dedup.pointer"],
    );
    check(
        json!({"verify": "none", "dedup": {"pointer": "/a~"}}),
        &["dedup.pointer"],
    );
    check(json!({"verify": "none", "dedup": {"pointer": "/a~1b~0"}}), &[]);
    for challenge in [
        json!({}),
        json!({"query": ""}),
        json!({"query": 1}),
        json!({"query": "a", "when": []}),
        json!({"query": "a", "when": {"b": 1}}),
        json!({"query": "a", "if": {}}),
    ] {
        check(json!({"verify": "none", "challenge": challenge}), &["challenge"]);
    }
    check(
        json!({"verify": "none", "files": "refuse", "challenge": {"query": "a", "when": null}}),
        &[],
    );
    let config =
        config(&json!({"verify": "none", "methods": ["get", "POST"], "headers": ["X-Tenant"], "wait_seconds": 5}));
    assert_eq!(config.methods, ["GET", "POST"]);
    assert_eq!(config.headers, ["x-tenant"]);
    assert_eq!(config.wait_seconds, Some(5));
}

#[test]
fn secrets_are_write_only() {
    let kept = json!({"verify": "github", "secret": "one", "secret_previous": null});
    let shown = masked(&kept);
    assert_eq!(
        shown,
        json!({"verify": "github", "secret": MASK, "secret_previous": null})
    );
    let mut sent_back = shown;
    keep_masked(&mut sent_back, &kept);
    assert_eq!(sent_back, kept);
    let mut rotated = json!({"secret": "two", "secret_previous": MASK});
    keep_masked(&mut rotated, &json!({"secret": "one"}));
    assert_eq!(rotated, json!({"secret": "two"}));
    assert!(!format!("{:?}", config(&json!({"verify": "github", "secret": "hunter2"}))).contains("hunter2"));
    let pairs = [("x-gitlab-token", "hunter2"), ("accept", "a"), ("accept", "b\0")];
    let shown = shown_headers(&headers(&pairs));
    assert_eq!(shown, json!({"x-gitlab-token": MASK, "accept": ["a", "b\u{fffd}"]}));
}

#[test]
fn the_previous_secret_is_valid_until_it_expires() {
    let now: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut config = json!({"secret": "one"});
    assert!(!previous_counts(&config, now));
    rotate(&mut config, "two", now + chrono::TimeDelta::seconds(60));
    assert!(previous_counts(&config, now));
    assert!(!previous_counts(&config, now + chrono::TimeDelta::seconds(60)));
    for (config, counts) in [
        (json!({"secret_previous": "x"}), true),
        (
            json!({"secret_previous": null, "secret_previous_expires_at": "2030-01-01T00:00:00Z"}),
            false,
        ),
    ] {
        assert_eq!(previous_counts(&config, now), counts, "{config}");
    }
}

mod bodies;
mod identity;
mod properties;
