//! No request that creates an occurrence runs a statement that concurrent requests could share, and definitions in memory are
//! never outdated.

use crate::test_api::{Call, TestApi};
use attune_common::{
    config::Config,
    testing::{Database, PostgresNode, Statements},
};
use futures_util::future::join_all;
use serde_json::json;

const SEQUENTIAL: i64 = 20;
const CONCURRENT: i64 = 200;
/// Of all requests together: the caller's session and the address of the webhook, each at most once a second.
const REST: i64 = 6;

/// Statements of `SEQUENTIAL` requests one after another, and of `CONCURRENT` requests at once.
async fn count(api: &TestApi, statements: &mut Statements, call: impl Fn(i64) -> Call) -> (i64, i64, String) {
    let send = async |n: i64| {
        let status = api.send(call(n)).await.status;
        assert!(status.is_success(), "{status}");
    };
    // The first one plans statements and reads definitions.
    send(-1).await;
    statements.reset().await;
    for n in 0..SEQUENTIAL {
        send(n).await;
    }
    let one_by_one = statements.counted().await;
    statements.reset().await;
    join_all((0..CONCURRENT).map(|n| send(1_000 + n))).await;
    let at_once = statements.counted().await;
    let total = |counted: &[(i64, String)]| counted.iter().map(|(calls, _)| calls).sum();
    (
        total(&one_by_one),
        total(&at_once),
        format!("{one_by_one:#?} {at_once:#?}"),
    )
}

#[tokio::test]
async fn requests_share_their_statements() {
    let node = PostgresNode::counting().await;
    let mut statements = Statements::open(node.postgres()).await;
    let mut api = TestApi::on(Database::on(node.postgres()).await).await;
    api.configured(|config: &mut Config| {
        config.security.encryption_key = Some("3b1f0c7d9e2a48566f7a8b9c0d1e2f30415263748596a7b8".into());
    });
    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    let hook = json!({"ref": "core.hook", "kind": "webhook", "config": {"verify": "none", "requests_per_second": 0}});
    let hook = api.post("/api/v1/triggers", hook).await.expect(201);
    let url = hook.body["data"]["webhook_url"]
        .as_str()
        .expect("an address")
        .to_owned();
    let path = url.trim_start_matches("https://attune.example.org").to_owned();

    let event =
        |n: i64| Call::new("POST", "/api/v1/events").json(json!({"trigger_ref": "core.doorbell", "payload": {"n": n}}));
    let execution = |n: i64| {
        let body = json!({"action_ref": "core.echo", "parameters": {"message": n.to_string()}});
        Call::new("POST", "/api/v1/executions").json(body)
    };
    let with_key = |n: i64, call: Call| call.header("idempotency-key", &format!("key-{n}"));
    let webhook = |n: i64| Call::new("POST", &path).token(None).json(json!({"n": n}));
    let mut check = async |name: &str, each: i64, call: &dyn Fn(i64) -> Call| {
        let (one_by_one, at_once, text) = count(&api, &mut statements, call).await;
        assert!(
            one_by_one <= SEQUENTIAL * each + REST,
            "{name}, one by one: {one_by_one} {text}"
        );
        assert!(at_once <= CONCURRENT / 4 + REST, "{name}, at once: {at_once} {text}");
    };
    check("events", 1, &event).await;
    // The inbox has its own statement.
    check("webhooks", 2, &webhook).await;
    // With the beginning and the end of the transaction.
    check("executions", 4, &execution).await;
    check("events with a key", 6, &|n| with_key(n, event(n))).await;
    check("executions with a key", 7, &|n| with_key(n, execution(n))).await;
    api.close().await;
}

#[tokio::test]
async fn a_changed_trigger_takes_effect_at_once() {
    let api = TestApi::new().await;
    api.post("/api/v1/triggers", json!({"ref": "core.doorbell", "kind": "custom"}))
        .await
        .expect(201);
    let ring = async || {
        let call = Call::new("POST", "/api/v1/events").json(json!({"trigger_ref": "core.doorbell"}));
        let plain = api.send(call.clone()).await;
        let keyed = call.header("idempotency-key", &format!("{:032x}", rand::random::<u128>()));
        let keyed = api.send(keyed).await;
        let batch = Call::new("POST", "/api/v1/events/batch").json(json!([{"trigger_ref": "core.doorbell"}]));
        let batch = api.send(batch).await.expect(200);
        assert_eq!(plain.status, keyed.status);
        let refused = batch.body["data"]["refused"] == json!(1);
        assert_eq!(refused, !plain.status.is_success(), "{}", batch.body);
        plain
    };
    // SQL changes definitions as another process would.
    let sql = async |sql: &str| api.database.execute(sql).await;
    ring().await.expect(201);
    sql("update trigger set enabled = false where ref = 'core.doorbell'").await;
    assert_eq!(ring().await.expect(409).kind(), "disabled");
    sql("update trigger set enabled = true where ref = 'core.doorbell'").await;
    ring().await.expect(201);
    sql("update pack set enabled = false where ref = 'core'").await;
    assert_eq!(ring().await.expect(409).kind(), "disabled");
    sql("update pack set enabled = true where ref = 'core'").await;
    ring().await.expect(201);
    sql("delete from trigger where ref = 'core.doorbell'").await;
    assert_eq!(ring().await.expect(422).fields(), ["trigger_ref"]);
    let events = api
        .database
        .count("select count(*) from event where trigger_ref = 'core.doorbell'")
        .await;
    assert_eq!(events, 9);
    api.close().await;
}

#[tokio::test]
async fn a_changed_action_takes_effect_at_once() {
    let api = TestApi::new().await;
    let run = async |parameters| {
        let body = json!({"action_ref": "core.echo", "parameters": parameters});
        api.post("/api/v1/executions", body).await
    };
    let sql = async |sql: &str| api.database.execute(sql).await;
    let hello = || json!({"message": "hi"});
    run(hello()).await.expect(201);
    sql("update action set enabled = false where ref = 'core.echo'").await;
    assert_eq!(run(hello()).await.expect(409).kind(), "disabled");
    sql("update action set enabled = true where ref = 'core.echo'").await;
    run(hello()).await.expect(201);
    let strict = json!({"type": "object", "properties": {"message": {"type": "integer"}}});
    sql(&format!(
        "update action set parameters_schema = '{strict}' where ref = 'core.echo'"
    ))
    .await;
    run(hello()).await.expect(422);
    // What memory refuses is read again.
    run(json!({"message": 1})).await.expect(201);
    let loose = json!({"type": "object"});
    sql(&format!(
        "update action set parameters_schema = '{loose}' where ref = 'core.echo'"
    ))
    .await;
    run(hello()).await.expect(201);
    let runs = api.database.count("select count(*) from execution").await;
    assert_eq!(runs, 4);
    let audited = api
        .database
        .count("select count(*) from audit where verb = 'run' and object = 'action core.echo'")
        .await;
    assert_eq!(audited, runs, "each start is audited");
    api.close().await;
}
