//! Sessions of browsers: the cookie, the rules against other sites, links, expiry, and step-up.

use crate::{
    sign_in::{PASSWORD, api},
    stream::Watcher,
    test_api::{Answer, Call, TestApi},
};
use attune_api::auth::sign_in_link;
use attune_domain::identity::Role;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

const HOST: &str = "127.0.0.1:8080";
const STRICT: &str = "__Host-attune_8080";

/// A request of a script of the UI.
fn script(method: &str, path: &str) -> Call {
    Call::new(method, path)
        .token(None)
        .from("127.0.0.1:1000")
        .header("host", HOST)
        .header("sec-fetch-site", "same-origin")
        .header("x-attune", "1")
}

fn cookies(answer: &Answer) -> Vec<String> {
    let lines = answer.headers.get_all("set-cookie").iter();
    lines.map(|line| line.to_str().expect("text").to_owned()).collect()
}

/// `name=value` of the strict cookie.
fn cookie(answer: &Answer) -> String {
    let lines = cookies(answer);
    let line = lines.iter().find(|line| line.starts_with(STRICT)).expect("the cookie");
    line.split(';').next().expect("a pair").to_owned()
}

async fn sign_in(api: &TestApi) -> String {
    let body = json!({"login": "admin", "password": PASSWORD});
    cookie(&api.send(script("POST", "/auth/web/login").json(body)).await.expect(200))
}

async fn link(api: &TestApi) -> String {
    let key = sign_in_link(&api.database.pool, "admin").await.expect("the database");
    key.expect("admin exists").expose_secret().to_owned()
}

fn with_link(key: &str) -> Call {
    script("POST", "/auth/web/link").json(json!({"k": key}))
}

#[tokio::test]
async fn a_cookie_signs_in_and_works_for_every_route() {
    let api = api().await;
    let body = json!({"login": "Admin", "password": PASSWORD});
    let answer = api.send(script("POST", "/auth/web/login").json(body)).await.expect(200);
    let data = &answer.body["data"];
    assert_eq!(
        (&data["user"]["login"], &data["user"]["role"]),
        (&json!("admin"), &json!("admin"))
    );
    assert!(
        data["rights"]
            .as_array()
            .expect("a list")
            .contains(&json!("POST /api/v1/rules"))
    );
    assert!(data["expires_at"].is_string());
    assert_eq!(answer.header("cache-control"), "no-store");
    let lines = cookies(&answer);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, name) in lines.iter().zip([STRICT, "attune_8080"]) {
        assert!(line.starts_with(&format!("{name}=atw_")), "{line}");
        for part in ["Path=/", "HttpOnly", "SameSite=Strict", "Max-Age=1209600"] {
            assert!(line.split("; ").any(|given| given == part), "{line} lacks {part}");
        }
        assert_eq!(line.contains("Secure"), name == STRICT, "{line}");
    }
    let pair = cookie(&answer);
    let value = pair.split_once('=').expect("a pair").1;
    assert!(!answer.body.to_string().contains(value));
    let stored = format!("select count(*) from refresh_token where encode(hash, 'escape') like '%{value}%'");
    assert_eq!(api.database.count(&stored).await, 0, "hashed at rest");

    let with = |call: Call| call.header("cookie", &format!("theme=dark; {pair}"));
    api.send(with(script("GET", "/api/v1/rules"))).await.expect(200);
    let made = with(script("POST", "/api/v1/packs").json(json!({"ref": "mine"})));
    api.send(made).await.expect(201);
    let me = api.send(with(script("GET", "/auth/me"))).await.expect(200);
    assert_eq!(me.body["data"]["session"]["expires_at"], data["expires_at"]);
    let plain = script("GET", "/auth/web/session").header("cookie", &format!("attune_8080={value}"));
    api.send(plain).await.expect(200);
    // Another instance on this machine has other names.
    let other = script("GET", "/auth/web/session").header("cookie", &format!("attune_8081={value}"));
    api.send(other).await.expect(401);
    api.send(script("GET", "/auth/web/session")).await.expect(401);
    let refresh = Call::new("POST", "/auth/refresh")
        .token(None)
        .json(json!({"refresh_token": value}));
    api.send(refresh).await.expect(401);
    api.close().await;
}

#[tokio::test]
async fn only_a_secure_cookie_is_set_for_other_machines() {
    let api = api().await;
    let call = Call::new("POST", "/auth/web/login")
        .token(None)
        .header("host", "attune.example.org")
        .header("origin", "https://attune.example.org")
        .header("x-attune", "1")
        .json(json!({"login": "admin", "password": PASSWORD}));
    let lines = cookies(&api.send(call).await.expect(200));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("__Host-attune_443=") && lines[0].contains("Secure"),
        "{lines:?}"
    );
    api.close().await;
}

#[tokio::test]
async fn other_sites_cannot_use_the_cookie() {
    let api = api().await;
    let pair = sign_in(&api).await;
    let call = |method: &str, headers: &[(&str, &str)]| {
        let call = Call::new(method, "/api/v1/executions")
            .token(None)
            .header("cookie", &pair);
        let call = headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value));
        if method == "POST" {
            call.json(json!({"action_ref": "core.noop"}))
        } else {
            call
        }
    };
    let (host, mark) = (("host", HOST), ("x-attune", "1"));
    let origin = ("origin", "http://127.0.0.1:8080");
    let site = |value: &'static str| ("sec-fetch-site", value);
    for good in [
        vec![host, mark, site("same-origin")],
        vec![host, mark, origin],
        // Behind a proxy that changes the host.
        vec![host, mark, ("origin", "https://attune.example.org")],
    ] {
        api.send(call("POST", &good)).await.expect(201);
    }
    for (bad, kind) in [
        (vec![host, site("same-origin")], "cross_site"),
        (vec![host, mark], "cross_site"),
        (vec![host, ("x-attune", "0"), site("same-origin")], "cross_site"),
        (vec![host, mark, site("same-site")], "cross_site"),
        (vec![host, mark, site("cross-site"), origin], "cross_site"),
        (vec![host, mark, site("none")], "cross_site"),
        (vec![host, mark, ("origin", "http://127.0.0.1:18781")], "cross_site"),
        (vec![host, mark, ("origin", "https://evil.example")], "cross_site"),
        (vec![host, mark, ("origin", "null")], "cross_site"),
        (vec![("host", "evil.example:8080"), mark, site("same-origin")], "host"),
        (
            vec![("host", "127.0.0.1.evil.example:8080"), mark, site("same-origin")],
            "host",
        ),
    ] {
        let answer = api.send(call("POST", &bad)).await.expect(403);
        assert_eq!(answer.kind(), kind, "{bad:?}");
    }
    let form = Call::new("POST", "/api/v1/executions")
        .token(None)
        .header("cookie", &pair);
    let form = form
        .header("host", HOST)
        .header("x-attune", "1")
        .header("sec-fetch-site", "same-origin");
    let form = form.header("content-type", "text/plain; charset=utf-8").raw("{}");
    assert_eq!(api.send(form).await.expect(403).kind(), "cross_site");

    api.send(call("GET", &[host])).await.expect(200);
    api.send(call("GET", &[host, site("none")])).await.expect(200);
    for bad in ["cross-site", "same-site"] {
        let answer = api.send(call("GET", &[host, site(bad)])).await.expect(403);
        assert_eq!(answer.kind(), "cross_site", "{bad}");
    }
    // Signing in, too: nobody signs a browser in as somebody else.
    let login = json!({"login": "admin", "password": PASSWORD});
    let login = Call::new("POST", "/auth/web/login")
        .token(None)
        .header("host", HOST)
        .json(login);
    assert_eq!(api.send(login).await.expect(403).kind(), "cross_site");
    api.close().await;
}

#[tokio::test]
async fn a_bearer_token_takes_precedence_and_is_exempt_from_the_rules() {
    let api = api().await;
    let pair = sign_in(&api).await;
    let create = |token: &str| {
        let call = Call::new("POST", "/api/v1/packs")
            .token(Some(token))
            .header("cookie", &pair);
        call.header("host", "any.example")
            .header("sec-fetch-site", "cross-site")
            .json(json!({"ref": "mine"}))
    };
    let refused = api.send(create(api.token(Role::Viewer))).await.expect(403);
    assert_eq!(refused.kind(), "forbidden");
    api.send(create(api.token(Role::Editor))).await.expect(201);
    api.close().await;
}

#[tokio::test]
async fn a_link_works_once_and_for_ten_minutes() {
    let mut api = api().await;
    let key = link(&api).await;
    let first = api.send(with_link(&key)).await.expect(200);
    assert_eq!(first.body["data"]["user"]["login"], "admin");
    let session = script("GET", "/auth/web/session").header("cookie", &cookie(&first));
    api.send(session).await.expect(200);
    let refused = async |api: &TestApi, call: Call, kind: &str| {
        let answer = api.send(call).await.expect(401);
        assert_eq!(answer.kind(), kind);
        assert!(cookies(&answer).is_empty());
    };
    refused(&api, with_link(&key), "link_used").await;
    refused(&api, with_link("0123"), "link_unknown").await;
    let late = link(&api).await;
    api.database.move_clock("11 minutes").await;
    refused(&api, with_link(&late), "link_expired").await;

    // Only on this machine, unless a public URL is configured.
    let key = link(&api).await;
    api.send(with_link(&key).from("192.0.2.1:1000")).await.expect(200);
    api.configured(|config| config.api.public_url = None);
    let key = link(&api).await;
    refused(&api, with_link(&key).from("192.0.2.1:1000"), "link_elsewhere").await;
    api.send(with_link(&key)).await.expect(200);
    let audited = format!("select count(*) from audit a where a::text like '%{key}%'");
    assert_eq!(api.database.count(&audited).await, 0);

    api.database
        .execute("update identity set enabled = false where login = 'admin'")
        .await;
    let gone = sign_in_link(&api.database.pool, "admin").await.expect("the database");
    assert!(gone.is_none(), "a disabled user gets no link");
    api.close().await;
}

#[tokio::test]
async fn a_session_ends_without_requests_of_its_user() {
    let mut api = api().await;
    let pair = sign_in(&api).await;
    let status = async |api: &mut TestApi, after: &str, background: &str| {
        api.database.move_clock(after).await;
        // Without what it remembers.
        api.configured(|_| {});
        let call = script("GET", "/auth/web/session").header("cookie", &pair);
        let answer = api.send(call.header("x-attune-background", background)).await;
        answer.status.as_u16()
    };
    assert_eq!(status(&mut api, "11 hours", "1").await, 200);
    assert_eq!(status(&mut api, "11 hours", "0").await, 200);
    assert_eq!(
        status(&mut api, "22 hours", "1").await,
        200,
        "the user did something 11 hours ago"
    );
    assert_eq!(
        status(&mut api, "24 hours", "1").await,
        401,
        "background requests do not count"
    );
    assert_eq!(status(&mut api, "24 hours", "0").await, 401);
    api.database.move_clock("0 hours").await;
    api.configured(|_| {});
    let pair = sign_in(&api).await;
    for step in 1..=30 {
        api.database.move_clock(&format!("{} hours", 11 * step)).await;
        api.configured(|_| {});
        let call = script("GET", "/auth/web/session").header("cookie", &pair);
        api.send(call).await.expect(200);
    }
    api.database.move_clock("337 hours").await;
    api.configured(|_| {});
    let call = script("GET", "/auth/web/session").header("cookie", &pair);
    api.send(call).await.expect(401);
    api.close().await;
}

#[tokio::test]
async fn signing_out_ends_the_session_and_clears_the_browser() {
    let api = api().await;
    let pair = sign_in(&api).await;
    let out = script("POST", "/auth/web/logout").header("cookie", &pair);
    let answer = api.send(out).await.expect(204);
    assert_eq!(answer.header("clear-site-data"), "\"cache\"");
    let lines = cookies(&answer);
    assert_eq!(lines.len(), 2);
    assert!(
        lines
            .iter()
            .all(|line| line.contains("=; ") && line.contains("Max-Age=0")),
        "{lines:?}"
    );
    let session = |pair: &str| script("GET", "/auth/web/session").header("cookie", pair);
    api.send(session(&pair)).await.expect(401);

    // A second sign-in replaces the session of the browser, and a new password ends all.
    let first = sign_in(&api).await;
    let again = script("POST", "/auth/web/login").header("cookie", &first);
    let again = api
        .send(again.json(json!({"login": "admin", "password": PASSWORD})))
        .await
        .expect(200);
    api.send(session(&first)).await.expect(401);
    let second = cookie(&again);
    api.send(session(&second)).await.expect(200);
    let change = json!({"current_password": PASSWORD, "new_password": "another correct horse"});
    let change = script("PUT", "/auth/password").header("cookie", &second).json(change);
    api.send(change).await.expect(200);
    api.send(session(&second)).await.expect(401);
    let bearer = Call::new("POST", "/auth/web/logout")
        .token(Some(api.token(Role::Viewer)))
        .json(json!({}));
    assert_eq!(api.send(bearer).await.expect(409).kind(), "not_signed_in");
    api.close().await;
}

#[tokio::test]
async fn powerful_requests_require_a_recent_password() {
    let mut api = api().await;
    let pair = sign_in(&api).await;
    let hook = json!({"ref": "core.hook", "kind": "webhook", "config": {"verify": "none"}});
    let hook = Call::new("POST", "/api/v1/triggers")
        .token(Some(api.token(Role::Editor)))
        .json(hook);
    api.send(hook).await.expect(201);
    let requests: [(&str, Value); 4] = [
        ("/api/v1/tokens", json!({"label": "ci", "role": "operator"})),
        (
            "/api/v1/identities",
            json!({"login": "eve", "password": "correct horse battery", "role": "admin"}),
        ),
        ("/api/v1/triggers/core.hook/rotate-key", json!({})),
        ("/api/v1/triggers/core.hook/rotate-secret", json!({})),
    ];
    api.database.move_clock("11 minutes").await;
    api.configured(|_| {});
    for (path, body) in &requests {
        let call = script("POST", path).header("cookie", &pair).json(body.clone());
        assert_eq!(api.send(call).await.expect(403).kind(), "step_up", "{path}");
    }
    let viewer = script("POST", "/api/v1/tokens").header("cookie", &pair);
    api.send(viewer.json(json!({"label": "read", "role": "viewer"})))
        .await
        .expect(201);
    let pair = sign_in(&api).await;
    for (path, body) in &requests[..3] {
        let call = script("POST", path).header("cookie", &pair).json(body.clone());
        assert!(api.send(call).await.status.is_success(), "{path}");
    }
    api.close().await;
}

#[tokio::test]
async fn a_stream_with_a_cookie_ends_when_the_user_is_disabled() {
    let api = api().await;
    let pair = sign_in(&api).await;
    let mut watcher = Watcher::with(&api, "", &[("host", HOST), ("cookie", &pair)]).await;
    let path = format!(
        "/api/v1/identities/{}",
        api.database
            .count("select id from identity where login = 'admin'")
            .await
    );
    let other = api.identity("other", Role::Admin).await;
    let other = api.sign_in(other).await;
    let disable = Call::new("PATCH", &path)
        .token(Some(&other))
        .json(json!({"enabled": false}));
    api.send(disable).await.expect(200);
    let end = watcher.next_event().await;
    assert_eq!(
        (end.event.as_str(), &end.data["reason"]),
        ("end", &json!("unauthorized"))
    );
    drop(watcher);
    api.close().await;
}

#[tokio::test]
async fn rights_are_the_routes_of_a_role() {
    let api = TestApi::new().await;
    let rights = async |role: Role| {
        let me = api
            .send(Call::new("GET", "/auth/me").token(Some(api.token(role))))
            .await
            .expect(200);
        assert_eq!(me.body["data"]["session"], Value::Null);
        let rights = me.body["data"]["rights"].as_array().expect("a list").clone();
        rights
            .iter()
            .map(|right| right.as_str().expect("text").to_owned())
            .collect::<Vec<_>>()
    };
    for role in Role::ALL {
        let given = rights(*role).await;
        for route in attune_api::routes() {
            let text = format!("{} {}", route.method, route.path);
            let needed = route.right.role();
            assert_eq!(
                given.contains(&text),
                needed.is_some_and(|needed| role.covers(needed)),
                "{role} {text}"
            );
        }
    }
    api.close().await;
}

#[tokio::test]
async fn meta_describes_the_installation() {
    let api = TestApi::new().await;
    let meta = api.send(Call::new("GET", "/api/v1/meta").token(None)).await.expect(200);
    let data = &meta.body["data"];
    assert_eq!(data["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(data["public_url"], "https://attune.example.org");
    assert_eq!(data["limits"]["page"], 200);
    assert_eq!(data["ui_build"].as_str().map(str::len), Some(32));
    api.close().await;
}
