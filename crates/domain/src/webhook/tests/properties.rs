//! Whatever is sent.

use super::{super::*, at, config};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Every profile, with some configuration.
fn profiles() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!({"verify": "standard-webhooks", "secret": "d3Jvbmc="}),
        json!({"verify": "github", "secret": "x"}),
        json!({"verify": "stripe", "secret": "x"}),
        json!({"verify": "slack", "secret": "x"}),
        json!({"verify": "gitlab", "secret": "x"}),
        json!({"verify": "generic", "secret": "x", "header": "x-signature", "encoding": "base64"}),
    ])
}

fn some_headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let names = prop::sample::select(vec![
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-hub-signature-256",
        "stripe-signature",
        "x-slack-signature",
        "x-slack-request-timestamp",
        "x-gitlab-token",
        "x-signature",
    ]);
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        "(t=)?[0-9]{1,20}(,v[01]=[0-9a-f]{0,70}){0,3}".prop_map(String::into_bytes),
        "(v1,|sha256=|v0=)[0-9a-zA-Z+/]{0,70}={0,2}".prop_map(String::into_bytes),
    ];
    prop::collection::vec((names, value), 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No request without the secret is accepted.
    #[test]
    fn garbage_is_refused(value in profiles(), pairs in some_headers(), body in prop::collection::vec(any::<u8>(), 0..200), now in 0_i64..1 << 34) {
        let headers = Headers::new(pairs.iter().map(|(name, value)| (*name, value.as_slice())));
        let token_is_secret = value["verify"] == "gitlab" && headers.first("x-gitlab-token") == Some("x");
        prop_assert!(token_is_secret || verify(&config(&value), &headers, &body, at(now)).is_err());
    }

    /// No configuration and no query brings it down.
    #[test]
    fn nothing_panics(text in any::<String>(), number in any::<u64>(), query in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = WebhookConfig::parse(&json!({"verify": "generic", "secret": text, "header": text, "prefix": text, "dedup": {"pointer": text},
                                             "wait_seconds": number, "methods": [text], "headers": [text]}));
        if let Ok(pairs) = crate::text::pairs(&query, crate::text::Charset::Utf8) {
            prop_assert!(crate::text::fields(pairs).is_object());
        }
        let _ = BodyForm::of(Some(&text));
    }
}
