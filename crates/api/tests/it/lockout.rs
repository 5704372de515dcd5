//! Wrong passwords lock out the client that guesses, and no other.

use crate::test_api::{Answer, Call, TestApi};
use attune_api::auth::ensure_admin;
use serde_json::json;

const PASSWORD: &str = "correct horse battery";
const HOME: &str = "192.0.2.1:1000";
const ELSEWHERE: &str = "198.51.100.1:1000";

/// An API with an admin who has signed in from home.
async fn at_home() -> TestApi {
    let api = TestApi::new().await;
    api.database.execute("delete from identity where login = 'admin'").await;
    ensure_admin(&api.database.pool, Some(PASSWORD.into()))
        .await
        .expect("an admin");
    sign_in(&api, HOME, PASSWORD).await.expect(200);
    api
}

async fn sign_in(api: &TestApi, from: &str, password: &str) -> Answer {
    attempt(api, "admin", from, password).await
}

async fn attempt(api: &TestApi, login: &str, from: &str, password: &str) -> Answer {
    let body = json!({"login": login, "password": password});
    api.send(Call::new("POST", "/auth/login").token(None).json(body).from(from))
        .await
}

#[tokio::test]
async fn wrong_passwords_from_elsewhere_do_not_lock_out_the_usual_network() {
    let api = at_home().await;
    for _ in 0..5 {
        sign_in(&api, ELSEWHERE, "wrong").await.expect(401);
    }
    for from in [ELSEWHERE, "203.0.113.9:1000"] {
        let refused = sign_in(&api, from, PASSWORD).await.expect(429);
        assert_eq!(refused.kind(), "too_many_attempts", "elsewhere the strict limit holds");
    }
    sign_in(&api, HOME, PASSWORD).await.expect(200);
    // That sign-in does not give the attacker five attempts more.
    sign_in(&api, ELSEWHERE, PASSWORD).await.expect(429);
    api.close().await;
}

#[tokio::test]
async fn the_usual_network_has_a_limit_too() {
    let api = at_home().await;
    for _ in 0..20 {
        sign_in(&api, HOME, "wrong").await.expect(401);
    }
    sign_in(&api, HOME, PASSWORD).await.expect(429);
    api.database.move_clock("61 seconds").await;
    sign_in(&api, HOME, PASSWORD).await.expect(200);
    // A successful sign-in resets the count.
    for _ in 0..20 {
        sign_in(&api, HOME, "wrong").await.expect(401);
    }
    api.close().await;
}

#[tokio::test]
async fn guesses_at_other_accounts_do_not_lock_out_this_one() {
    let api = at_home().await;
    for n in 0..20 {
        attempt(&api, &format!("user{n}"), HOME, "wrong").await.expect(401);
    }
    attempt(&api, "user99", HOME, "wrong").await.expect(429);
    sign_in(&api, HOME, PASSWORD).await.expect(200);
    api.close().await;
}

#[tokio::test]
async fn remembered_networks_are_bounded_and_expire() {
    let api = at_home().await;
    let remembered = async || api.database.count("select count(*) from sign_in_address").await;
    for n in 0..20 {
        sign_in(&api, &format!("203.0.113.{n}:1000"), PASSWORD)
            .await
            .expect(200);
    }
    assert_eq!(remembered().await, 16);
    // The first address is the oldest and is forgotten; an IPv6 host is identified by its network.
    sign_in(&api, "[2001:db8::1]:1000", PASSWORD).await.expect(200);
    for _ in 0..5 {
        sign_in(&api, ELSEWHERE, "wrong").await.expect(401);
    }
    sign_in(&api, HOME, PASSWORD).await.expect(429);
    sign_in(&api, "[2001:db8::2]:1000", PASSWORD).await.expect(200);
    api.database.move_clock("31 days").await;
    for _ in 0..5 {
        sign_in(&api, ELSEWHERE, "wrong").await.expect(401);
    }
    sign_in(&api, "[2001:db8::2]:1000", PASSWORD).await.expect(429);
    attune_common::store::sign_in::purge(&api.database.pool)
        .await
        .expect("purged");
    assert_eq!(remembered().await, 0);
    api.close().await;
}

/// Someone with the old password may have signed in from another address.
#[tokio::test]
async fn a_new_password_clears_the_remembered_networks() {
    let api = at_home().await;
    let signed_in = sign_in(&api, HOME, PASSWORD).await.expect(200);
    let token = signed_in.body["data"]["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let set = |current: &str| {
        let body = json!({"current_password": current, "new_password": "another horse battery"});
        api.send(Call::new("PUT", "/auth/password").token(Some(&token)).json(body))
    };
    // Wrong passwords at sign-in do not prevent a signed-in user from setting a new one.
    for _ in 0..5 {
        sign_in(&api, ELSEWHERE, "wrong").await.expect(401);
    }
    set("wrong").await.expect(422);
    set(PASSWORD).await.expect(200);
    sign_in(&api, HOME, "another horse battery").await.expect(429);
    api.close().await;
}

#[tokio::test]
async fn guesses_of_a_current_password_are_limited() {
    let api = at_home().await;
    let signed_in = sign_in(&api, HOME, PASSWORD).await.expect(200);
    let token = signed_in.body["data"]["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let set = |current: &str| {
        let body = json!({"current_password": current, "new_password": "another horse battery"});
        api.send(Call::new("PUT", "/auth/password").token(Some(&token)).json(body))
    };
    for _ in 0..5 {
        set("wrong").await.expect(422);
    }
    set(PASSWORD).await.expect(429);
    api.close().await;
}
