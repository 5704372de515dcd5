//! Operations: the audit, keys of webhooks, retention, metrics.

use crate::{
    hook::Hook,
    test_api::{Call, TestApi},
};
use attune_common::metrics;
use attune_domain::identity::Role;
use serde_json::{Value, json};

async fn audit(api: &TestApi, query: &str) -> Vec<Value> {
    let page = api.get(&format!("/api/v1/audit?{query}")).await.expect(200).body;
    page["data"].as_array().expect("a list").clone()
}

/// The verb and the object of each entry.
fn verbs(entries: &[Value]) -> Vec<String> {
    let text = |entry: &Value, name: &str| entry[name].as_str().expect("a text").to_owned();
    let pairs = entries
        .iter()
        .map(|entry| format!("{} {}", text(entry, "verb"), text(entry, "object")));
    pairs.collect()
}

/// The same, four at a time.
async fn by_pages(api: &TestApi, query: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut path = format!("/api/v1/audit?{query}&limit=4");
    loop {
        let page = api.get(&path).await.expect(200).body;
        pages.extend(page["data"].as_array().expect("a list").clone());
        let Some(next) = page["pagination"]["next"].as_str() else {
            return pages;
        };
        path = format!("/api/v1/audit?{query}&limit=4&cursor={next}");
    }
}

const SECRET: &str = "a fine long password";

/// Ann signs in, after one wrong password, and makes changes. Returns the number of the token that she creates.
async fn ann_works(api: &TestApi) -> i64 {
    let ann = json!({"login": "ann", "password": SECRET, "role": "editor"});
    let id = api.post("/api/v1/identities", ann).await.expect(201).body["data"]["id"].clone();
    let login = |password: &str| {
        Call::new("POST", "/auth/login")
            .token(None)
            .json(json!({"username": "ann", "password": password}))
    };
    api.send(login("wrong")).await.expect(401);
    let tokens = api.send(login(SECRET)).await.expect(200).body;
    let ann = tokens["data"]["access_token"].as_str().expect("a token");
    let by_ann = async |method: &str, path: &str, body: Value| {
        api.send(
            Call::new(method, path)
                .json(body)
                .token(Some(ann))
                .header("x-request-id", "request-of-ann"),
        )
        .await
    };
    let token = by_ann("POST", "/api/v1/tokens", json!({"label": "ci", "role": "editor"}))
        .await
        .expect(201)
        .body;
    let number = token["data"]["id"].as_i64().expect("a number");
    let bell = json!({"ref": "core.bell", "kind": "custom"});
    let api_token = token["data"]["token"].as_str();
    api.send(Call::new("POST", "/api/v1/triggers").json(bell).token(api_token))
        .await
        .expect(201);
    by_ann(
        "PUT",
        "/api/v1/triggers/core.bell",
        json!({"kind": "custom", "label": "Bell"}),
    )
    .await
    .expect(200);
    by_ann("POST", "/api/v1/triggers/core.bell/disable", json!({}))
        .await
        .expect(200);
    by_ann("POST", "/api/v1/triggers/core.bell/fire", json!({}))
        .await
        .expect(201);
    by_ann("POST", "/api/v1/executions", json!({"action_ref": "core.noop"}))
        .await
        .expect(201);
    by_ann("DELETE", &format!("/api/v1/tokens/{number}"), json!({}))
        .await
        .expect(204);
    api.patch(&format!("/api/v1/identities/{id}"), json!({"role": "viewer"}))
        .await
        .expect(200);
    number
}

#[tokio::test]
async fn admins_read_the_audit() {
    let api = TestApi::new().await;
    let number = ann_works(&api).await;
    let of_ann = audit(&api, "actor=ann").await;
    let token_object = format!("token {number}");
    assert_eq!(
        verbs(&of_ann),
        [
            &format!("revoke {token_object}"),
            "run action core.noop",
            "fire trigger core.bell",
            "disable trigger core.bell",
            "update trigger core.bell",
            "create trigger core.bell",
            &format!("create {token_object}"),
            "sign_in session",
            "sign_in_refused session",
        ],
    );
    assert_eq!(of_ann[5]["actor"], format!("ann (token {number})"));
    assert_eq!(
        (&of_ann[4]["request_id"], &of_ann[4]["address"]),
        (&json!("request-of-ann"), &json!("192.0.2.1"))
    );
    assert_eq!(
        of_ann[4]["before_hash"], of_ann[5]["after_hash"],
        "the chain of a definition can be followed"
    );
    assert_ne!(of_ann[4]["before_hash"], of_ann[4]["after_hash"]);
    assert_eq!(
        verbs(&audit(&api, "object=identity%20ann").await),
        ["update identity ann", "create identity ann"]
    );
    assert_eq!(audit(&api, "verb=sign_in_refused").await.len(), 1);
    assert_eq!(audit(&api, "until=2020-01-01T00:00:00Z").await.len(), 0);

    let everything = api.get("/api/v1/audit?limit=200").await.expect(200).body.to_string();
    for hidden in [SECRET, "atn_", "atr_", "argon2"] {
        assert!(!everything.contains(hidden), "{hidden}");
    }
    assert_eq!(by_pages(&api, "actor=ann").await, of_ann);
    for role in [Role::Viewer, Role::Operator, Role::Editor] {
        api.send(Call::new("GET", "/api/v1/audit").token(Some(api.token(role))))
            .await
            .expect(403);
    }
    api.close().await;
}

#[tokio::test]
async fn a_webhook_gets_another_secret_without_a_gap() {
    let hook = Hook::new(json!({"verify": "gitlab", "secret": "first secret"})).await;
    let with = async |token: &str| {
        hook.send(hook.call("{}").header("x-gitlab-token", token))
            .await
            .status
            .as_u16()
    };
    let rotate = async |body: Value| hook.api.post("/api/v1/triggers/core.hook/rotate-secret", body).await;
    let answer = rotate(json!({"overlap_seconds": 3600})).await.expect(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.body["data"]["secret"].as_str().expect("shown once").to_owned();
    assert_eq!(
        (made.len(), with(&made).await, with("first secret").await),
        (64, 202, 202)
    );
    let stored = format!(
        "select count(*) from trigger where config::text like '%{made}%' or config::text like '%first secret%'"
    );
    assert_eq!(hook.api.database.count(&stored).await, 0, "both are sealed");

    // Another rotation would invalidate the first secret early.
    let refused = rotate(json!({"secret": "too soon"})).await.expect(409);
    assert_eq!((refused.kind(), with("first secret").await), ("previous_counts", 202));
    // The previous secret has expired.
    hook.api
        .database
        .execute("update trigger set config = jsonb_set(config, '{secret_previous_expires_at}', '\"2020-01-01T00:00:00Z\"') where ref = 'core.hook'")
        .await;
    attune_common::testing::eventually(
        "the first secret is refused",
        std::time::Duration::from_secs(10),
        async || (with("first secret").await == 401).then_some(()),
    )
    .await;
    assert_eq!(with(&made).await, 202);
    let shown = hook.api.get("/api/v1/triggers/core.hook").await.expect(200).body["data"]["config"].clone();
    assert_eq!(shown, json!({"verify": "gitlab", "secret": "********"}), "one is left");

    let given = rotate(json!({"secret": "third secret", "overlap_seconds": 0}))
        .await
        .expect(200);
    assert_eq!(given.body["data"]["secret"], Value::Null, "who gave it knows it");
    assert_eq!((with("third secret").await, with(&made).await), (202, 401));
    assert_eq!(
        rotate(json!({"overlap_seconds": -1})).await.expect(422).fields(),
        ["overlap_seconds"]
    );
    for short in ["", "seven77"] {
        assert_eq!(rotate(json!({"secret": short})).await.expect(422).fields(), ["secret"]);
    }
    hook.change(json!({"verify": "none"})).await.expect(200);
    assert_eq!(rotate(json!({})).await.expect(409).kind(), "no_secret");
    let timer = hook
        .api
        .post("/api/v1/triggers/core.timer_10s/rotate-secret", json!({}))
        .await
        .expect(409);
    assert_eq!(timer.kind(), "not_a_webhook");
    assert_eq!(audit(&hook.api, "verb=rotate_secret").await.len(), 2);
    hook.api.close().await;
}

#[tokio::test]
async fn a_webhook_gets_another_address_without_a_gap() {
    let hook = Hook::new(json!({"verify": "none"})).await;
    let rotate = async |seconds: i64| {
        let path = "/api/v1/triggers/core.hook/rotate-key";
        let data = hook
            .api
            .post(path, json!({"overlap_seconds": seconds}))
            .await
            .expect(200)
            .body["data"]
            .clone();
        data["webhook_url"]
            .as_str()
            .expect("an address")
            .trim_start_matches("https://attune.example.org")
            .to_owned()
    };
    let call = async |path: &str| {
        let call = Call::new("POST", path)
            .token(None)
            .header("content-type", "application/json")
            .raw("{}");
        hook.send(call).await.status.as_u16()
    };
    let second = rotate(3600).await;
    assert_ne!(second, hook.path);
    let too_soon = hook.api.post("/api/v1/triggers/core.hook/rotate-key", json!({}));
    assert_eq!(too_soon.await.expect(409).kind(), "previous_counts");
    assert_eq!((call(&hook.path).await, call(&second).await), (202, 202));
    hook.api.database.move_clock("61 minutes").await;
    attune_common::testing::eventually(
        "the first address is gone",
        std::time::Duration::from_secs(10),
        async || (call(&hook.path).await == 404).then_some(()),
    )
    .await;
    let third = rotate(0).await;
    assert_eq!((call(&third).await, call(&second).await), (202, 404));
    assert_eq!(audit(&hook.api, "verb=rotate_key").await.len(), 2);
    hook.api.close().await;
}

#[tokio::test]
async fn a_new_encryption_key_is_used_when_a_trigger_is_written() {
    let mut hook = Hook::new(json!({"verify": "gitlab", "secret": "a fine secret"})).await;
    let first = hook.api.context.config.security.encryption_key.clone();
    hook.api.configured(|config| {
        config.security.encryption_key = Some("5c1f0c7d9e2a48566f7a8b9c0d1e2f30415263748596a7b8".into());
        config.security.encryption_key_previous = first;
    });
    let with = |hook: &Hook| hook.call("{}").header("x-gitlab-token", "a fine secret");
    hook.send(with(&hook)).await.expect(202);
    hook.api
        .patch("/api/v1/triggers/core.hook", json!({"label": "Hook"}))
        .await
        .expect(200);
    hook.api
        .configured(|config| config.security.encryption_key_previous = None);
    hook.send(with(&hook)).await.expect(202);
    hook.api.close().await;
}

#[tokio::test]
async fn retention_reports_what_it_removed() {
    let api = TestApi::new().await;
    let pool = &api.database.pool;
    api.database
        .execute("select partition_create('execution_log', (db_now() - interval '40 days')::date); select partition_create('event', (db_now() - interval '40 days')::date)")
        .await;
    let of = async |table: &str| {
        let tables = api.get("/api/v1/retention").await.expect(200).body["data"].clone();
        let row = tables
            .as_array()
            .expect("a list")
            .iter()
            .find(|row| row["table"] == table)
            .cloned();
        row.expect("the table has a retention")
    };
    let before = of("execution_log").await;
    assert_eq!(
        (
            &before["keep_days"],
            &before["removed_partitions"],
            &before["expired_at"]
        ),
        (&json!(14), &json!(0), &Value::Null)
    );
    let kept = attune_common::store::upkeep::keep(pool, &[("event", 60), ("execution_log", 14)])
        .await
        .expect("kept");
    assert_eq!(kept, ["event"], "only what changes");
    attune_common::store::upkeep::expire(pool).await.expect("expired");
    let (log, event) = (of("execution_log").await, of("event").await);
    assert_eq!(
        (&log["removed_partitions"], &event["removed_partitions"]),
        (&json!(1), &json!(0))
    );
    assert!(
        log["removed_at"].is_string() && event["removed_at"].is_null() && event["expired_at"].is_string(),
        "{log} {event}"
    );
    assert_eq!(
        (&event["keep_days"], event["oldest_day"] != before["oldest_day"]),
        (&json!(60), false),
        "{event}"
    );
    assert!(log["oldest_day"].as_str() > before["oldest_day"].as_str(), "{log}");
    api.close().await;
}

#[tokio::test]
async fn requests_are_counted_by_route() {
    metrics::init();
    let api = TestApi::new().await;
    api.get("/api/v1/rules/core.nothing").await.expect(404);
    api.get("/api/v1/rules/core.other").await.expect(404);
    api.get("/nowhere").await.expect(404);
    let text = metrics::render();
    let line = |expected: &str| text.lines().any(|line| line == expected);
    assert!(
        line(r#"attune_http_requests_total{method="GET",route="/api/v1/rules/{ref}",status="404"} 2"#),
        "{text}"
    );
    assert!(
        line(r#"attune_http_requests_total{method="GET",route="unmatched",status="404"} 1"#),
        "{text}"
    );
    assert!(
        line(r#"attune_http_request_seconds_count{method="GET",route="/api/v1/rules/{ref}"} 2"#),
        "{text}"
    );
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().expect("a name");
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no HELP");
    }
    api.close().await;
}
