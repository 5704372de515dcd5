//! `scripts/setup_timer_echo_rule.sh` against a stand-in for the API that has one rule. (The tests of the whole program run
//! it against the real API; these tests cover every refusal, and that no secret is an argument of a program.)

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
    sync::{Arc, Mutex},
};
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/setup_timer_echo_rule.sh");
const PASSWORD: &str = "correct \"horse\" $battery";
const TOKEN: &str = "header.payload.signature";

#[derive(Debug, Default)]
struct Facts {
    rule: Option<Value>,
    missing: Option<&'static str>,
    refusal: Option<StatusCode>,
}

type Shared = State<Arc<Mutex<Facts>>>;
type Answer = (StatusCode, Json<Value>);

struct Api {
    url: String,
    facts: Arc<Mutex<Facts>>,
    scratch: TempDir,
}

impl Api {
    async fn start() -> Self {
        let facts = Arc::new(Mutex::new(Facts::default()));
        let router = Router::new()
            .route("/auth/login", post(login))
            .route("/api/v1/rules", post(create))
            .route("/api/v1/rules/{ref}", get(rule).patch(update))
            .route("/api/v1/executions", get(executions))
            .route("/api/v1/{kind}/{ref}", get(definition))
            .with_state(facts.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it has an address"));
        TaskTracker::new().spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            facts,
            scratch: tempfile::tempdir().expect("a folder can be made"),
        }
    }

    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().expect("no test panics while it holds the facts")
    }

    /// Runs the script. Every `curl` writes its arguments to `arguments`.
    async fn run(&self, environment: &[(&str, &str)]) -> (i32, String, String) {
        let real = bash("command -v curl", &[]).await;
        let wrapper = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >>{}/arguments\nexec {} \"$@\"\n",
            self.scratch.path().display(),
            String::from_utf8_lossy(&real.stdout).trim()
        );
        let curl = self.scratch.path().join("curl");
        fs::write(&curl, wrapper).expect("the wrapper can be written");
        fs::set_permissions(&curl, fs::Permissions::from_mode(0o755)).expect("the wrapper can be made executable");
        let mut environment = environment.to_vec();
        environment.push(("ATTUNE_API_URL", &self.url));
        let command = format!("PATH={}:$PATH exec {SCRIPT}", self.scratch.path().display());
        captured(bash(&command, &environment).await)
    }

    async fn with_password(&self) -> (i32, String, String) {
        self.run(&[("ATTUNE_API_PASSWORD", PASSWORD)]).await
    }
}

async fn bash(command: &str, environment: &[(&str, &str)]) -> Output {
    let (command, environment) = (command.to_owned(), owned(environment));
    tokio::task::spawn_blocking(move || start(&command, environment))
        .await
        .expect("the script does not panic")
}

#[expect(clippy::disallowed_methods, reason = "the script is what is tested")]
fn start(command: &str, environment: Vec<(String, String)>) -> Output {
    Command::new("bash")
        .args(["-c", command])
        .env_remove("ATTUNE_API_PASSWORD")
        .env_remove("ATTUNE_API_USER")
        .envs(environment)
        .output()
        .expect("bash is installed")
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn captured(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (
        output.status.code().unwrap_or(-1),
        text(output.stdout),
        text(output.stderr),
    )
}

fn problem(status: StatusCode, detail: &str) -> Answer {
    let errors = json!([{"path": "action_params.message", "message": "is not what it should be"}]);
    (
        status,
        Json(json!({"title": "refused", "status": status.as_u16(), "detail": detail, "errors": errors})),
    )
}

async fn login(Json(body): Json<Value>) -> Answer {
    if body == json!({"username": "admin", "password": PASSWORD}) {
        (
            StatusCode::OK,
            Json(json!({"data": {"access_token": TOKEN, "token_type": "Bearer"}})),
        )
    } else {
        problem(StatusCode::UNAUTHORIZED, "wrong user or password")
    }
}

fn signed_in(headers: &HeaderMap) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
    assert_eq!(authorization, Some("Bearer header.payload.signature"));
}

async fn definition(State(facts): Shared, headers: HeaderMap, Path((_, reference)): Path<(String, String)>) -> Answer {
    signed_in(&headers);
    let facts = facts.lock().expect("no test panics while it holds the facts");
    if facts.missing == Some(reference.as_str()) {
        return problem(StatusCode::NOT_FOUND, "there is no such definition");
    }
    (
        StatusCode::OK,
        Json(json!({"data": {"ref": reference, "enabled": reference != "core.echo"}})),
    )
}

async fn create(State(facts): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Answer {
    signed_in(&headers);
    let mut facts = facts.lock().expect("no test panics while it holds the facts");
    if let Some(status) = facts.refusal {
        return problem(status, "not like this");
    }
    if facts.rule.is_some() {
        return problem(StatusCode::CONFLICT, "core.timer_echo_10s exists already");
    }
    facts.rule = Some(body.clone());
    (StatusCode::CREATED, Json(json!({"data": body})))
}

async fn rule(State(facts): Shared, headers: HeaderMap) -> Answer {
    signed_in(&headers);
    let facts = facts.lock().expect("no test panics while it holds the facts");
    (StatusCode::OK, Json(json!({"data": facts.rule})))
}

async fn update(State(facts): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Answer {
    signed_in(&headers);
    let mut facts = facts.lock().expect("no test panics while it holds the facts");
    let rule = facts.rule.as_mut().expect("only an existing rule is updated");
    for (name, value) in body.as_object().expect("a partial rule") {
        rule[name] = value.clone();
    }
    (StatusCode::OK, Json(json!({"data": rule})))
}

async fn executions(headers: HeaderMap) -> Answer {
    signed_in(&headers);
    let execution =
        json!({"created_at": "2027-01-01T00:00:10Z", "status": "succeeded", "output_tail": "Hello World at noon"});
    (
        StatusCode::OK,
        Json(json!({"data": [execution], "pagination": {"next": null, "limit": 5}})),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_creates_the_rule_once_and_repairs_it() {
    let api = Api::start().await;
    let (code, out, error) = api.with_password().await;
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(out.contains("The rule core.timer_echo_10s was created."), "{out}");
    assert!(out.contains("note: the action core.echo is disabled"), "{out}");
    let made = api.facts().rule.clone().expect("the rule was made");
    let expected = json!({
        "ref": "core.timer_echo_10s", "pack_ref": "core", "label": "Say hello every 10 seconds",
        "trigger_ref": "core.timer_10s", "action_ref": "core.echo",
        "action_params": {"message": "Hello World at {{ event.payload.fired_at }}"}, "condition": null, "enabled": true
    });
    assert_eq!(made, expected);

    let (code, out, _) = api.with_password().await;
    assert!(code == 0 && out.contains("already exists and is up to date"), "{out}");

    api.facts().rule.as_mut().expect("the rule is there")["enabled"] = json!(false);
    let (code, out, _) = api.with_password().await;
    assert!(code == 0 && out.contains("core.timer_echo_10s was updated"), "{out}");
    assert_eq!(api.facts().rule, Some(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_an_argument() {
    let api = Api::start().await;
    assert_eq!(api.with_password().await.0, 0);
    let arguments = fs::read_to_string(api.scratch.path().join("arguments")).expect("curl was started");
    assert!(arguments.contains("/auth/login"), "{arguments}");
    assert!(
        !arguments.contains("battery") && !arguments.contains("signature"),
        "{arguments}"
    );
}

/// Users copy the printed lines, so they must run unchanged.
#[tokio::test(flavor = "multi_thread")]
async fn the_printed_commands_work() {
    let api = Api::start().await;
    let file = api.scratch.path().join("pass word");
    fs::write(&file, format!("{PASSWORD}\n")).expect("the file can be written");
    let file = file.to_string_lossy().into_owned();
    for environment in [
        ("ATTUNE_API_PASSWORD", PASSWORD),
        ("ATTUNE_API_PASSWORD_FILE", file.as_str()),
    ] {
        let (code, out, error) = api.run(&[environment]).await;
        assert_eq!(code, 0, "{error}");
        let lines = out
            .split_once("Watch it:\n")
            .expect("it prints the commands")
            .1
            .split("  # the events")
            .next()
            .unwrap_or_default();
        let (code, out, error) = captured(bash(lines, &[environment]).await);
        assert_eq!((code, error.as_str()), (0, ""), "{lines}");
        assert_eq!(out, "2027-01-01T00:00:10Z  succeeded  Hello World at noon\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_names_the_step_and_the_reason() {
    let api = Api::start().await;
    let check = |(code, out, error): (i32, String, String), expected: i32, parts: &[&str]| {
        assert_eq!(code, expected, "{out}{error}");
        for part in parts {
            assert!(error.contains(part), "{error}\n lacks {part}");
        }
    };
    check(
        api.run(&[]).await,
        2,
        &["reading the password", "set ATTUNE_API_PASSWORD"],
    );
    check(
        api.run(&[("ATTUNE_API_PASSWORD_FILE", "/nowhere")]).await,
        2,
        &["/nowhere", "is not readable"],
    );
    check(
        api.run(&[("ATTUNE_API_PASSWORD", "wrong")]).await,
        4,
        &["signing in", "the user admin or the password is wrong"],
    );
    let closed = [
        ("ATTUNE_API_PASSWORD", PASSWORD),
        ("ATTUNE_API_URL", "http://127.0.0.1:1"),
    ];
    check(
        captured(bash(SCRIPT, &closed).await),
        3,
        &["signing in", "http://127.0.0.1:1 does not answer"],
    );
    api.facts().missing = Some("core.timer_10s");
    check(
        api.with_password().await,
        5,
        &["checking the trigger core.timer_10s", "scripts/seed_core_pack.sql"],
    );
    api.facts().missing = None;
    api.facts().refusal = Some(StatusCode::UNPROCESSABLE_ENTITY);
    check(
        api.with_password().await,
        6,
        &[
            "creating the rule",
            "HTTP 422: not like this; action_params.message: is not what it should be",
        ],
    );
    api.facts().refusal = Some(StatusCode::FORBIDDEN);
    check(
        api.with_password().await,
        6,
        &["admin may not create rules; the role editor is required"],
    );
}
