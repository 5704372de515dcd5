//! The leak test: a canary passes as a secret and as a literal through rule, webhook, retry, crash, rerun and spool. Afterwards
//! no row, log, file, answer, message or line of the stream contains it, in any of eight encodings.

mod encoded;
mod kinds;

use super::support::{facts, services::Services};
use attune_common::testing::eventually;
use encoded::Encoded;
use kinds::run_all_kinds;
use reqwest::Method;
use serde_json::json;
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(60);
/// Two values that need escaping in JSON, in URLs and in shells.
const SECRET: &str = "c4n4ry/\"p4ss\"+w0rd%é";
/// One that an HTTP header can contain.
const PLAIN: &str = "pl41n/\"p4ss\"+w0rd%xyz";
const LITERAL: &str = "l1ter4l/\"p4ss\"+w0rd%é";

/// Prints its parameter in every way that programs do, and fails at first.
const SCRIPT: &str = r#"input=$(cat); echo "plain $token $VARIABLE"; echo "$input" >&2
printf '%s' "$token" | base64 -w0; echo; printf 'x%s' "$token" | base64 -w0; echo; printf 'xy%s' "$token" | base64 -w0; echo
printf '%s' "$token" | od -An -v -tx1 | tr -d ' \n'; echo
for i in 1 2 3 4 5 6; do sleep 0.1; printf '%s' "$token"; done
[ "$ATTUNE_ATTEMPT" -ge "$attempts" ]"#;

async fn set_up(services: &Services) {
    let api = &services.api;
    api.post("/api/v1/packs", json!({"ref": "test", "label": "Test"})).await;
    let keys =
        async || (facts::number(&services.database.pool, "select count(*) from pool_key").await == 1).then_some(());
    eventually("the key of the pool", SOON, keys).await;
    api.put("/api/v1/secrets/test.canary", json!({"value": SECRET})).await;
    api.put("/api/v1/secrets/test.plain", json!({"value": PLAIN})).await;
    for name in ["test.canary", "test.plain"] {
        let grants = json!({"packs": ["test", "core"]});
        api.put(&format!("/api/v1/secrets/{name}/grants"), grants).await;
    }
    let action = json!({"ref": "test.leak", "runtime_ref": "core.shell", "entry_point": SCRIPT, "on_lost": "requeue",
        "parameters_schema": {"type": "object", "properties": {"token": {"type": "string", "secret": true}, "attempts": {"default": 2}}},
        "secrets": {"VARIABLE": "test.canary"}, "retry": {"max_attempts": 4, "backoff_seconds": 0.1}});
    api.post("/api/v1/actions", action.clone()).await;
    let mut as_file = action;
    as_file["ref"] = json!("test.file");
    as_file["secret_delivery"] = json!("file");
    as_file["entry_point"] =
        json!("cat \"$ATTUNE_SECRET_TOKEN_FILE\" \"$ATTUNE_SECRET_VARIABLE_FILE\"; env; ls -l $HOME");
    api.post("/api/v1/actions", as_file).await;
    api.post(
        "/api/v1/triggers",
        json!({"ref": "test.hook", "kind": "webhook", "config": {"verify": "none"}}),
    )
    .await;
    for (name, token) in [
        ("marker", "{{ secrets.test.canary }}"),
        ("text", "Bearer {{ secrets.test.canary }}!"),
        ("literal", LITERAL),
    ] {
        let body = json!({"ref": format!("test.{name}"), "trigger_ref": "test.hook", "action_ref": "test.leak",
            "action_params": {"token": token}});
        api.post("/api/v1/rules", body).await;
    }
}

async fn succeeded(services: &Services, count: i64) {
    let sql = "select count(*) from execution where status = 'succeeded'";
    let done = async || (facts::number(&services.database.pool, sql).await == count).then_some(());
    eventually(&format!("{count} executions have succeeded"), SOON, done).await;
}

#[tokio::test]
async fn a_secret_is_nowhere_in_plain_text() {
    let mut services = Services::with(&[("ATTUNE__WORKER__HTTP__ALLOW_PRIVATE", "127.0.0.1")]).await;
    let api = services.api.clone();
    set_up(&services).await;
    let (stream, _reader) = watch(&services);
    let hook = api.get("/api/v1/triggers/test.hook").await;
    let path = hook["webhook_url"]
        .as_str()
        .expect("an address")
        .split("/api/")
        .nth(1)
        .expect("a path")
        .to_owned();
    api.post(
        &format!("/api/{path}"),
        json!({"order": 7, "$secret": [{"ref": "test.canary"}]}),
    )
    .await;
    succeeded(&services, 3).await;
    assert_eq!(
        facts::number(
            &services.database.pool,
            "select count(*) from execution where attempt >= 2"
        )
        .await,
        3,
        "each was retried"
    );
    let started = api.run("test.leak", json!({"token": LITERAL, "attempts": 1})).await;
    api.run("test.file", json!({"token": LITERAL})).await;
    succeeded(&services, 5).await;
    api.post(&format!("/api/v1/executions/{started}/rerun"), json!({}))
        .await;
    succeeded(&services, 6).await;
    crash(&mut services).await;
    succeeded(&services, 7).await;

    run_all_kinds(&services).await;

    let canaries = [Encoded::of(SECRET), Encoded::of(LITERAL), Encoded::of(PLAIN)];
    let shown = facts::value(
        &services.database.pool,
        "(select jsonb_agg(result) from execution where status = 'succeeded')",
    )
    .await;
    assert!(
        ["canary", "plain"]
            .iter()
            .all(|name| shown.to_string().contains(&format!("[secret test.{name}]"))),
        "something was redacted: {shown}"
    );
    for canary in &canaries {
        check_rows(&services, canary).await;
        check_files(services.folder.path(), canary);
        check_answers(&services, canary).await;
        canary.check("the stream", &stream.lock().expect("the stream").clone());
    }
    services.stop().await;
}

/// Kills the worker while an action that has the secret runs; the next worker runs it again.
async fn crash(services: &mut Services) {
    let api = services.api.clone();
    let slow = json!({"ref": "test.slow", "runtime_ref": "core.shell", "on_lost": "requeue",
        "entry_point": "echo \"$token\"; [ \"$ATTUNE_ATTEMPT\" -gt 1 ] || sleep 60",
        "parameters_schema": {"type": "object", "properties": {"token": {"type": "string", "secret": true}}}});
    api.post("/api/v1/actions", slow).await;
    let id = api.run("test.slow", json!({"token": LITERAL})).await;
    api.execution_is(&id, "running", SOON).await;
    services.take("worker-1").kill().await;
    services.launch("worker-2").await;
}

/// Everything that the API streams from now on.
fn watch(services: &Services) -> (Arc<Mutex<Vec<u8>>>, JoinSet<()>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let request = services
        .api
        .request(Method::GET, "/api/v1/stream")
        .timeout(Duration::from_secs(600));
    let written = Arc::clone(&lines);
    let mut reader = JoinSet::new();
    reader.spawn(async move {
        let Ok(mut answer) = request.send().await else { return };
        while let Ok(Some(chunk)) = answer.chunk().await {
            written.lock().expect("the stream").extend_from_slice(&chunk);
        }
    });
    (lines, reader)
}

async fn check_rows(services: &Services, canary: &Encoded) {
    let tables = services
        .database
        .texts("select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'public'")
        .await;
    assert!(tables.len() > 30, "{tables:?}");
    for table in tables {
        let rows = services.database.texts(&format!("select t::text from {table} t")).await;
        canary.check(&table, rows.join("\n").as_bytes());
    }
}

/// Logs, the spool, and scratch directories.
fn check_files(folder: &Path, canary: &Encoded) {
    for entry in fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
    {
        if entry.is_dir() {
            check_files(&entry, canary);
        } else if let Ok(bytes) = fs::read(&entry) {
            canary.check(&entry.display().to_string(), &bytes);
        }
    }
}

/// Every GET of the API, with each id and ref that exists.
async fn check_answers(services: &Services, canary: &Encoded) {
    let texts = async |sql: &str| services.database.texts(sql).await;
    let names = [
        ("executions", texts("select id::text from execution").await),
        ("events", texts("select id::text from event").await),
        ("enforcements", texts("select id::text from enforcement").await),
        ("webhook-requests", texts("select id::text from webhook_request").await),
        ("rules", texts("select ref::text from rule").await),
        ("actions", texts("select ref::text from action").await),
        (
            "triggers",
            texts("select ref::text from trigger where ref like 'test.%'").await,
        ),
        ("secrets", vec!["test.canary".to_owned()]),
        ("traces", texts("select trace_id::text from execution").await),
    ];
    let mut count = 0;
    for route in attune_api::routes()
        .into_iter()
        .filter(|route| route.method == Method::GET && route.path != "/api/v1/stream")
    {
        let paths = match route.path.split_once('{') {
            None => vec![format!("{}?limit=200", route.path), route.path.to_owned()],
            Some((before, after)) => {
                let after = after.split_once('}').expect("a parameter").1;
                let noun = before.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                let known = names.iter().find(|(name, _)| *name == noun).map(|(_, all)| all.clone());
                known
                    .unwrap_or_default()
                    .iter()
                    .map(|name| format!("{before}{name}{after}"))
                    .collect()
            }
        };
        for path in paths {
            let answer = services
                .api
                .request(Method::GET, &path)
                .send()
                .await
                .expect("an answer");
            let status = answer.status();
            let bytes = answer.bytes().await.expect("a body");
            canary.check(&format!("GET {path}"), &bytes);
            count += usize::from(status.is_success());
        }
    }
    let full = services
        .api
        .request(Method::GET, "/api/v1/executions?view=full&limit=200")
        .send()
        .await
        .expect("an answer");
    canary.check("full executions", &full.bytes().await.expect("a body"));
    assert!(count > 60, "only {count} answers were read");
}
