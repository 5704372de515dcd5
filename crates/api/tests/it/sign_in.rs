//! Sign-in, refresh and sign-out.

use crate::test_api::{Call, TestApi};
use attune_api::auth::{FirstAdmin, ensure_admin};
use attune_common::store::Transaction;
use attune_common::{store::identity, testing::eventually};
use attune_domain::identity::Role;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use std::time::Duration;

pub const PASSWORD: &str = "correct horse battery";

/// An API with a first admin.
pub async fn api() -> TestApi {
    let api = TestApi::new().await;
    api.database.execute("delete from identity where login = 'admin'").await;
    let made = ensure_admin(&api.database.pool, Some(PASSWORD.into()))
        .await
        .expect("an admin");
    assert!(matches!(made, FirstAdmin::Created { login: "admin", .. }), "{made:?}");
    api
}

fn login(body: Value) -> Call {
    Call::new("POST", "/auth/login").token(None).json(body)
}

fn tokens(body: &Value) -> (String, String) {
    let text = |name: &str| body["data"][name].as_str().expect("a token").to_owned();
    (text("access_token"), text("refresh_token"))
}

#[tokio::test]
async fn in_and_out() {
    let api = api().await;
    let answer = api
        .send(login(json!({"username": "Admin", "password": PASSWORD})))
        .await
        .expect(200);
    assert_eq!(
        (&answer.body["data"]["token_type"], &answer.body["data"]["expires_in"]),
        (&json!("Bearer"), &json!(900))
    );
    assert_eq!(answer.header("cache-control"), "no-store");
    let (access, refresh) = tokens(&answer.body);
    let me = api
        .send(Call::new("GET", "/auth/me").token(Some(&access)))
        .await
        .expect(200);
    assert_eq!(
        (&me.body["data"]["login"], &me.body["data"]["role"]),
        (&json!("admin"), &json!("admin"))
    );
    assert!(!me.body.to_string().contains("argon2"));

    api.send(Call::new("POST", "/auth/logout").token(Some(&access)))
        .await
        .expect(204);
    api.send(Call::new("GET", "/auth/me").token(Some(&access)))
        .await
        .expect(401);
    api.send(
        Call::new("POST", "/auth/refresh")
            .token(None)
            .json(json!({"refresh_token": refresh})),
    )
    .await
    .expect(401);
    api.close().await;
}

#[tokio::test]
async fn a_refresh_token_is_used_once_and_its_reuse_ends_the_sign_in() {
    let api = api().await;
    let refresh_with = |token: &str| {
        Call::new("POST", "/auth/refresh")
            .token(None)
            .json(json!({"refresh_token": token}))
    };
    let first = tokens(
        &api.send(login(json!({"login": "admin", "password": PASSWORD})))
            .await
            .expect(200)
            .body,
    );
    let second = tokens(&api.send(refresh_with(&first.1)).await.expect(200).body);
    assert_ne!(first.1, second.1);
    api.send(Call::new("GET", "/auth/me").token(Some(&second.0)))
        .await
        .expect(200);
    api.send(Call::new("GET", "/auth/me").token(Some(&second.1)))
        .await
        .expect(401);

    api.send(refresh_with(&first.1)).await.expect(401);
    api.send(refresh_with(&second.1)).await.expect(401);
    api.send(Call::new("GET", "/auth/me").token(Some(&second.0)))
        .await
        .expect(401);
    api.send(refresh_with("atr_unknown")).await.expect(401);
    let again = login(json!({"login": "admin", "password": PASSWORD}));
    let (access, _) = tokens(&api.send(again).await.expect(200).body);
    let audit = Call::new("GET", "/api/v1/audit?verb=refresh_token_reused").token(Some(&access));
    let entries = api.send(audit).await.expect(200);
    assert_eq!(entries.body["data"][0]["address"], "192.0.2.1", "{}", entries.body);
    api.close().await;
}

#[tokio::test]
async fn wrong_unknown_and_disabled_get_the_same_answer() {
    let api = api().await;
    let refused = async |body: Value, from: &str| {
        let mut answer = api.send(login(body).from(from)).await.expect(401).body;
        answer["instance"] = Value::Null;
        answer
    };
    let wrong = refused(json!({"login": "admin", "password": "wrong"}), "192.0.2.1:1").await;
    assert_eq!(
        wrong,
        refused(json!({"login": "unknown", "password": "wrong"}), "192.0.2.2:1").await
    );
    assert_eq!(
        wrong,
        refused(json!({"login": "Not a login!", "password": "wrong"}), "192.0.2.2:1").await
    );
    api.database
        .execute("update identity set enabled = false where login = 'admin'")
        .await;
    assert_eq!(
        wrong,
        refused(json!({"login": "admin", "password": PASSWORD}), "192.0.2.3:1").await
    );
    api.close().await;
}

#[tokio::test]
async fn five_attempts_a_minute_for_an_account() {
    let api = api().await;
    let attempt = |password: &str, from: &str| login(json!({"login": "admin", "password": password})).from(from);
    for _ in 0..5 {
        api.send(attempt("wrong", "192.0.2.1:1")).await.expect(401);
    }
    // From any address, even with the right password.
    let limited = api.send(attempt(PASSWORD, "192.0.2.9:1")).await.expect(429);
    let wait: u32 = limited.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    api.database.move_clock("61 seconds").await;
    api.send(attempt(PASSWORD, "192.0.2.1:1")).await.expect(200);
    // A successful sign-in resets the count.
    for _ in 0..5 {
        api.send(attempt("wrong", "192.0.2.1:1")).await.expect(401);
    }
    api.close().await;
}

#[tokio::test]
async fn twenty_attempts_a_minute_from_an_address() {
    let api = api().await;
    let attempt = |n: usize, from: &str| login(json!({"login": format!("user{n}"), "password": "wrong"})).from(from);
    for n in 0..20 {
        api.send(attempt(n, &format!("[2001:db8::{n}]:1"))).await.expect(401);
    }
    api.send(attempt(99, "[2001:db8::beef]:1")).await.expect(429);
    api.send(attempt(99, "[2001:db8:1::1]:1")).await.expect(401);
    api.close().await;
}

#[tokio::test]
async fn a_new_password_ends_every_sign_in() {
    let api = api().await;
    let sign_in = || login(json!({"login": "admin", "password": PASSWORD}));
    let (here, _) = tokens(&api.send(sign_in()).await.expect(200).body);
    let (there, refresh) = tokens(&api.send(sign_in()).await.expect(200).body);
    let set = |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        Call::new("PUT", "/auth/password").token(Some(&here)).json(body)
    };
    assert_eq!(
        api.send(set("wrong", "a much better one")).await.expect(422).fields(),
        ["current_password"]
    );
    assert_eq!(
        api.send(set(PASSWORD, "short")).await.expect(422).fields(),
        ["new_password"]
    );
    api.send(set(PASSWORD, "a much better one")).await.expect(200);
    api.send(Call::new("GET", "/auth/me").token(Some(&there)))
        .await
        .expect(401);
    api.send(
        Call::new("POST", "/auth/refresh")
            .token(None)
            .json(json!({"refresh_token": refresh})),
    )
    .await
    .expect(401);
    let (again, _) = tokens(
        &api.send(login(json!({"login": "admin", "password": "a much better one"})))
            .await
            .expect(200)
            .body,
    );
    api.send(Call::new("GET", "/auth/me").token(Some(&again)))
        .await
        .expect(200);
    api.close().await;
}

#[tokio::test]
async fn the_first_admin_is_created_once() {
    let api = TestApi::new().await;
    let pool = &api.database.pool;
    assert!(matches!(
        ensure_admin(pool, None).await.expect("the database answers"),
        FirstAdmin::Existing
    ));
    api.database.execute("delete from identity").await;
    assert!(ensure_admin(pool, Some("weak".into())).await.is_err());
    // An admin with an unknown password is not created.
    api.database
        .execute("alter table audit add constraint refused check (false) not valid")
        .await;
    ensure_admin(pool, None).await.expect_err("the audit is refused");
    api.database.execute("alter table audit drop constraint refused").await;
    let FirstAdmin::Created { password, .. } = ensure_admin(pool, None).await.expect("made") else {
        panic!("there was no admin");
    };
    assert!(password.expose_secret().len() >= 24);
    api.send(login(json!({"login": "admin", "password": password.expose_secret()})))
        .await
        .expect(200);
    assert!(matches!(
        ensure_admin(pool, None).await.expect("the database answers"),
        FirstAdmin::Existing
    ));
    api.close().await;
}

#[tokio::test]
async fn identities_are_managed_by_admins() {
    let api = TestApi::new().await;
    let body = json!({"login": "ann", "password": "a fine long password", "role": "operator"});
    let made = api.post("/api/v1/identities", body.clone()).await.expect(201);
    assert!(!made.body.to_string().contains("password"), "{}", made.body);
    assert_eq!(
        api.post("/api/v1/identities", body).await.expect(409).fields(),
        ["login"]
    );
    let bad = json!({"login": "Not good", "password": "x", "role": "king", "more": 1});
    assert_eq!(
        api.post("/api/v1/identities", bad).await.expect(422).fields(),
        ["role", "more", "login", "password"]
    );
    let (token, _) = tokens(
        &api.send(login(json!({"login": "ann", "password": "a fine long password"})))
            .await
            .expect(200)
            .body,
    );
    api.send(Call::new("GET", "/api/v1/identities").token(Some(&token)))
        .await
        .expect(403);
    let listed = api.get("/api/v1/identities?limit=2").await.expect(200);
    assert_eq!(listed.body["pagination"]["next"], "ann");
    assert_eq!(Role::ALL.len() + 1, 5);
    api.close().await;
}

/// Each admin may demote the other, but concurrent requests must not demote both.
#[tokio::test]
async fn two_admins_do_not_lock_each_other_out() {
    let api = TestApi::new().await;
    let (first, second) = (api.identities[&Role::Admin], api.identity("second", Role::Admin).await);
    let mut others = Transaction::begin(&api.database.pool).await.expect("a transaction");
    assert!(identity::other_admin(&mut others, first).await.expect("a result"));
    identity::update(&mut others, first, "first", Role::Viewer, true)
        .await
        .expect("the second takes it from the first");
    let path = format!("/api/v1/identities/{second}");
    let taken = api.patch(&path, json!({"role": "viewer"}));
    let waits = async || {
        let waiting =
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        (api.database.count(waiting).await > 0).then_some(())
    };
    let committed = async {
        eventually("the first waits", Duration::from_secs(10), waits).await;
        others.commit().await.expect("committed");
    };
    let (taken, ()) = tokio::join!(taken, committed);
    assert_eq!(taken.expect(409).kind(), "last_admin");
    let left = "select count(*) from identity where role = 'admin' and enabled";
    assert_eq!(api.database.count(left).await, 1);
    api.close().await;
}

/// People type their password into the field of the login. It must not be stored.
#[tokio::test]
async fn a_mistyped_login_is_not_stored() {
    let api = api().await;
    for typed in ["hunter2-is-my-password", "Hunter2 With Blanks!", "stranger"] {
        api.send(login(json!({"login": typed, "password": "x"})))
            .await
            .expect(401);
        let rows = format!(
            "select (select count(*) from audit a where to_jsonb(a)::text ilike '%{typed}%')
                  + (select count(*) from sign_in_attempt a where to_jsonb(a)::text ilike '%{typed}%')"
        );
        assert_eq!(api.database.count(&rows).await, 0, "{typed}");
    }
    let refused = async |actor: &str| {
        let rows = format!("select count(*) from audit where verb = 'sign_in_refused' and actor = '{actor}'");
        api.database.count(&rows).await
    };
    assert_eq!(refused("unknown account").await, 3);
    api.send(login(json!({"login": "admin", "password": "x"})))
        .await
        .expect(401);
    assert_eq!(refused("admin").await, 1);
    api.close().await;
}

#[tokio::test]
async fn the_password_file_is_removed_when_the_password_changes() {
    let mut api = api().await;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("admin-password");
    std::fs::write(&file, PASSWORD).expect("a file can be written");
    api.configured(|config| config.keep_generated_password(file.clone()));
    let (token, _) = tokens(
        &api.send(login(json!({"login": "admin", "password": PASSWORD})))
            .await
            .expect(200)
            .body,
    );
    let set = |new: &str| {
        let body = json!({"current_password": PASSWORD, "new_password": new});
        Call::new("PUT", "/auth/password").token(Some(&token)).json(body)
    };
    api.send(set("short")).await.expect(422);
    assert!(file.exists(), "nothing changed");
    api.send(set("a much better one")).await.expect(200);
    assert!(!file.exists());
    api.close().await;
}

#[tokio::test]
async fn a_new_password_revokes_tokens_on_request_and_lists_the_rest() {
    let api = api().await;
    let sign_in = async |password: &str| {
        let body = json!({"login": "admin", "password": password});
        tokens(&api.send(login(body)).await.expect(200).body).0
    };
    let set = async |current: &str, new: &str, end: Option<bool>| {
        let token = sign_in(current).await;
        let mut body = json!({"current_password": current, "new_password": new});
        if let Some(end) = end {
            body["end_tokens"] = json!(end);
        }
        let call = Call::new("PUT", "/auth/password").token(Some(&token)).json(body);
        api.send(call).await.expect(200).body["data"].clone()
    };
    let with = sign_in(PASSWORD).await;
    let call = Call::new("POST", "/api/v1/tokens")
        .token(Some(&with))
        .json(json!({"label": "ci"}));
    let made = api.send(call).await.expect(201).body["data"].clone();
    let works = async || {
        let call = Call::new("GET", "/auth/me").token(made["token"].as_str());
        api.send(call).await.status.as_u16()
    };
    let kept = set(PASSWORD, "a much better one", None).await;
    assert_eq!(kept["tokens_revoked"], json!([]));
    assert_eq!(kept["tokens_kept"][0]["id"], made["id"]);
    assert_eq!(works().await, 200);
    let ended = set("a much better one", PASSWORD, Some(true)).await;
    assert_eq!(
        (&ended["tokens_revoked"], &ended["tokens_kept"]),
        (&json!([made["id"]]), &json!([]))
    );
    assert_eq!(works().await, 401);
    api.close().await;
}
