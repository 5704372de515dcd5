//! What identifies a delivery.

use super::{super::*, NO_HEADERS, config, headers};
use crate::FieldErrors;
use serde_json::{Value, json};

fn key(
    value: &Value,
    pairs: &[(&str, &str)],
    body: &Value,
    replay: Option<&str>,
) -> Result<Option<[u8; 32]>, FieldErrors> {
    let verified = Verified {
        replay: replay.map(|text| text.as_bytes().to_vec()),
    };
    dedup_key(&config(value), &headers(pairs), body, &verified)
}

fn of_pointer(id: &Value) -> Result<Option<[u8; 32]>, FieldErrors> {
    let config = json!({"verify": "none", "dedup": {"pointer": "/order/id"}});
    key(&config, NO_HEADERS, &json!({"order": {"id": id}}), None)
}

fn of_header(values: &[&str]) -> Result<Option<[u8; 32]>, FieldErrors> {
    let config = json!({"verify": "none", "dedup": {"header": "X-Order"}});
    let pairs: Vec<_> = values.iter().map(|value| ("x-order", *value)).collect();
    key(&config, &pairs, &Value::Null, None)
}

#[test]
fn an_empty_identity_is_none() {
    for empty in [
        json!(null),
        json!(""),
        json!(" "),
        json!(" \t\n\u{a0}\u{3000}"),
        json!([]),
        json!({}),
    ] {
        assert_eq!(of_pointer(&empty), Ok(None), "{empty}");
    }
    let config = json!({"verify": "none", "dedup": {"pointer": "/order/id"}});
    for body in [
        json!(null),
        json!("text"),
        json!({"order": 1}),
        json!({"order": []}),
        json!({}),
    ] {
        assert_eq!(key(&config, NO_HEADERS, &body, None), Ok(None), "{body}");
    }
    for empty in [[].as_slice(), &[""], &["", " "]] {
        assert_eq!(of_header(empty), Ok(None), "{empty:?}");
    }
    // What the profile's senders give counts instead, and after that the signature.
    let github = json!({"verify": "github", "secret": "x", "dedup": {"pointer": "/id"}});
    let delivery = [("x-github-delivery", "d1")];
    let of_delivery = key(&github, &delivery, &json!({"id": ""}), None).expect("it is good");
    assert!(of_delivery.is_some());
    assert_eq!(key(&github, &delivery, &json!({}), None), Ok(of_delivery));
    let slack = json!({"verify": "slack", "secret": "x"});
    let replay = key(&slack, NO_HEADERS, &json!({"event_id": ""}), Some("a")).expect("it is good");
    assert!(replay.is_some());
    for profile in ["github", "gitlab", "standard-webhooks"] {
        let name = match profile {
            "github" => "x-github-delivery",
            "gitlab" => "idempotency-key",
            _ => "webhook-id",
        };
        let config = json!({"verify": profile, "secret": "c2VjcmV0"});
        assert_eq!(key(&config, &[(name, " ")], &json!({}), None), Ok(None), "{profile}");
    }
}

/// Everything in a row is one identity; no two rows are the same.
#[test]
fn identities_are_exact() {
    let long = |end: &str| json!(format!("{}{end}", "x".repeat(100_000)));
    let rows: [Vec<Value>; 24] = [
        vec![json!(1), json!(1.0)],
        vec![json!("1")],
        vec![json!("1.0")],
        vec![json!(" 1")],
        vec![json!(-1), json!(-1.0)],
        vec![json!(0), json!(0.0), json!(-0.0)],
        vec![json!("0")],
        vec![json!(0.1)],
        vec![json!("true")],
        vec![json!("null")],
        vec![json!(9_007_199_254_740_992_u64), json!(9_007_199_254_740_992.0)],
        vec![json!(9_007_199_254_740_993_u64)],
        vec![json!(18_446_744_073_709_551_615_u64)],
        vec![json!(18_446_744_073_709_551_614_u64)],
        vec![json!(i64::MIN)],
        vec![json!(1e300)],
        vec![json!("123456789012345678901234567890")],
        vec![json!("123456789012345678901234567891")],
        vec![json!("\u{e9}")],
        vec![json!("e\u{301}")],
        vec![json!("a")],
        vec![json!("A")],
        vec![long("1")],
        vec![long("2")],
    ];
    let mut seen = std::collections::HashMap::new();
    for (row, values) in rows.iter().enumerate() {
        for value in values {
            let key = of_pointer(value).expect("an identity").expect("an identity");
            let before = seen.insert(key, row).unwrap_or(row);
            assert_eq!(before, row, "{value} is also {:?}", rows[before]);
        }
        let keys: std::collections::HashSet<_> = values.iter().map(of_pointer).map(|key| key.expect("good")).collect();
        assert_eq!(keys.len(), 1, "{values:?}");
    }
}

#[test]
fn a_field_that_cannot_identify_is_rejected() {
    for bad in [
        json!(true),
        json!(false),
        json!([1]),
        json!(["a"]),
        json!({"a": 1}),
        json!([[]]),
    ] {
        let refused = of_pointer(&bad).expect_err("it is refused").into_vec();
        assert_eq!(refused[0].path, "/order/id", "{bad}");
        assert!(refused[0].message.contains("must be a string or a number"), "{bad}");
    }
    let twice = of_header(&["a", "b"]).expect_err("it is refused").into_vec();
    assert_eq!(twice[0].path, "x-order");
    for same in [["a", "a"].as_slice(), &["a", ""], &["", "a"]] {
        assert_eq!(of_header(same), of_header(&["a"]), "{same:?}");
    }
    assert_ne!(of_header(&["a, b"]), of_header(&["a"]));
    let github = json!({"verify": "github", "secret": "x"});
    let pairs = [("x-github-delivery", "a"), ("x-github-delivery", "b")];
    assert!(key(&github, &pairs, &json!({}), None).is_err());
}

#[test]
fn headers_are_compared_as_bytes() {
    let config = config(&json!({"verify": "none", "dedup": {"header": "x-order"}}));
    let key = |value: &[u8]| {
        let headers = Headers::new([("x-order", value)]);
        dedup_key(&config, &headers, &Value::Null, &Verified::default()).expect("an identity")
    };
    assert!(key(b"\xff").is_some());
    assert_ne!(key(b"\xff"), key(b"\xfe"));
    assert_ne!(key(b"\xff"), key("ÿ".as_bytes()));
}

#[test]
fn keys_of_repeats() {
    let same = |value: Value, pairs: &[(&str, &str)], one: &Value, other: &Value| {
        let (one, other) = (key(&value, pairs, one, None), key(&value, pairs, other, None));
        one == other && one.expect("it is good").is_some()
    };
    let (one, two) = (json!({"id": 1, "n": 1}), json!({"id": 1, "n": 2}));
    let github = json!({"verify": "github", "secret": "x"});
    assert!(same(github.clone(), &[("x-github-delivery", "7")], &one, &two));
    assert!(!same(github, NO_HEADERS, &one, &one));
    let stripe = json!({"verify": "stripe", "secret": "x"});
    assert!(same(stripe.clone(), NO_HEADERS, &one, &two));
    assert!(!same(stripe, NO_HEADERS, &one, &json!({"id": 2})));
    let named = json!({"verify": "none", "dedup": {"header": "X-Order"}});
    assert!(same(named, &[("x-order", "7")], &one, &two));
    let never = json!({"verify": "github", "secret": "x", "dedup": "none"});
    assert!(!same(never, &[("x-github-delivery", "7")], &one, &one));
    // A key that a sender chooses is never the signed text of another.
    let slack = json!({"verify": "slack", "secret": "x"});
    let signed = |body: Value, text: &str| key(&slack, NO_HEADERS, &body, Some(text)).expect("it is good");
    assert!(signed(json!({}), "a").is_some());
    assert_eq!(signed(json!({}), "a"), signed(json!({}), "a"));
    assert_ne!(signed(json!({}), "a"), signed(json!({}), "b"));
    assert_ne!(signed(json!({}), "a"), signed(json!({"event_id": "a"}), "c"));
}
