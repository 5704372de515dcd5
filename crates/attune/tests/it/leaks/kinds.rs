//! Actions of every kind that print a secret and return it, and end well, badly and late.

use super::SOON;
use crate::support::{facts, services::Services};
use attune_common::testing::eventually;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

/// Returns its parameter on descriptor 3, as a value and as a name, after it printed it. Ends as it is requested.
const PYTHON: &str = r#"
import base64, json, sys, time
def run(token, end="well"):
    print(token, json.dumps(token))
    print(base64.b64encode(token.encode()).decode(), file=sys.stderr, flush=True)
    if end == "badly":
        raise ValueError("denied: " + token)
    if end == "late":
        time.sleep(60)
    return {"token": token, "in": ["<" + token + ">"], token: 1}
"#;
const NODE: &str = r"
export function run({token, end}) {
    console.log(token, encodeURIComponent(token));
    if (end === 'badly') throw new Error('denied: ' + token);
    return {token, [token]: Buffer.from(token).toString('hex')};
}
";
/// Writes what is not JSON to descriptor 3, so that the error quotes it.
const BROKEN: &str = r#"printf '{"token": %s' "$token" >&3"#;

/// Answers every request with the request.
async fn echo() -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let mut server = JoinSet::new();
    server.spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                match socket.read_buf(&mut request).await {
                    Ok(read) if read > 0 => {}
                    _ => break,
                }
            }
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                request.len()
            );
            let _ = socket.write_all(&[head.as_bytes(), &request].concat()).await;
        }
    });
    (url, server)
}

/// Actions of every other kind, which end well, badly and late.
pub async fn run_all_kinds(services: &Services) {
    let api = &services.api;
    for (name, runtime, entry_point, limit) in [
        ("python", "core.python", PYTHON, 60),
        ("late", "core.python", PYTHON, 2),
        ("node", "core.node", NODE, 60),
        ("broken", "core.shell", BROKEN, 60),
    ] {
        let action = json!({"ref": format!("test.{name}"), "runtime_ref": runtime, "entry_point": entry_point, "timeout_seconds": limit,
            "parameters_schema": {"type": "object", "properties": {"token": {"type": "string", "secret": true}, "end": {}}}});
        api.post("/api/v1/actions", action).await;
    }
    api.post("/api/v1/triggers", json!({"ref": "test.call", "kind": "custom"}))
        .await;
    let (url, _server) = echo().await;
    let (marker, bearer) = ("{{ secrets.test.canary }}", "{{ secrets.test.plain }}");
    let rules = [
        ("python_well", "test.python", json!({"token": marker})),
        ("python_badly", "test.python", json!({"token": marker, "end": "badly"})),
        ("python_late", "test.late", json!({"token": marker, "end": "late"})),
        ("node_well", "test.node", json!({"token": marker})),
        ("node_badly", "test.node", json!({"token": marker, "end": "badly"})),
        ("broken", "test.broken", json!({"token": marker})),
        (
            "http",
            "core.http",
            json!({"url": url, "auth": {"bearer": bearer}, "headers": {"x-key": format!("k {bearer}")}}),
        ),
        (
            "http_badly",
            "core.http",
            json!({"url": url, "auth": {"basic": {"username": "u", "password": bearer}}, "expect_status": [404]}),
        ),
    ];
    for (name, action, params) in &rules {
        let body = json!({"ref": format!("test.{name}"), "trigger_ref": "test.call", "action_ref": action, "action_params": params});
        api.post("/api/v1/rules", body).await;
    }
    let events: Vec<_> = (0..2)
        .map(|n| json!({"trigger_ref": "test.call", "payload": {"n": n, "$secret": [{"ref": "test.plain"}]}}))
        .collect();
    api.post("/api/v1/events/batch", json!(events)).await;
    let statuses = [("succeeded", 6), ("failed", 8), ("timed_out", 2)];
    for (status, count) in statuses {
        let sql = format!(
            "select count(*) from execution e join enforcement f on f.id = e.enforcement_id
             join event v on v.id = f.event_id where e.status = '{status}' and v.trigger_ref = 'test.call'"
        );
        let ended = async || (facts::number(&services.database.pool, &sql).await == count).then_some(());
        eventually(&format!("{count} executions have {status}"), SOON, ended).await;
    }
    for name in ["test.python", "test.node"] {
        let started = api.run(name, json!({"token": super::LITERAL, "end": "badly"})).await;
        api.execution_is(&started, "failed", SOON).await;
    }
}
