//! Secrets are set, granted and named, and never returned.

use crate::test_api::{Answer, Call, TestApi};
use attune_common::{
    packs::{self, Files, LoadError, Pack},
    pool_key::PoolKeys,
    secrets::{grant_place, literal_place},
    store::pool_key,
};
use attune_domain::{
    identity::Role,
    secret::{Hidden, Parameters},
};
use serde_json::{Value, json};

const KEY: &str = "7b1f0c7d9e2a48566f7a8b9c0d1e2f30415263748596a7b8";
const CANARY: &str = "canary-5f1d2c";

fn pool_keys(digit: &str) -> PoolKeys {
    PoolKeys::new(&digit.repeat(64).into(), None).expect("keys")
}

/// Registers the keys of two pools, as their workers do.
pub async fn register_keys(api: &TestApi) {
    for (pool, digit) in [("default", "1"), ("dmz", "2")] {
        let mut connection = api.database.pool.acquire().await.expect("a connection");
        let key = pool_keys(digit).public().to_text();
        pool_key::register(&mut connection, pool, &key, None)
            .await
            .expect("registered");
    }
}

/// An API that can encrypt, and a pack with an action that takes a secret.
pub async fn start() -> TestApi {
    let mut api = TestApi::new().await;
    api.configured(|config| config.security.encryption_key = Some(KEY.into()));
    register_keys(&api).await;
    api.post("/api/v1/packs", json!({"ref": "github"})).await.expect(201);
    api.post("/api/v1/packs", json!({"ref": "other"})).await.expect(201);
    let schema = json!({"type": "object", "properties": {
        "token": {"type": "string", "minLength": 4, "secret": true}, "url": {"type": "string"},
        "auth": {"type": "object", "properties": {"password": {"type": "string", "secret": true}}}}});
    for name in ["github.call", "other.call"] {
        let body =
            json!({"ref": name, "runtime_ref": "core.shell", "entry_point": "true", "parameters_schema": schema});
        api.post("/api/v1/actions", body).await.expect(201);
    }
    api
}

pub async fn put(api: &TestApi, path: &str, body: Value) -> Answer {
    api.send(Call::new("PUT", path).json(body)).await
}

async fn audit(api: &TestApi, object: &str) -> Vec<String> {
    let path = format!("/api/v1/audit?object={}", object.replace(' ', "%20"));
    let found = api.get(&path).await.expect(200);
    assert!(!found.body.to_string().contains(CANARY));
    let rows = found.body["data"].as_array().expect("a list").clone();
    let verbs = rows.iter().map(|row| {
        assert!(row["before_hash"].is_null() && row["after_hash"].is_null(), "{row}");
        row["verb"].as_str().expect("a verb").to_owned()
    });
    verbs.collect()
}

#[tokio::test]
async fn a_secret_is_set_and_granted_and_never_returned() {
    let api = start().await;
    let path = "/api/v1/secrets/github.token";
    let set = put(&api, path, json!({"value": CANARY, "description": "For the bot"}))
        .await
        .expect(200);
    let data = &set.body["data"];
    assert_eq!(
        (&data["version"], &data["set_by"], &data["pools"], &data["packs"]),
        (&json!(1), &json!("admin"), &json!(["default"]), &json!(["github"]))
    );
    let again = put(&api, path, json!({"value": {"user": "u", "password": CANARY}}))
        .await
        .expect(200);
    assert_eq!(again.body["data"]["version"], 2);
    let granted = put(
        &api,
        &format!("{path}/grants"),
        json!({"pools": ["default", "dmz"], "packs": ["github", "other.call"]}),
    )
    .await
    .expect(200);
    assert_eq!(granted.body["data"]["pools"], json!(["default", "dmz"]));
    let listed = api.get("/api/v1/secrets?pack_ref=github").await.expect(200);
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1));
    for answer in [&set, &again, &granted, &listed, &api.get(path).await.expect(200)] {
        assert!(!answer.body.to_string().contains(CANARY), "{}", answer.body);
    }
    // Each pool can open its own copy and no other.
    let copies = api
        .database
        .texts("select pool || '|' || sealed from secret_grant order by 1")
        .await;
    let id = api.database.count("select id from secret").await;
    for (copy, own, other) in [(&copies[0], "1", "2"), (&copies[1], "2", "1")] {
        let (pool, sealed) = copy.split_once('|').expect("a copy");
        let opened = pool_keys(own)
            .open(sealed, &grant_place(id, 2, pool))
            .expect("it opens");
        assert!(String::from_utf8_lossy(&opened).contains(CANARY));
        assert!(pool_keys(other).open(sealed, &grant_place(id, 2, pool)).is_err());
    }
    let dump = api
        .database
        .texts("select secret::text || (select string_agg(g::text, '') from secret_grant g) from secret")
        .await;
    assert!(!dump[0].contains(CANARY));
    assert_eq!(audit(&api, "secret github.token").await, ["grant", "set", "set"]);
    // Removing a grant removes the copy.
    put(&api, &format!("{path}/grants"), json!({"pools": []}))
        .await
        .expect(200);
    assert_eq!(api.database.count("select count(*) from secret_grant").await, 0);
    api.delete(path).await.expect(204);
    api.get(path).await.expect(404);
    assert_eq!(audit(&api, "secret github.token").await[0], "delete");
    api.close().await;
}

#[tokio::test]
async fn wrong_secrets_are_refused_by_field() {
    let api = start().await;
    for (path, body, field) in [
        ("secrets/github.x", json!({"value": "short"}), "value"),
        ("secrets/github.x", json!({"value": true}), "value"),
        ("secrets/github.x", json!({}), "value"),
        ("secrets/github.x", json!({"value": "x".repeat(70_000)}), "value"),
        (
            "secrets/github.x",
            json!({"value": CANARY, "expires_at": "2020-01-01T00:00:00Z"}),
            "expires_at",
        ),
        ("secrets/nowhere.x", json!({"value": CANARY}), "ref"),
        ("values/nowhere.x", json!({"value": 1}), "ref"),
        ("values/github.x", json!({"value": 1, "ttl_seconds": 0}), "ttl_seconds"),
        ("values/github.x", json!({}), "value"),
    ] {
        let answer = put(&api, &format!("/api/v1/{path}"), body).await.expect(422);
        assert_eq!(answer.body["errors"][0]["path"], field, "{path}: {}", answer.body);
        assert!(!answer.body.to_string().contains(CANARY));
    }
    put(&api, "/api/v1/secrets/github.token", json!({"value": CANARY}))
        .await
        .expect(200);
    for (body, field) in [
        (json!({}), "pools"),
        (json!({"pools": ["unknown"]}), "pools"),
        (json!({"packs": ["Not A Pack"]}), "packs[0]"),
    ] {
        let answer = put(&api, "/api/v1/secrets/github.token/grants", body).await.expect(422);
        assert_eq!(answer.body["errors"][0]["path"], field, "{}", answer.body);
    }
    api.get("/api/v1/secrets/7").await.expect(404);
    api.close().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life of the objects")]
async fn rules_and_actions_name_only_secrets_that_are_granted_to_them() {
    let api = start().await;
    put(&api, "/api/v1/secrets/github.token", json!({"value": CANARY}))
        .await
        .expect(200);
    let rule = |action: &str, params: Value| json!({"ref": "other.r", "trigger_ref": "core.timer_1m", "action_ref": action, "action_params": params});
    for (body, path, message) in [
        (
            rule("other.call", json!({"token": "{{ secrets.github.token }}"})),
            "action_params.token",
            "is not granted to other.call",
        ),
        (
            rule("github.call", json!({"url": "{{ secrets.github.token }}"})),
            "action_params.url",
            "must not contain the secret",
        ),
        (
            rule("github.call", json!({"token": {"$sealed": "v1:AAAA"}})),
            "action_params.token",
            "must not contain the key `$sealed`",
        ),
        (
            rule("github.call", json!({"token": {"$secret": [{"ref": "github.token"}]}})),
            "action_params.token",
            "reserved key",
        ),
    ] {
        let answer = api.post("/api/v1/rules", body).await.expect(422);
        let error = &answer.body["errors"][0];
        assert_eq!(error["path"], path, "{}", answer.body);
        assert!(
            error["message"].as_str().is_some_and(|text| text.contains(message)),
            "{error}"
        );
    }
    let mut with_condition = rule("github.call", json!({}));
    with_condition["condition"] = json!("secrets.github.token == 'x'");
    let answer = api.post("/api/v1/rules", with_condition).await.expect(422);
    assert_eq!(answer.body["errors"][0]["path"], "condition");
    let variables = json!({"secrets": {"TOKEN": "github.token"}});
    let refused = api
        .patch("/api/v1/actions/other.call", variables.clone())
        .await
        .expect(422);
    assert_eq!(refused.body["errors"][0]["path"], "secrets.TOKEN");
    api.patch("/api/v1/actions/github.call", variables).await.expect(200);
    // One that is not set yet is accepted with a warning, because packs are loaded before their secrets are set.
    let made = api
        .post(
            "/api/v1/rules",
            rule("github.call", json!({"token": "x {{ secrets.github.later }}"})),
        )
        .await
        .expect(201);
    assert!(
        made.body["warnings"]
            .to_string()
            .contains("there is no secret github.later yet"),
        "{}",
        made.body
    );
    api.patch(
        "/api/v1/rules/other.r",
        json!({"action_params": {"token": "{{ secrets.github.token }}"}}),
    )
    .await
    .expect(200);
    let used = api.get("/api/v1/secrets/github.token").await.expect(200);
    assert_eq!(
        used.body["data"]["used_by"],
        json!(["action github.call", "rule other.r"])
    );
    api.close().await;
}

#[tokio::test]
async fn literals_of_secret_parameters_are_sealed() {
    let api = start().await;
    let params = json!({"token": CANARY, "auth": {"password": CANARY}, "url": "plain"});
    let rule =
        json!({"ref": "other.r", "trigger_ref": "core.timer_1m", "action_ref": "github.call", "action_params": params});
    let made = api.post("/api/v1/rules", rule).await.expect(201);
    assert!(!made.body.to_string().contains(CANARY), "{}", made.body);
    // What was read can be sent back; elsewhere it is refused.
    let shown = made.body["data"]["action_params"].clone();
    api.patch("/api/v1/rules/other.r", json!({"label": "New", "action_params": shown}))
        .await
        .expect(200);
    let moved = json!({"action_params": {"token": shown["auth"]["password"]}});
    api.patch("/api/v1/rules/other.r", moved).await.expect(422);
    let elsewhere = json!({"action_ref": "other.call"});
    api.patch("/api/v1/rules/other.r", elsewhere).await.expect(422);
    let stored = api
        .database
        .texts("select action_params::text from rule where ref = 'other.r'")
        .await;
    check_sealed(&stored[0]);

    let started = api
        .post(
            "/api/v1/executions",
            json!({"action_ref": "github.call", "parameters": params}),
        )
        .await
        .expect(201);
    assert!(!started.body.to_string().contains(CANARY), "{}", started.body);
    let first = api.database.texts("select parameters::text from execution").await;
    check_sealed(&first[0]);
    // A rerun keeps them, and works for the pool that the action has by then.
    api.database
        .execute("update execution set status = 'canceled'; update action set pool = 'dmz' where ref = 'github.call'")
        .await;
    let id = started.body["data"]["id"].as_str().expect("an id");
    api.post(&format!("/api/v1/executions/{id}/rerun"), json!({}))
        .await
        .expect(201);
    let again = api
        .database
        .texts("select parameters::text from execution where rerun_of is not null")
        .await;
    let opened = opened(&again[0], "2");
    assert_eq!(opened, [CANARY, CANARY]);

    // A dry run shows no literal, whether it comes from the event or from the rule.
    let body = json!({"action_ref": "github.call", "action_params": {"token": "{{ event.payload.t }}", "auth": {"password": CANARY}},
                      "payload": {"t": CANARY}});
    let tried = api.post("/api/v1/rules/test", body).await.expect(200);
    assert!(!tried.body.to_string().contains(CANARY), "{}", tried.body);
    api.close().await;
}

fn opened(stored: &str, digit: &str) -> Vec<String> {
    let stored: Value = serde_json::from_str(stored).expect("JSON");
    let parameters = Parameters::from_stored(&stored).expect("parameters");
    let open = |placed: &attune_domain::secret::Placed| {
        let Hidden::Sealed(sealed) = &placed.hidden else {
            panic!("not sealed")
        };
        assert!(sealed.master.is_some(), "it can be sealed again");
        let text = pool_keys(digit).open(&sealed.pool, &literal_place("github.call", &placed.path));
        serde_json::from_slice(&text.expect("it opens")).expect("JSON")
    };
    parameters.secrets.iter().map(open).collect()
}

#[track_caller]
fn check_sealed(stored: &str) {
    assert!(!stored.contains(CANARY), "{stored}");
    assert_eq!(opened(stored, "1"), [CANARY, CANARY]);
}

/// A file of a pack cannot contain a secret: the other door encrypts it.
#[tokio::test]
async fn a_pack_with_a_literal_secret_is_refused() {
    let api = start().await;
    let load = async |params: Value| {
        let rule = json!({"ref": "demo.r", "trigger_ref": "core.timer_1m", "action_ref": "github.call", "action_params": params});
        let files = Files::from([
            (
                "pack.yaml".to_owned(),
                json!({"ref": "demo", "version": "1.0.0"}).to_string(),
            ),
            ("rules/r.yaml".to_owned(), rule.to_string()),
        ]);
        let pack = Pack::parse(&files).expect("a pack");
        packs::load(&api.database.pool, &pack).await
    };
    match load(json!({"token": "literal-secret"})).await {
        Err(LoadError::Invalid(errors)) => assert!(errors.to_string().contains("action_params.token"), "{errors}"),
        other => panic!("{other:?}"),
    }
    load(json!({"token": "{{ secrets.github.token }}"}))
        .await
        .expect("a marker is fine");
    api.close().await;
}

#[tokio::test]
async fn editors_change_secrets_and_viewers_see_their_metadata() {
    let api = start().await;
    for (role, expected) in [
        (Role::Viewer, 403),
        (Role::Operator, 403),
        (Role::Editor, 200),
        (Role::Admin, 200),
    ] {
        let token = Some(api.token(role));
        let call = |method: &str, path: &str, body: Value| Call::new(method, path).json(body).token(token);
        api.send(call("PUT", "/api/v1/secrets/github.t", json!({"value": CANARY})))
            .await
            .expect(expected);
        api.send(call("PUT", "/api/v1/values/github.v", json!({"value": 1})))
            .await
            .expect(expected);
        if expected == 200 {
            api.send(call(
                "PUT",
                "/api/v1/secrets/github.t/grants",
                json!({"pools": ["default"]}),
            ))
            .await
            .expect(200);
            api.send(Call::new("GET", "/api/v1/secrets/github.t").token(Some(api.token(Role::Viewer))))
                .await
                .expect(200);
        }
    }
    api.close().await;
}
