//! Every route × every kind of caller: exactly the callers with the right of the table are allowed.

use crate::test_api::{Call, JWT_SECRET, JWT_SECRET_BEFORE, TestApi, keys};
use attune_api::auth::{Claims, Right};
use attune_domain::identity::Role;
use serde_json::json;
use uuid::Uuid;

/// The path of a route with an object that does not exist.
fn address(path: &str) -> String {
    path.replace("{ref}", "core.nothing_here")
        .replace("{key}", &"0".repeat(64))
        .replace("{id}", &Uuid::nil().to_string())
}

async fn status(api: &TestApi, method: &str, path: &str, token: Option<&str>) -> u16 {
    // A body with an unknown field, so that a call that passes the guard changes nothing.
    // A stream would not end, so its query is invalid.
    let query = if path == "/api/v1/stream" {
        "?unknown_field=1"
    } else {
        ""
    };
    let call = Call::new(method, &format!("{}{query}", address(path)))
        .json(json!({"unknown_field": 1}))
        .token(token);
    api.send(call).await.status.as_u16()
}

#[tokio::test]
async fn the_table() {
    let api = TestApi::new().await;
    let forged = forged(&api).await;
    let routes = attune_api::routes();
    assert!(routes.len() > 50, "the table has lost its routes");
    for route in &routes {
        let (method, path) = (route.method.as_str(), route.path);
        let needed = route.right.role();
        assert_eq!(needed.is_none(), route.right == Right::Public);
        for (what, token) in &forged {
            let got = status(&api, method, path, token.as_deref()).await;
            assert_eq!(got == 401, needed.is_some(), "{method} {path} with {what}: {got}");
        }
        for role in Role::ALL {
            if path == "/auth/logout" {
                continue; // Signs the caller out; `sign_in` tests it.
            }
            let got = status(&api, method, path, Some(api.token(*role))).await;
            let refused = needed.is_some_and(|needed| !role.covers(needed));
            assert_eq!(got == 403, refused, "{method} {path} as {role}: {got}");
            assert_ne!(got, 401, "{method} {path} as {role}");
        }
    }
    api.close().await;
}

async fn forged(api: &TestApi) -> Vec<(&'static str, Option<String>)> {
    let admin = api.identities[&Role::Admin];
    let good = api.token(Role::Admin).to_owned();
    let real: Claims = keys(JWT_SECRET).verify(&good).expect("a good token");
    let signed = |change: &dyn Fn(&mut Claims)| {
        let mut claims = real.clone();
        change(&mut claims);
        Some(keys(JWT_SECRET).sign(&claims).expect("signed"))
    };
    let part = |at: usize| good.split('.').nth(at).expect("three parts").to_owned();
    // {"alg":"none"} and {"typ":"JWT","alg":"none"}
    let none = format!("eyJhbGciOiJub25lIn0.{}.", part(1));
    let none_signed = format!("eyJ0eXAiOiJKV1QiLCJhbGciOiJub25lIn0.{}.{}", part(1), part(2));
    let disabled = api.identity("switched_off", Role::Admin).await;
    let of_disabled = api.sign_in(disabled).await;
    api.database
        .execute("update identity set enabled = false where login = 'switched_off'")
        .await;
    vec![
        ("no token", None),
        ("garbage", Some("garbage".to_owned())),
        ("an unknown API token", Some(format!("atn_{}", "0".repeat(64)))),
        ("a refresh token as access", Some(format!("atr_{}", "0".repeat(64)))),
        ("expired", signed(&|claims| claims.exp -= 3600)),
        ("from the future", signed(&|claims| claims.iat += 3600)),
        ("wrong audience", signed(&|claims| claims.aud = "another".into())),
        ("wrong issuer", signed(&|claims| claims.iss = "another".into())),
        ("refresh as access", signed(&|claims| claims.typ = "refresh".into())),
        ("another's sign-in", signed(&|claims| claims.sid = Uuid::nil())),
        ("no identity", signed(&|claims| claims.sub = "0".into())),
        ("not a number", signed(&|claims| claims.sub = "admin".into())),
        ("alg none", Some(none)),
        ("alg none with a signature", Some(none_signed)),
        (
            "another key",
            Some(
                keys(&"f".repeat(64))
                    .sign(&Claims::new(admin, real.sid))
                    .expect("signed"),
            ),
        ),
        ("changed", Some(format!("{}.{}x.{}", part(0), part(1), part(2)))),
        ("disabled", Some(of_disabled)),
    ]
}

/// The key before the last rotation still verifies.
#[tokio::test]
async fn two_keys_are_valid_during_a_rotation() {
    let api = TestApi::new().await;
    let real = keys(JWT_SECRET).verify(api.token(Role::Viewer)).expect("a good token");
    let before = keys(JWT_SECRET_BEFORE).sign(&real).expect("signed");
    api.send(Call::new("GET", "/auth/me").token(Some(&before)))
        .await
        .expect(200);
    api.close().await;
}

#[tokio::test]
async fn an_api_token_has_its_own_role_and_ends_when_revoked() {
    let api = TestApi::new().await;
    let made = api
        .post("/api/v1/tokens", json!({"label": "ci", "role": "operator"}))
        .await
        .expect(201);
    let token = made.body["data"]["token"].as_str().expect("shown once").to_owned();
    assert!(token.starts_with("atn_"), "{token}");
    let me = api
        .send(Call::new("GET", "/auth/me").token(Some(&token)))
        .await
        .expect(200);
    assert_eq!(
        (&me.body["data"]["login"], &me.body["data"]["role"]),
        (&json!("admin"), &json!("operator"))
    );
    let forbidden = Call::new("POST", "/api/v1/packs")
        .json(json!({"ref": "mine"}))
        .token(Some(&token));
    api.send(forbidden).await.expect(403);

    let listed = api.get("/api/v1/tokens").await.expect(200);
    assert!(!listed.body.to_string().contains(&token), "a token is shown once");
    let id = &made.body["data"]["id"];
    api.delete(&format!("/api/v1/tokens/{id}")).await.expect(204);
    api.send(Call::new("GET", "/auth/me").token(Some(&token)))
        .await
        .expect(401);
    api.close().await;
}

#[tokio::test]
async fn a_token_has_at_most_its_owners_role_and_is_revoked_by_owner_or_admin() {
    let api = TestApi::new().await;
    let as_viewer = |call: Call| call.token(Some(api.token(Role::Viewer)));
    let more = as_viewer(Call::new("POST", "/api/v1/tokens").json(json!({"label": "x", "role": "editor"})));
    assert_eq!(api.send(more).await.expect(422).fields(), ["role"]);
    let admins = api.post("/api/v1/tokens", json!({"label": "x"})).await.expect(201);
    let id = &admins.body["data"]["id"];
    api.send(as_viewer(Call::new("DELETE", &format!("/api/v1/tokens/{id}"))))
        .await
        .expect(404);
    let listed = api
        .send(as_viewer(Call::new("GET", "/api/v1/tokens")))
        .await
        .expect(200);
    assert_eq!(listed.body["data"], json!([]));
    api.close().await;
}

#[tokio::test]
async fn a_changed_role_takes_effect_at_once() {
    let api = TestApi::new().await;
    let editor = api.identities[&Role::Editor];
    let make = |name: &str| {
        Call::new("POST", "/api/v1/packs")
            .json(json!({"ref": name}))
            .token(Some(api.token(Role::Editor)))
    };
    api.send(make("one")).await.expect(201);
    api.patch(&format!("/api/v1/identities/{editor}"), json!({"role": "viewer"}))
        .await
        .expect(200);
    api.send(make("two")).await.expect(403);
    api.patch(&format!("/api/v1/identities/{editor}"), json!({"enabled": false}))
        .await
        .expect(200);
    api.send(make("three")).await.expect(401);
    let admin = api.identities[&Role::Admin];
    api.patch(&format!("/api/v1/identities/{admin}"), json!({"role": "viewer"}))
        .await
        .expect(409);
    api.close().await;
}

#[tokio::test]
async fn requests_of_a_caller_are_limited() {
    let mut api = TestApi::new().await;
    api.configured(|config| config.api.requests_per_second = 2);
    let request = |role: Role| Call::new("GET", "/auth/me").token(Some(api.token(role)));
    let mut limited = None;
    for _ in 0..50 {
        let answer = api.send(request(Role::Viewer)).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    assert_eq!(limited.expect("fifty at once are too many").header("retry-after"), "1");
    // Another caller is not affected.
    api.send(request(Role::Editor)).await.expect(200);
    api.close().await;
}
