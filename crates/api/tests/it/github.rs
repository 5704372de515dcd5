//! Webhooks of GitHub, with both content types.

use crate::{
    hook::Hook,
    test_api::{Answer, Call},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "s3cret-s3cret";

async fn deliver(hook: &Hook, delivery: &str, content_type: &str, body: &str) -> Answer {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(body.as_bytes());
    let signature = attune_common::hex::encode(&mac.finalize().into_bytes());
    let call = Call::new("POST", &hook.path)
        .token(None)
        .header("content-type", content_type)
        .header("x-github-event", "push")
        .header("x-github-delivery", delivery)
        .header("x-hub-signature-256", &format!("sha256={signature}"))
        .raw(body);
    hook.send(call).await
}

#[tokio::test]
async fn a_form_holds_the_payload() {
    let hook = Hook::new(json!({"verify": "github", "secret": SECRET})).await;
    let form = "application/x-www-form-urlencoded";
    let body =
        "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22pusher%22%3A%7B%22name%22%3A%22Zo%C3%AB+B%22%7D%7D";
    let first = deliver(&hook, "d1", form, body).await.expect(202);
    let payload = hook.event(&first).await["payload"].clone();
    assert_eq!(
        payload["body"],
        json!({"ref": "refs/heads/main", "pusher": {"name": "Zoë B"}})
    );
    assert_eq!(payload["headers"]["x-github-event"], "push");
    assert_eq!(deliver(&hook, "d1", form, body).await.expect(200).body, first.body);
    let same = deliver(
        &hook,
        "d2",
        "application/json",
        r#"{"ref":"refs/heads/main","pusher":{"name":"Zoë B"}}"#,
    )
    .await;
    assert_eq!(hook.event(&same.expect(202)).await["payload"]["body"], payload["body"]);
    for (bad, path) in [
        ("payload=no", "body.payload"),
        (
            "payload=%7B%22a%22%3A123456789012345678901234567890%7D",
            "body.payload.a",
        ),
        ("payload=%7B%22a%22%3A1%2C%22a%22%3A2%7D", "body.payload.a"),
        ("payload=", "body.payload"),
        ("payload=%FF", "body.payload"),
    ] {
        assert_eq!(
            deliver(&hook, "d3", form, bad).await.expect(422).fields(),
            [path],
            "{bad}"
        );
    }
    // A form that does not come from GitHub's form has no payload to unpack.
    let other = deliver(&hook, "d4", form, "a=1").await.expect(202);
    assert_eq!(hook.event(&other).await["payload"]["body"], json!({"a": "1"}));
    hook.change(json!({"verify": "none"})).await.expect(200);
    let other = deliver(&hook, "d5", form, "payload=%7B%7D").await.expect(202);
    assert_eq!(hook.event(&other).await["payload"]["body"], json!({"payload": "{}"}));
    hook.api.close().await;
}

#[tokio::test]
async fn a_pointer_reads_the_unpacked_payload() {
    let hook = Hook::new(json!({"verify": "github", "secret": SECRET, "dedup": {"pointer": "/after"}})).await;
    let form = "application/x-www-form-urlencoded";
    let first = deliver(&hook, "d1", form, "payload=%7B%22after%22%3A%22abc%22%7D")
        .await
        .expect(202);
    let again = deliver(&hook, "d2", "application/json", r#"{"after": "abc"}"#)
        .await
        .expect(200);
    assert_eq!(first.body, again.body);
    assert_eq!(
        deliver(&hook, "d3", form, "payload=%7B%22after%22%3A%5B1%5D%7D")
            .await
            .expect(422)
            .fields(),
        ["/after"]
    );
    let none: Value = deliver(&hook, "d4", form, "payload=%7B%7D").await.expect(202).body;
    assert_eq!(
        deliver(&hook, "d4", form, "payload=%7B%7D").await.expect(200).body,
        none,
        "GitHub's id counts then"
    );
    hook.api.close().await;
}
