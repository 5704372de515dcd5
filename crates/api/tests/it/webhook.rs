//! Webhooks, called as their senders call them. Signatures were computed elsewhere, or are computed here over the bytes
//! that are sent.

use crate::{
    hook::{Hook, inbox},
    test_api::Call,
};
use attune_common::{clock, hex, testing::eventually};
use attune_domain::identity::Role;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;

fn signed(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

const SLACK: &[u8] = b"a secret of Slack";

fn of_slack(at: &str, body: &str) -> Vec<(&'static str, String)> {
    let sign = hex::encode(&signed(SLACK, &[b"v0:", at.as_bytes(), b":", body.as_bytes()]));
    vec![
        ("x-slack-signature", format!("v0={sign}")),
        ("x-slack-request-timestamp", at.to_owned()),
    ]
}

fn now(moved: i64) -> String {
    (clock::now().timestamp() + moved).to_string()
}

#[tokio::test]
async fn any_body_becomes_an_event() {
    let hook = Hook::new(json!({"verify": "none", "headers": ["X-Tenant"]})).await;
    let call = Call::new("POST", &format!("{}?a=1&a=2", hook.path))
        .token(None)
        .header("content-type", "application/json")
        .header("x-tenant", "acme")
        .header("authorization", "Bearer of-the-sender")
        .raw(r#"{"n": 1}"#);
    let answer = hook.send(call).await.expect(202);
    let event = hook.event(&answer).await;
    assert_eq!(event["source"], "webhook");
    assert_eq!(
        event["payload"],
        json!({"method": "POST", "headers": {"content-type": "application/json", "x-tenant": "acme"},
               "query": {"a": ["1", "2"]}, "body": {"n": 1}})
    );
    for (content_type, raw, body) in [
        (
            "application/x-www-form-urlencoded",
            "a=1&b=x+y",
            json!({"a": "1", "b": "x y"}),
        ),
        ("text/plain", "{hello", json!("{hello")),
        ("application/vnd.x+json", "[1]", json!([1])),
        ("", "7", json!(7)),
        ("", "not json", json!("not json")),
        ("application/json", "", Value::Null),
    ] {
        let mut call = Call::new("POST", &hook.path).token(None).raw(raw);
        if !content_type.is_empty() {
            call = call.header("content-type", content_type);
        }
        let answer = hook.send(call).await.expect(202);
        assert_eq!(hook.event(&answer).await["payload"]["body"], body, "{content_type}");
    }
    hook.api.close().await;
}

#[tokio::test]
async fn bodies_that_cannot_be_stored_are_refused() {
    let hook = Hook::new(json!({"verify": "none", "body_bytes_max": 1000})).await;
    let before = hook.events().await;
    for (content_type, raw, status) in [
        ("application/json", "{".to_owned(), 400),
        ("application/json", r#"{"a": 1, "a": 2}"#.to_owned(), 422),
        ("application/json", r#"{"a": "\u0000"}"#.to_owned(), 422),
        ("application/x-www-form-urlencoded", "a=%00".to_owned(), 422),
        (
            "application/json",
            format!("{}1{}", "[".repeat(70), "]".repeat(70)),
            422,
        ),
        ("application/octet-stream", "x".to_owned(), 415),
        ("application/json", format!("\"{}\"", "x".repeat(1000)), 413),
    ] {
        let call = Call::new("POST", &hook.path)
            .token(None)
            .header("content-type", content_type)
            .raw(raw);
        hook.send(call).await.expect(status);
    }
    let call = Call::new("POST", &hook.path).token(None).raw(vec![0xff, 0xff]);
    hook.send(call).await.expect(400);
    let get = Call::new("GET", &hook.path).token(None);
    assert_eq!(hook.send(get).await.expect(405).header("allow"), "POST");
    let unknown = Call::new("POST", &format!("/api/v1/webhooks/{}", "0".repeat(64))).token(None);
    hook.send(unknown).await.expect(404);
    assert_eq!(hook.events().await, before);
    hook.api.close().await;
}

#[tokio::test]
async fn github_signs_the_body_and_names_the_delivery() {
    let hook = Hook::new(json!({"verify": "github", "secret": "It's a Secret to Everybody"})).await;
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let call = |delivery: &str, signature: &str, body: &str| {
        Call::new("POST", &hook.path)
            .token(None)
            .header("content-type", "text/plain")
            .header("x-hub-signature-256", signature)
            .header("x-github-delivery", delivery)
            .raw(body)
    };
    let first = hook.send(call("d1", signature, "Hello, World!")).await.expect(202);
    let again = hook.send(call("d1", signature, "Hello, World!")).await.expect(200);
    assert_eq!(first.body, again.body);
    hook.send(call("d2", signature, "Hello, World!")).await.expect(202);
    let changed = hook.send(call("d3", signature, "Hello, World?")).await.expect(401);
    assert_eq!(changed.kind(), "signature");
    let missing = hook.send(hook.call("Hello, World!")).await.expect(401);
    assert_eq!(missing.kind(), "missing_header");
    let malformed = hook.send(call("d3", "sha1=7571", "Hello, World!")).await.expect(401);
    assert_eq!(malformed.kind(), "malformed_header");
    hook.change(json!({"verify": "github", "secret": "another secret"}))
        .await
        .expect(200);
    hook.send(call("d3", signature, "Hello, World!")).await.expect(401);
    assert_eq!(hook.events().await, 2);
    hook.api.close().await;
}

#[tokio::test]
async fn dated_signatures_of_three_profiles() {
    let key = b"0123456789abcdef01234567";
    let standard = {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        move |at: String, body: &str| {
            let sign = signed(key, &[b"m1.", at.as_bytes(), b".", body.as_bytes()]);
            vec![
                ("webhook-id", "m1".to_owned()),
                ("webhook-timestamp", at),
                ("webhook-signature", format!("v1,{}", STANDARD.encode(sign))),
            ]
        }
    };
    let stripe = |at: String, body: &str| {
        let sign = hex::encode(&signed(b"whsec_of-stripe", &[at.as_bytes(), b".", body.as_bytes()]));
        vec![("stripe-signature", format!("t={at},v1={sign}"))]
    };
    let slack = |at: String, body: &str| of_slack(&at, body);
    let standard_config = json!({"verify": "standard-webhooks", "secret": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"});
    dated(standard_config, standard).await;
    dated(json!({"verify": "stripe", "secret": "whsec_of-stripe"}), stripe).await;
    dated(json!({"verify": "slack", "secret": "a secret of Slack"}), slack).await;
}

#[tokio::test]
async fn the_challenge_of_slack_is_answered() {
    let hook = Hook::new(json!({"verify": "slack", "secret": "a secret of Slack"})).await;
    let body = r#"{"type": "url_verification", "token": "t", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}"#;
    let with = |signed: &str| {
        let headers = of_slack(&now(0), signed);
        headers
            .iter()
            .fold(hook.call(body), |call, (name, value)| call.header(name, value))
    };
    let refused = hook.send(with("{}")).await.expect(401);
    assert_eq!(refused.kind(), "signature");
    for _ in 0..2 {
        let answer = hook.send(with(body)).await.expect(200);
        assert_eq!(
            answer.body,
            json!({"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"})
        );
    }
    assert_eq!(hook.events().await, 0);
    let kept = inbox(&hook, "&verdict=accepted", 2).await;
    assert_eq!(
        (&kept[0]["reason"], &kept[0]["event_id"], &kept[0]["body"]),
        (&json!("url_verification"), &Value::Null, &json!(body))
    );
    // From another sender it is an ordinary body.
    hook.change(json!({"verify": "none"})).await.expect(200);
    hook.send(hook.call(body)).await.expect(202);
    hook.api.close().await;
}

async fn dated(config: Value, sign: impl Fn(String, &str) -> Vec<(&'static str, String)>) {
    let hook = Hook::new(config).await;
    let body = r#"{"id": "evt_1", "event_id": "Ev1", "n": 1}"#;
    let with = |headers: &[(&str, String)], body: &str| {
        headers
            .iter()
            .fold(hook.call(body), |call, (name, value)| call.header(name, value))
    };
    let headers = sign(now(-200), body);
    let first = hook.send(with(&headers, body)).await.expect(202);
    let replayed = hook.send(with(&headers, body)).await.expect(200);
    assert_eq!(first.body, replayed.body, "a replay is the same event");
    for moved in [-301 - 5, 301 + 5] {
        let stale = hook.send(with(&sign(now(moved), body), body)).await.expect(401);
        assert_eq!(stale.kind(), "timestamp");
    }
    let changed = hook.send(with(&headers, &body.replace('1', "2"))).await.expect(401);
    assert_eq!(changed.kind(), "signature");
    for missing in 0..headers.len() {
        let mut fewer = headers.clone();
        fewer.remove(missing);
        let refused = hook.send(with(&fewer, body)).await.expect(401);
        assert_eq!(refused.kind(), "missing_header");
    }
    assert_eq!(hook.events().await, 1);
    hook.api.close().await;
}

#[tokio::test]
async fn tokens_and_generic_signatures() {
    let hook = Hook::new(json!({"verify": "gitlab", "secret": "t0ken-t0ken"})).await;
    hook.send(hook.call("{}").header("x-gitlab-token", "t0ken-t0ken"))
        .await
        .expect(202);
    let wrong = hook
        .send(hook.call("{}").header("x-gitlab-token", "t0ken-t0kem"))
        .await
        .expect(401);
    assert_eq!(wrong.kind(), "token");
    hook.send(hook.call("{}")).await.expect(401);

    // Computed with Python: hmac.new(b"a fine key", b"order=7", "sha512").
    hook.change(
        json!({"verify": "generic", "secret": "a fine key", "header": "X-Sig", "algorithm": "sha512", "encoding": "base64",
                       "dedup": {"pointer": "/order"}, "methods": ["PUT"]}),
    )
    .await
    .expect(200);
    let call = |signature: &str| {
        Call::new("PUT", &hook.path)
            .token(None)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-sig", signature)
            .raw("order=7")
    };
    let good = "JPssIyL5lyccbtEmXmyNZOf0AZB36ec19s84xo9Z6JpIkbNR+dblzSk4jsmg5DEZhW6BgIsWvsJnBic0XQ4FJQ==";
    let first = hook.send(call(good)).await.expect(202);
    assert_eq!(hook.send(call(good)).await.expect(200).body, first.body);
    hook.send(call(&good.replace('n', "m"))).await.expect(401);
    hook.api.close().await;
}

#[tokio::test]
async fn two_secrets_are_valid_during_a_rotation() {
    let hook = Hook::new(json!({"verify": "gitlab", "secret": "number one"})).await;
    let with = |token: &str| hook.call("{}").header("x-gitlab-token", token);
    hook.send(with("number one")).await.expect(202);
    hook.change(json!({"verify": "gitlab", "secret": "number two", "secret_previous": "number one"}))
        .await
        .expect(200);
    hook.send(with("number one")).await.expect(202);
    hook.send(with("number two")).await.expect(202);
    // What was read may be sent back: the secret stays.
    let shown = hook.api.get("/api/v1/triggers/core.hook").await.expect(200).body["data"]["config"].clone();
    assert_eq!(
        shown,
        json!({"verify": "gitlab", "secret": "********", "secret_previous": "********"})
    );
    hook.change(json!({"verify": "gitlab", "secret": "********"}))
        .await
        .expect(200);
    hook.send(with("number two")).await.expect(202);
    hook.send(with("number one")).await.expect(401);
    hook.api.close().await;
}

#[tokio::test]
async fn secrets_are_never_returned() {
    let hook = Hook::new(json!({"verify": "github", "secret": "hunter2hunter2"})).await;
    let stored = "select count(*) from trigger where config::text like '%hunter2%'";
    assert_eq!(hook.api.database.count(stored).await, 0, "sealed at rest");
    for path in ["/api/v1/triggers/core.hook", "/api/v1/triggers?kind=webhook"] {
        let shown = hook.api.get(path).await.expect(200).body.to_string();
        assert!(!shown.contains("hunter2") && !shown.contains("sealed"), "{shown}");
    }
    let viewer = Call::new("GET", "/api/v1/triggers/core.hook").token(Some(hook.api.token(Role::Viewer)));
    assert_eq!(
        hook.api.send(viewer).await.expect(200).body["data"]["webhook_url"],
        Value::Null
    );
    // A secret sealed with a foreign key cannot be opened: requests are refused until the secret is set again.
    hook.api
        .database
        .execute(
            "update trigger set config = jsonb_set(config, '{secret,sealed}', '\"v1:AAAA\"') where ref = 'core.hook'",
        )
        .await;
    hook.api.close().await;
}

#[tokio::test]
async fn configurations_are_checked() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let check = async |config: Value, paths: &[&str]| {
        let refused = hook.change(config).await.expect(422);
        assert_eq!(refused.fields(), paths);
    };
    check(json!({}), &["config.verify"]).await;
    check(json!({"verify": "github"}), &["config.secret"]).await;
    check(json!({"verify": "github", "secret": "********"}), &["config.secret"]).await;
    check(json!({"verify": "none", "secrets": []}), &["config.secrets"]).await;
    check(json!({"verify": "github", "secret": "seven77"}), &["config.secret"]).await;
    check(json!({"verify": "stripe", "secret": "whsec_7"}), &["config.secret"]).await;
    check(
        json!({"verify": "github", "secret": "", "secret_previous": "short"}),
        &["config.secret", "config.secret_previous"],
    )
    .await;
    hook.change(json!({"verify": "github", "secret": "eight888"}))
        .await
        .expect(200);
    // An existing short one does not prevent another change.
    hook.api
        .database
        .execute(r#"update trigger set config = '{"verify": "github", "secret": "old"}' where ref = 'core.hook'"#)
        .await;
    let label = json!({"label": "Hook", "config": {"verify": "github", "secret": "********"}});
    hook.api.patch("/api/v1/triggers/core.hook", label).await.expect(200);
    // Written by hand: closed, not open.
    hook.api
        .database
        .execute("update trigger set config = '{}' where ref = 'core.hook'")
        .await;
    hook.until_refused("misconfigured").await;
    hook.api.close().await;
}

#[tokio::test]
async fn the_same_delivery_twice_at_once_is_one_event() {
    let hook = Hook::new(json!({"verify": "none", "dedup": {"header": "x-delivery"}})).await;
    for round in 0..20 {
        let call = || hook.send(hook.call("{}").header("x-delivery", &format!("d{round}")));
        let (one, two, three) = tokio::join!(call(), call(), call());
        let mut statuses = [one.status.as_u16(), two.status.as_u16(), three.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 202]);
        assert!(
            one.body == two.body && two.body == three.body,
            "{} {}",
            one.body,
            two.body
        );
    }
    assert_eq!(hook.events().await, 20);
    // After its window the same key is another event.
    hook.api.database.move_clock("8 days").await;
    hook.send(hook.call("{}").header("x-delivery", "d0")).await.expect(202);
    hook.api.close().await;
}

#[tokio::test]
async fn a_disabled_webhook_accepts_nothing() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    hook.send(hook.call("{}")).await.expect(202);
    hook.api
        .post("/api/v1/triggers/core.hook/disable", json!({}))
        .await
        .expect(200);
    assert_eq!(hook.send(hook.call("{}")).await.expect(409).kind(), "disabled");
    hook.api.close().await;
}

#[tokio::test]
async fn rates_are_bounded_for_genuine_and_for_other_requests() {
    let hook = Hook::new(json!({"verify": "gitlab", "secret": "s3cret-s3cret", "requests_per_second": 2})).await;
    let genuine = || hook.send(hook.call("{}").header("x-gitlab-token", "s3cret-s3cret"));
    let mut limited = None;
    for _ in 0..50 {
        let answer = genuine().await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        answer.expect(202);
    }
    let limited = limited.expect("fifty at once are too many");
    assert_eq!((limited.kind(), limited.header("retry-after")), ("rate", "1"));
    let stored = "select count(*) from webhook_request where verdict = 'rejected' and reason = 'rate'";
    eventually("the inbox shows it", Duration::from_secs(10), async || {
        (hook.api.database.count(stored).await == 1).then_some(())
    })
    .await;

    let mut refused = 0;
    for _ in 0..1_000 {
        let answer = hook.send(hook.call("{}")).await;
        if answer.status == 429 {
            assert_eq!(answer.kind(), "too_many_refused");
            break;
        }
        answer.expect(401);
        refused += 1;
    }
    assert!((100..1_000).contains(&refused), "{refused}");
    // Another sender is not affected.
    let other = hook.call("{}").from("198.51.100.7:1000");
    hook.send(other).await.expect(401);
    hook.api.close().await;
}

#[tokio::test]
async fn without_the_database_nothing_is_accepted() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    hook.send(hook.call("{}")).await.expect(202);
    hook.api.database.vanish().await;
    let refused = hook.send(hook.call("{}")).await.expect(503);
    assert_eq!((refused.kind(), refused.header("retry-after")), ("unavailable", "2"));
    hook.api.close().await;
}

#[tokio::test]
async fn the_answer_waits_for_the_executions() {
    let hook = Hook::new(json!({"verify": "none", "wait_seconds": 20})).await;
    let finish = async {
        let database = &hook.api.database;
        let pending = "select count(*) from event_queue";
        while database.count(pending).await == 0 {
            tokio::task::yield_now().await;
        }
        // The rows that an executor and a worker would write.
        database
            .execute(
                "insert into event_decision (event_id, definitions_version, rules, matched) select event_id, 1, 1, 1 from event_queue;
                 insert into execution (id, event_id, rule_ref, action_ref, pool, parameters, status, scheduled_at, trace_id)
                     select event_id, event_id, 'core.r', 'core.echo', 'default', '{}', 'scheduled', db_now(), event_id from event_queue;
                 delete from event_queue",
            )
            .await;
        database.execute("update execution set status = 'running'").await;
        database
            .execute(
                "update execution set status = 'succeeded', result = '{\"stdout\": \"hi\"}', finished_at = db_now()",
            )
            .await;
    };
    let (answer, ()) = tokio::join!(hook.send(hook.call("{}")), finish);
    let data = &answer.expect(200).body["data"];
    assert_eq!(data["complete"], true);
    assert_eq!(
        (
            &data["executions"][0]["status"],
            &data["executions"][0]["result"]["stdout"]
        ),
        (&json!("succeeded"), &json!("hi"))
    );
    hook.change(json!({"verify": "none", "wait_seconds": 1}))
        .await
        .expect(200);
    let late = hook.send(hook.call("{}")).await.expect(202);
    assert_eq!(
        (&late.body["data"]["complete"], &late.body["data"]["executions"]),
        (&json!(false), &json!([]))
    );
    hook.api.close().await;
}
