//! What an API token may do to other tokens, and what ends it.

use crate::test_api::{Answer, Call, TestApi};
use attune_domain::identity::Role;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

/// A new token of `with`'s owner: its number and its text.
async fn create(api: &TestApi, with: &str, body: Value) -> (i64, String) {
    let made = try_create(api, with, body).await.expect(201).body;
    let text = made["data"]["token"].as_str().expect("the token is shown").to_owned();
    (made["data"]["id"].as_i64().expect("a number"), text)
}

async fn try_create(api: &TestApi, with: &str, body: Value) -> Answer {
    api.send(Call::new("POST", "/api/v1/tokens").token(Some(with)).json(body))
        .await
}

async fn status(api: &TestApi, token: &str) -> u16 {
    let me = api.send(Call::new("GET", "/auth/me").token(Some(token))).await;
    me.status.as_u16()
}

async fn revoke(api: &TestApi, with: &str, id: i64) -> u16 {
    let call = Call::new("DELETE", &format!("/api/v1/tokens/{id}")).token(Some(with));
    api.send(call).await.status.as_u16()
}

fn in_hours(hours: i64) -> DateTime<Utc> {
    attune_common::clock::now() + TimeDelta::hours(hours)
}

/// Each case: role and expiry of the creating token, the request, and the refused field or the expiry of the new token.
#[tokio::test]
async fn a_token_creates_no_token_that_outlives_or_outranks_it() {
    let api = TestApi::new().await;
    let soon = in_hours(1);
    let cases = [
        ("operator", Some(soon), json!({"role": "editor"}), Err("role")),
        ("operator", Some(soon), json!({"role": "admin"}), Err("role")),
        ("operator", Some(soon), json!({"role": "operator"}), Ok(Some(soon))),
        ("operator", Some(soon), json!({"expires_at": null}), Ok(Some(soon))),
        (
            "operator",
            Some(soon),
            json!({"expires_at": in_hours(2)}),
            Err("expires_at"),
        ),
        ("operator", Some(soon), json!({"expires_at": soon}), Ok(Some(soon))),
        ("admin", None, json!({"role": "admin"}), Ok(None)),
        ("viewer", None, json!({"expires_at": soon}), Ok(Some(soon))),
    ];
    for (role, end, request, expected) in cases {
        let parent = json!({"label": "parent", "role": role, "expires_at": end});
        let (parent, token) = create(&api, api.token(Role::Admin), parent).await;
        let mut body = request.clone();
        body["label"] = json!("child");
        let made = try_create(&api, &token, body).await;
        match expected {
            Err(field) => assert_eq!(made.expect(422).fields(), [field], "{role} {end:?} {request}"),
            Ok(end) => {
                let made = made.expect(201).body;
                let got = made["data"]["expires_at"]
                    .as_str()
                    .map(|at| at.parse::<DateTime<Utc>>().expect("an instant"));
                // PostgreSQL keeps microseconds.
                assert_eq!(
                    got.map(|at| at.timestamp_micros()),
                    end.map(|at| at.timestamp_micros()),
                    "{role} {request}"
                );
                let id = &made["data"]["id"];
                let listed = api.get("/api/v1/tokens").await.expect(200).body;
                let row = listed["data"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .find(|row| row["id"] == *id);
                assert_eq!(row.expect("it is listed")["parent_id"], json!(parent));
            }
        }
    }
    api.close().await;
}

#[tokio::test]
async fn descendants_end_with_their_parent() {
    let api = TestApi::new().await;
    let admin = api.token(Role::Admin);
    let (parent, first) = create(&api, admin, json!({"label": "a", "role": "editor"})).await;
    let (_, second) = create(&api, &first, json!({"label": "b", "role": "editor"})).await;
    let (_, third) = create(&api, &second, json!({"label": "c"})).await;
    let (_, other) = create(&api, admin, json!({"label": "d"})).await;
    assert_eq!(revoke(&api, admin, parent).await, 204);
    for token in [&first, &second, &third] {
        assert_eq!(status(&api, token).await, 401);
    }
    assert_eq!(status(&api, &other).await, 200);
    let audited = api.get("/api/v1/audit?verb=revoke").await.expect(200).body;
    assert_eq!(audited["data"].as_array().expect("a list").len(), 3, "{audited}");
    // A revoked token creates nothing, and its number can be revoked again.
    try_create(&api, &second, json!({"label": "e"})).await.expect(401);
    assert_eq!(revoke(&api, admin, parent).await, 204);
    api.close().await;
}

/// The session of a token is remembered for two seconds; the token's row counts when it creates another one.
#[tokio::test]
async fn a_token_revoked_by_another_process_creates_nothing() {
    let api = TestApi::new().await;
    let (id, token) = create(&api, api.token(Role::Admin), json!({"label": "a"})).await;
    assert_eq!(status(&api, &token).await, 200);
    api.database
        .execute(&format!("update api_token set revoked_at = db_now() where id = {id}"))
        .await;
    try_create(&api, &token, json!({"label": "b"})).await.expect(401);
    api.close().await;
}

#[tokio::test]
async fn a_weaker_token_does_not_revoke_a_stronger_one() {
    let api = TestApi::new().await;
    let admin = api.token(Role::Admin);
    for (weak, strong, expected) in [
        ("viewer", "operator", 403),
        ("viewer", "admin", 403),
        ("operator", "editor", 403),
        ("editor", "editor", 204),
        ("admin", "viewer", 204),
    ] {
        let (_, token) = create(&api, admin, json!({"label": "weak", "role": weak})).await;
        let (id, target) = create(&api, admin, json!({"label": "strong", "role": strong})).await;
        assert_eq!(revoke(&api, &token, id).await, expected, "{weak} revokes {strong}");
        assert_eq!(status(&api, &target).await, if expected == 204 { 401 } else { 200 });
    }
    // A token may always revoke itself; a signed-in owner may revoke any of theirs.
    let (id, token) = create(&api, admin, json!({"label": "self"})).await;
    assert_eq!(revoke(&api, &token, id).await, 204);
    let (id, _) = create(&api, admin, json!({"label": "mine", "role": "admin"})).await;
    assert_eq!(revoke(&api, admin, id).await, 204);
    api.close().await;
}

#[tokio::test]
async fn a_disabled_user_gets_no_token() {
    let api = TestApi::new().await;
    let editor = api.token(Role::Editor);
    assert_eq!(status(&api, editor).await, 200);
    api.database
        .execute("update identity set enabled = false where login = 'editor'")
        .await;
    try_create(&api, editor, json!({"label": "late"})).await.expect(401);
    api.close().await;
}

/// An admin outlives the token that made it; what has less rights may be made by programs.
#[tokio::test]
async fn a_token_makes_no_admin() {
    let api = TestApi::new().await;
    let session = api.token(Role::Admin);
    let (_, token) = create(&api, session, json!({"label": "ci", "role": "admin"})).await;
    let post = async |with: &str, login: &str, role: &str| {
        let body = json!({"login": login, "role": role, "password": "correct horse battery 7"});
        let call = Call::new("POST", "/api/v1/identities").token(Some(with)).json(body);
        api.send(call).await
    };
    let patch = async |with: &str, id: &Value, body: Value| {
        let call = Call::new("PATCH", &format!("/api/v1/identities/{id}")).token(Some(with));
        api.send(call.json(body)).await
    };
    let refused = post(&token, "mallory", "admin").await.expect(403);
    assert!(
        refused.body["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains("sign in instead"))
    );
    let made = post(&token, "eve", "editor").await.expect(201).body;
    let eve = &made["data"]["id"];
    patch(&token, eve, json!({"role": "admin"})).await.expect(403);
    patch(&token, eve, json!({"role": "operator"})).await.expect(200);
    patch(session, eve, json!({"role": "admin"})).await.expect(200);
    patch(&token, eve, json!({"display_name": "Eve"})).await.expect(200);
    patch(&token, eve, json!({"enabled": false})).await.expect(200);
    patch(&token, eve, json!({"enabled": true})).await.expect(403);
    patch(session, eve, json!({"enabled": true})).await.expect(200);
    post(session, "mallory", "admin").await.expect(201);
    api.close().await;
}
