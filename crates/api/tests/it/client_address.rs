//! Behind a trusted proxy, limits, audit and inbox use the address of the client, and only the proxy decides about it.

use crate::{
    hook::{Hook, inbox},
    test_api::{Call, TestApi},
};
use futures_util::future::join_all;
use serde_json::json;

const PROXY: &str = "10.0.0.1:1000";

fn behind(proxy: &str, call: Call, client: &str) -> Call {
    call.from(proxy).header("x-forwarded-for", client)
}

fn login(login: &str) -> Call {
    let body = json!({"login": login, "password": "wrong"});
    Call::new("POST", "/auth/login").token(None).json(body)
}

async fn api() -> TestApi {
    let mut api = TestApi::new().await;
    api.configured(|config| config.api.trusted_proxies = "10.0.0.0/8".parse().expect("networks"));
    api
}

#[tokio::test]
async fn sign_ins_are_limited_by_client() {
    let api = api().await;
    for n in 0..20 {
        let spoofed = format!("203.0.113.{n}, 198.51.100.1");
        api.send(behind(PROXY, login(&format!("user{n}")), &spoofed))
            .await
            .expect(401);
    }
    api.send(behind(PROXY, login("more"), "198.51.100.1")).await.expect(429);
    api.send(behind("10.0.0.2:1000", login("more"), "198.51.100.1"))
        .await
        .expect(429);
    api.send(behind(PROXY, login("more"), "198.51.100.2")).await.expect(401);
    // Any client can send the header; it counts only if a trusted proxy sends it.
    for n in 0..20 {
        let call = behind("192.0.2.9:1000", login(&format!("user{n}")), &format!("198.51.100.{n}"));
        api.send(call).await.expect(401);
    }
    let call = behind("192.0.2.9:1000", login("more"), "198.51.100.77");
    api.send(call).await.expect(429);
    api.close().await;
}

#[tokio::test]
async fn the_audit_names_the_client() {
    let api = api().await;
    let make = |name: &str| Call::new("POST", "/api/v1/packs").json(json!({"ref": name}));
    let forwarded = make("one")
        .from(PROXY)
        .header("forwarded", "for=\"[2001:db8::7]:4711\";proto=https");
    api.send(forwarded).await.expect(201);
    api.send(behind(PROXY, make("two"), "203.0.113.9, 198.51.100.1"))
        .await
        .expect(201);
    api.send(behind("192.0.2.9:1000", make("three"), "198.51.100.1"))
        .await
        .expect(201);
    api.send(behind(PROXY, login("ann"), "198.51.100.2")).await.expect(401);
    let audit = api.get("/api/v1/audit").await.expect(200).body["data"].clone();
    let addresses: Vec<_> = audit
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| &entry["address"])
        .collect();
    assert_eq!(addresses, ["198.51.100.2", "192.0.2.9", "198.51.100.1", "2001:db8::7"]);
    api.close().await;
}

#[tokio::test]
async fn guessed_addresses_do_not_block_an_existing_webhook() {
    let mut site_hook = Hook::new(json!({"verify": "none"})).await;
    site_hook
        .api
        .configured(|config| config.api.trusted_proxies = "10.0.0.0/8".parse().expect("networks"));
    let guess = |n: usize| {
        behind(
            PROXY,
            Call::new("POST", &format!("/api/v1/webhooks/{n}")).token(None),
            "198.51.100.1",
        )
    };
    let hook = &site_hook;
    let guesses = join_all((0..800).map(async |n| hook.send(guess(n)).await));
    let genuine = async {
        // From the guessing address; also for a webhook that was created after the guesses.
        for n in 0..10 {
            let reference = format!("core.late_{n}");
            let made = json!({"ref": reference, "kind": "webhook", "config": {"verify": "none"}});
            let made = hook.api.post("/api/v1/triggers", made).await.expect(201);
            let url = made.body["data"]["webhook_url"].as_str().expect("an address");
            let late = Call::new("POST", url.trim_start_matches("https://attune.example.org")).token(None);
            hook.send(behind(PROXY, late, "198.51.100.1")).await.expect(202);
            hook.send(behind(PROXY, hook.call("{}"), "198.51.100.1"))
                .await
                .expect(202);
        }
    };
    let (guesses, ()) = tokio::join!(guesses, genuine);
    let refused: Vec<_> = guesses.into_iter().filter(|answer| answer.status != 404).collect();
    assert!(refused.len() > 100, "{} of 800 guesses were refused", refused.len());
    for refused in refused {
        let refused = refused.expect(429);
        assert_eq!(
            (refused.kind(), refused.header("retry-after")),
            ("too_many_refused", "5")
        );
    }
    // Another client is not even limited.
    hook.send(behind(
        PROXY,
        Call::new("POST", "/api/v1/webhooks/none").token(None),
        "198.51.100.2",
    ))
    .await
    .expect(404);
    let kept = inbox(hook, "", 10).await;
    assert!(kept.iter().all(|request| request["address"] == "198.51.100.1"));
    site_hook.api.close().await;
}

/// Addresses in answers come from the configuration, regardless of the request.
#[tokio::test]
async fn generated_addresses_are_those_of_the_configuration() {
    let api = api().await;
    let body = json!({"ref": "core.hook", "kind": "webhook", "config": {"verify": "none"}});
    let call = Call::new("POST", "/api/v1/triggers")
        .json(body)
        .from(PROXY)
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "gopher")
        .header("forwarded", "for=198.51.100.1;host=evil.example;proto=gopher");
    let made = api.send(call).await.expect(201);
    let url = made.body["data"]["webhook_url"].as_str().expect("an address");
    assert!(url.starts_with("https://attune.example.org/api/v1/webhooks/"), "{url}");
    assert!(!made.body.to_string().contains("evil") && !made.header("location").contains("evil"));
    api.close().await;
}
