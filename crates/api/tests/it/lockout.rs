//! Wrong passwords lock out whoever guesses, and nobody else.

use crate::site::{Answer, Call, Site};
use attune_api::auth::ensure_admin;
use serde_json::json;

const PASSWORD: &str = "correct horse battery";
const HOME: &str = "192.0.2.1:1000";
const ELSEWHERE: &str = "198.51.100.1:1000";

/// A site with an admin who signed in from home before.
async fn at_home() -> Site {
    let site = Site::new().await;
    site.database
        .execute("delete from identity where login = 'admin'")
        .await;
    ensure_admin(&site.database.pool, Some(PASSWORD.into()))
        .await
        .expect("an admin");
    sign_in(&site, HOME, PASSWORD).await.expect(200);
    site
}

async fn sign_in(site: &Site, from: &str, password: &str) -> Answer {
    attempt(site, "admin", from, password).await
}

async fn attempt(site: &Site, login: &str, from: &str, password: &str) -> Answer {
    let body = json!({"login": login, "password": password});
    site.ask(Call::new("POST", "/auth/login").token(None).json(body).from(from))
        .await
}

#[tokio::test]
async fn wrong_passwords_from_elsewhere_do_not_lock_an_account_out_at_home() {
    let site = at_home().await;
    for _ in 0..5 {
        sign_in(&site, ELSEWHERE, "wrong").await.expect(401);
    }
    for from in [ELSEWHERE, "203.0.113.9:1000"] {
        let refused = sign_in(&site, from, PASSWORD).await.expect(429);
        assert_eq!(refused.kind(), "too_many_attempts", "elsewhere the strict limit holds");
    }
    sign_in(&site, HOME, PASSWORD).await.expect(200);
    // That sign-in does not give the attacker five attempts more.
    sign_in(&site, ELSEWHERE, PASSWORD).await.expect(429);
    site.close().await;
}

#[tokio::test]
async fn at_home_there_is_a_limit_too() {
    let site = at_home().await;
    for _ in 0..20 {
        sign_in(&site, HOME, "wrong").await.expect(401);
    }
    sign_in(&site, HOME, PASSWORD).await.expect(429);
    site.database.move_clock("61 seconds").await;
    sign_in(&site, HOME, PASSWORD).await.expect(200);
    // A success forgives what was before it.
    for _ in 0..20 {
        sign_in(&site, HOME, "wrong").await.expect(401);
    }
    site.close().await;
}

#[tokio::test]
async fn guesses_at_other_accounts_from_home_do_not_lock_this_one_out() {
    let site = at_home().await;
    for n in 0..20 {
        attempt(&site, &format!("user{n}"), HOME, "wrong").await.expect(401);
    }
    attempt(&site, "user99", HOME, "wrong").await.expect(429);
    sign_in(&site, HOME, PASSWORD).await.expect(200);
    site.close().await;
}

#[tokio::test]
async fn what_an_account_remembers_is_bounded_and_expires() {
    let site = at_home().await;
    let remembered = async || site.database.count("select count(*) from sign_in_address").await;
    for n in 0..20 {
        sign_in(&site, &format!("203.0.113.{n}:1000"), PASSWORD)
            .await
            .expect(200);
    }
    assert_eq!(remembered().await, 16);
    // Home is the oldest of them and is forgotten; an IPv6 host is known by its network.
    sign_in(&site, "[2001:db8::1]:1000", PASSWORD).await.expect(200);
    for _ in 0..5 {
        sign_in(&site, ELSEWHERE, "wrong").await.expect(401);
    }
    sign_in(&site, HOME, PASSWORD).await.expect(429);
    sign_in(&site, "[2001:db8::2]:1000", PASSWORD).await.expect(200);
    site.database.move_clock("31 days").await;
    for _ in 0..5 {
        sign_in(&site, ELSEWHERE, "wrong").await.expect(401);
    }
    sign_in(&site, "[2001:db8::2]:1000", PASSWORD).await.expect(429);
    attune_common::store::sign_in::purge(&site.database.pool)
        .await
        .expect("purged");
    assert_eq!(remembered().await, 0);
    site.close().await;
}

/// Whoever knew the old password may have signed in from where they should not have.
#[tokio::test]
async fn a_new_password_forgets_from_where_the_account_signed_in() {
    let site = at_home().await;
    let signed_in = sign_in(&site, HOME, PASSWORD).await.expect(200);
    let token = signed_in.body["data"]["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let set = |current: &str| {
        let body = json!({"current_password": current, "new_password": "another horse battery"});
        site.ask(Call::new("PUT", "/auth/password").token(Some(&token)).json(body))
    };
    // Wrong passwords at the sign-in do not keep a user who is signed in from a new one.
    for _ in 0..5 {
        sign_in(&site, ELSEWHERE, "wrong").await.expect(401);
    }
    set("wrong").await.expect(422);
    set(PASSWORD).await.expect(200);
    sign_in(&site, HOME, "another horse battery").await.expect(429);
    site.close().await;
}

#[tokio::test]
async fn guesses_of_a_current_password_are_limited() {
    let site = at_home().await;
    let signed_in = sign_in(&site, HOME, PASSWORD).await.expect(200);
    let token = signed_in.body["data"]["access_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let set = |current: &str| {
        let body = json!({"current_password": current, "new_password": "another horse battery"});
        site.ask(Call::new("PUT", "/auth/password").token(Some(&token)).json(body))
    };
    for _ in 0..5 {
        set("wrong").await.expect(422);
    }
    set(PASSWORD).await.expect(429);
    site.close().await;
}
