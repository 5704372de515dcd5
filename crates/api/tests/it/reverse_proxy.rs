//! Behind a real nginx, configured as docs/operations/reverse-proxy.md recommends: every client has limits of its own, and nothing that
//! a client writes changes who it is.

use crate::{
    crowd,
    hook::{Hook, inbox},
    served::listening,
    test_api::{Call, TestApi},
};
use attune_api::auth::ensure_admin;
use attune_common::{
    bus::{Feed, FeedKind},
    testing::eventually,
};
use attune_domain::{execution::ExecutionStatus, identity::Role};
use serde_json::{Value, json};
use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const PASSWORD: &str = "correct horse battery";
const ANSWERED: Duration = Duration::from_secs(20);

/// An nginx in the foreground, which ends with the test.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    async fn start(api: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address().await;
        let file = folder.path().join("nginx.conf");
        fs::write(
            &file,
            configuration(folder.path().to_str().expect("a path"), address, api),
        )
        .expect("written");
        #[expect(clippy::disallowed_methods, reason = "a real reverse proxy is what is tested")]
        let process = Command::new(program())
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "stderr"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx can be started (Debian: nginx-light)");
        let nginx = Self {
            process,
            address,
            _folder: folder,
        };
        eventually("nginx listens", Duration::from_secs(10), async || {
            TcpStream::connect(address).await.ok().map(drop)
        })
        .await;
        nginx
    }

    /// Sends a request over a new connection from 127.0.0.`client`: status and body.
    async fn send(&self, client: u8, request: Request<'_>) -> (u16, Value) {
        let mut stream = crowd::from(client, self.address).await.expect("connected");
        stream.write_all(&request.bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let read = timeout(ANSWERED, stream.read_to_end(&mut answer)).await;
        read.expect("answered in time").expect("readable");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split_whitespace().nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        (
            status.unwrap_or_else(|| panic!("{answer}")),
            serde_json::from_str(body).unwrap_or(Value::Null),
        )
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

struct Request<'a> {
    first: &'a str,
    headers: &'a str,
    body: Vec<u8>,
}

impl Request<'_> {
    fn bytes(&self) -> Vec<u8> {
        let Self { first, headers, body } = self;
        // HTTP/1.0 has no chunks.
        let head = format!(
            "{first} HTTP/1.0\r\nhost: attune\r\n{headers}content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    }
}

fn post<'a>(first: &'a str, headers: &'a str, body: Value) -> Request<'a> {
    Request {
        first,
        headers,
        body: body.to_string().into_bytes(),
    }
}

/// Debian installs nginx outside the PATH of users.
fn program() -> &'static str {
    let there = fs::exists("/usr/sbin/nginx").unwrap_or_default();
    if there { "/usr/sbin/nginx" } else { "nginx" }
}

async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("an address")
}

/// The recipe of the documentation, without TLS, at other addresses.
fn configuration(folder: &str, address: SocketAddr, api: SocketAddr) -> String {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations/reverse-proxy.md");
    let document = fs::read_to_string(document).expect("the documentation");
    let (_, recipe) = document.split_once("```nginx\n").expect("a recipe");
    let (recipe, _) = recipe.split_once("```").expect("its end");
    let without_tls: Vec<_> = recipe
        .lines()
        .filter(|line| !line.trim_start().starts_with("ssl_"))
        .collect();
    let recipe = without_tls.join("\n");
    assert!(
        recipe.contains("listen 443 ssl;") && recipe.contains("127.0.0.1:8080"),
        "{recipe}"
    );
    let recipe = recipe
        .replace("listen 443 ssl;", &format!("listen {address};"))
        .replace("127.0.0.1:8080", &api.to_string());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {folder}/{name};\n"))
        .concat();
    format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr crit;\n\
         events {{ worker_connections 256; }}\n\
         http {{\naccess_log off;\n{temporary}{recipe}}}\n"
    )
}

fn trusts_nginx(api: &mut TestApi) {
    api.configured(|config| config.api.trusted_proxies = "127.0.0.1".parse().expect("a network"));
}

fn login(user: &str, password: &str) -> Value {
    json!({"login": user, "password": password})
}

/// Headers with which a client pretends to be another one.
const SPOOFED: &str = "x-forwarded-for: 127.0.0.3\r\nforwarded: for=127.0.0.3\r\nx-real-ip: 127.0.0.3\r\n";

#[tokio::test]
async fn an_attack_by_one_client_affects_no_other() {
    let mut api = TestApi::new().await;
    trusts_nginx(&mut api);
    api.database.execute("delete from identity where login = 'admin'").await;
    ensure_admin(&api.database.pool, Some(PASSWORD.into()))
        .await
        .expect("an admin");
    let nginx = Nginx::start(listening(&api).await).await;
    let sign_in = async |client, headers, user: &str, password| {
        nginx
            .send(client, post("POST /auth/login", headers, login(user, password)))
            .await
            .0
    };
    assert_eq!(sign_in(3, "", "admin", PASSWORD).await, 200);
    // Guesses at the admin and at other accounts, with any claimed address.
    for _ in 0..5 {
        assert_eq!(sign_in(2, SPOOFED, "admin", "wrong").await, 401);
    }
    assert_eq!(sign_in(2, SPOOFED, "admin", "wrong").await, 429);
    for n in 0..14 {
        assert_eq!(sign_in(2, SPOOFED, &format!("user{n}"), "wrong").await, 401);
    }
    assert_eq!(sign_in(2, SPOOFED, "more", "wrong").await, 429);
    assert_eq!(sign_in(2, "", "more", "wrong").await, 429);
    // Others sign in, the admin too from where it did before.
    assert_eq!(sign_in(4, "", "more", "wrong").await, 401);
    assert_eq!(sign_in(3, "", "admin", PASSWORD).await, 200);
    let audit = api
        .send(
            Call::new("GET", "/api/v1/audit?verb=sign_in_refused&limit=200").token(Some(&{
                let identity = api.identity("auditor", Role::Admin).await;
                api.sign_in(identity).await
            })),
        )
        .await
        .expect(200);
    let addresses: Vec<_> = audit.body["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| &entry["address"])
        .collect();
    assert_eq!(addresses.len(), 20);
    assert!(
        addresses
            .iter()
            .all(|address| [json!("127.0.0.2"), json!("127.0.0.4")].contains(address)),
        "{addresses:?}"
    );
    drop(nginx);
    api.router = axum::Router::new();
    api.close().await;
}

#[tokio::test]
async fn webhooks_pass_the_proxy_and_guesses_are_limited_by_client() {
    let mut hook = Hook::new(json!({"verify": "none"})).await;
    trusts_nginx(&mut hook.api);
    let nginx = Nginx::start(listening(&hook.api).await).await;
    let mut last = 404;
    for n in 0..1_000 {
        (last, _) = nginx
            .send(2, post(&format!("POST /api/v1/webhooks/{n}"), SPOOFED, json!({})))
            .await;
        if last != 404 {
            break;
        }
    }
    assert_eq!(last, 429, "a thousand guesses are too many");
    let genuine = format!("POST {}", hook.path);
    for client in [2, 3] {
        assert_eq!(nginx.send(client, post(&genuine, SPOOFED, json!({}))).await.0, 202);
    }
    assert_eq!(
        nginx.send(3, post("POST /api/v1/webhooks/none", "", json!({}))).await.0,
        404
    );
    let kept = inbox(&hook, "", 2).await;
    let mut from: Vec<_> = kept
        .iter()
        .map(|request| request["address"].as_str().expect("an address"))
        .collect();
    from.sort_unstable();
    assert_eq!(from, ["127.0.0.2", "127.0.0.3"]);

    // Large bodies: the API's own answer.
    let body = |bytes: usize| Request {
        first: &genuine,
        headers: "",
        body: format!("\"{}\"", "x".repeat(bytes - 2)).into_bytes(),
    };
    assert_eq!(nginx.send(3, body(1024 * 1024)).await.0, 202);
    for bytes in [1_200_000, 8_000_000] {
        let (status, problem) = nginx.send(3, body(bytes)).await;
        assert_eq!(
            (status, &problem["type"]),
            (413, &json!("urn:attune:problem:too_large")),
            "{bytes}"
        );
    }
    drop(nginx);
    hook.api.router = axum::Router::new();
    hook.api.close().await;
}

/// Changes arrive immediately: the proxy does not buffer them.
#[tokio::test]
async fn the_live_stream_passes_the_proxy() {
    let mut api = TestApi::new().await;
    trusts_nginx(&mut api);
    let nginx = Nginx::start(listening(&api).await).await;
    let mut stream = crowd::from(2, nginx.address).await.expect("connected");
    let token = api.token(Role::Viewer);
    let request = format!("GET /api/v1/stream HTTP/1.1\r\nhost: attune\r\nauthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut received = String::new();
    let mut until = async |words: &str| {
        while !received.contains(words) {
            let mut buffer = [0; 4096];
            let read = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await;
            let count = read
                .unwrap_or_else(|_| panic!("{words} in {received}"))
                .expect("readable");
            assert!(count > 0, "it ended: {received}");
            received.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    until("text/event-stream").await;
    until("retry:").await;
    api.bus.feed(Feed::new(FeedKind::execution(ExecutionStatus::Succeeded)));
    until("execution.succeeded").await;
    drop(nginx);
    api.router = axum::Router::new();
    api.tasks.finish().await;
    api.close().await;
}
