//! `attune admin user`, `attune admin token` and `attune reseal`, as an operator and their scripts run them.

use super::support::{Api, Process, embedded::Embedded, facts, surroundings::environment};
use attune_common::testing::{Database, eventually};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

/// The maximum time until a revocation takes effect.
const REVOKED: Duration = Duration::from_secs(5);

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn good(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out.trim_end().to_owned()
    }

    fn bad(self, because: &str) {
        assert_eq!(self.code, 1, "{} {}", self.out, self.err);
        assert!(self.err.contains(because), "{}", self.err);
    }
}

/// Runs `attune` with this standard input.
async fn attune(folder: &Path, input: &str, arguments: &str) -> Ran {
    let data = folder.join("data");
    let command = format!("printf '%s\\n' '{input}' | \"$0\" {arguments} --data-dir \"$1\" >out 2>err");
    let command = format!("cd \"$2\" && {command}");
    let text = |path: &Path| path.to_str().expect("the path is text").to_owned();
    let (data, at) = (text(&data), text(folder));
    let shell = ["/bin/sh", "-c", &command, env!("CARGO_BIN_EXE_attune"), &data, &at];
    let mut process = Process::start(arguments, &shell, &environment(), &folder.join("shell.log"));
    let code = process.ended(Duration::from_secs(60)).await;
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    Ran {
        code,
        out: read("out"),
        err: read("err"),
    }
}

async fn sign_in(api: &Api, login: &str, password: &str) -> (StatusCode, Value) {
    let body = json!({"username": login, "password": password});
    Api::send(api.request(Method::POST, "/auth/login").json(&body))
        .await
        .expect("an answer")
}

async fn me(api: &Api, token: &str) -> (StatusCode, Value) {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    Api::send(http.get(format!("{}/auth/me", api.url)).bearer_auth(token))
        .await
        .expect("an answer")
}

async fn refused_soon(api: &Api, token: &str) {
    eventually("the token is refused", REVOKED, async || {
        (me(api, token).await.0 == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
}

/// Finds the only token in the list, which does not contain the token itself, and revokes it.
async fn revoke_listed(folder: &Path, token: &str) {
    let listed = attune(folder, "", "token list --json").await.good();
    assert!(!listed.contains(token), "a list contains no token");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let command = format!("token revoke {}", listed[0]["id"]);
    attune(folder, "", &command).await.good();
}

async fn a_token_comes_and_goes(folder: &Path, api: &Api) {
    for (options, why) in [
        ("ann --role admin", "at most its owner's role"),
        ("missing", "no user missing exists"),
    ] {
        let command = format!("token create --label ci --user {options}");
        attune(folder, "", &command).await.bad(why);
    }
    let token = attune(folder, "", "token create --user ann --label ci --role operator")
        .await
        .good();
    assert!(
        token.starts_with("atn_") && !token.contains(char::is_whitespace),
        "the token and nothing else"
    );
    let (status, who) = me(api, &token).await;
    assert_eq!(
        (status.as_u16(), &who["data"]["login"], &who["data"]["role"]),
        (200, &json!("ann"), &json!("operator"))
    );
    revoke_listed(folder, &token).await;
    refused_soon(api, &token).await;
    attune(folder, "", "token revoke 999").await.bad("no token 999 exists");
}

/// If nothing runs, a command starts and stops the database itself.
async fn without_a_server(folder: &Path, users: &str) {
    assert_eq!(attune(folder, "", "user list").await.good(), users);
    let checked = attune(folder, "", "check").await.good();
    assert!(
        checked.contains("I04_enforcement_followed") && !checked.contains("VIOLATED"),
        "{checked}"
    );
    let nowhere = folder.join("elsewhere");
    std::fs::create_dir(&nowhere).expect("a folder");
    attune(&nowhere, "", "user list").await.bad("no database in");
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life of the objects")]
async fn users_and_tokens_without_the_api() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let folder = folder.path();
    let up = Embedded::up(folder, "1.log").await;
    let api = &up.api;
    let (first, second) = ("correct horse battery", "another horse battery");

    let id = attune(folder, first, "user add ann --role operator --name Ann")
        .await
        .good();
    assert!(id.parse::<i64>().is_ok(), "the number and nothing else: {id:?}");
    attune(folder, first, "user add ann").await.bad("already");
    for (password, user, why) in [
        ("short", "bob", "12 to 256"),
        ("", "bob", "password is missing"),
        (first, "Bob", "cannot be a login"),
    ] {
        attune(folder, password, &format!("user add {user}")).await.bad(why);
    }
    let (status, tokens) = sign_in(api, "ann", first).await;
    assert_eq!(status, 200, "{tokens}");
    let access = tokens["data"]["access_token"].as_str().expect("a token").to_owned();

    a_token_comes_and_goes(folder, api).await;

    attune(folder, second, "user passwd ann").await.good();
    refused_soon(api, &access).await;
    assert_eq!(sign_in(api, "ann", first).await.0, 401);
    assert_eq!(sign_in(api, "ann", second).await.0, 200);

    let command = "token create --user ann --label job --expires-in-days 7 --json";
    let made = attune(folder, "", command).await.good();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let token = made["token"].as_str().expect("the token");
    assert_eq!(me(api, token).await.0, 200);
    attune(folder, "", "user disable ann").await.good();
    refused_soon(api, token).await;
    assert_eq!(sign_in(api, "ann", second).await.0, 401);
    attune(folder, "", "user disable admin").await.bad("last admin");
    attune(folder, "", "user enable ann").await.good();
    eventually("ann may sign in again", REVOKED, async || {
        (me(api, token).await.0 == StatusCode::OK).then_some(())
    })
    .await;

    let lines = attune(folder, "", "user list").await.good();
    assert!(lines.contains("\tann\toperator\tenabled\tAnn"), "{lines}");
    let kept = "select count(*) from audit where actor like '% (command line)'";
    assert_eq!(
        facts::number(&up.pool, kept).await,
        8,
        "every change, the token of `attune up`, and no refusal"
    );
    let whole = "select count(distinct request_id) from audit where actor like '% (command line)' and address <> ''";
    assert_eq!(
        facts::number(&up.pool, whole).await,
        8,
        "each entry has an address and its own request id"
    );
    let chained = "select count(*) from audit a join audit b using (object)
                   where object = 'identity ann' and a.verb = 'disable' and b.verb = 'enable' and a.after_hash = b.before_hash
                     and a.before_hash <> a.after_hash and b.before_hash <> b.after_hash";
    assert_eq!(
        facts::number(&up.pool, chained).await,
        1,
        "fingerprints of before and after"
    );

    secrets_and_values(folder, &up).await;
    reseal(folder, &up).await;
    let database = Database::new().await;
    let keyless = format!("reseal --database-url {}", database.url());
    attune(folder, "", &keyless)
        .await
        .bad("no encryption key is configured");
    database.close().await;
    up.interrupt(Duration::from_secs(12)).await;

    without_a_server(folder, &lines).await;
}

/// A value comes from standard input, and no command prints it.
async fn secrets_and_values(folder: &Path, up: &Embedded) {
    let keys = async || (facts::number(&up.pool, "select count(*) from pool_key").await == 1).then_some(());
    eventually("the key of the pool", Duration::from_secs(30), keys).await;
    attune(folder, "short", "secret set core.token")
        .await
        .bad("must have at least 6 bytes");
    attune(folder, "hunter2hunter2", "secret set nowhere.token")
        .await
        .bad("there is no pack nowhere");
    attune(folder, "not JSON", "secret set core.token --json")
        .await
        .bad("the value is not JSON: line 1");
    for version in [1, 2] {
        let set = attune(folder, "hunter2hunter2", "secret set core.token --expires-in-days 9").await;
        assert!(set.err.contains(&format!("version {version}")), "{}", set.err);
        assert!(!set.err.contains("hunter2") && set.good().is_empty());
    }
    let listed = attune(folder, "", "secret list").await.good();
    assert!(
        listed.contains("core.token\t2\t") && !listed.contains("hunter2"),
        "{listed}"
    );
    let granted = attune(folder, "", "secret grant core.token --pack core --pack core.echo").await;
    assert!(granted.err.contains("[core, core.echo] may use it"), "{}", granted.err);
    granted.good();
    attune(folder, "", "secret grant core.token --pool unknown")
        .await
        .bad("the pool unknown has no key");
    attune(folder, "", "secret rm core.token").await.good();
    attune(folder, "", "secret rm core.token")
        .await
        .bad("no secret core.token exists");

    assert_eq!(
        attune(folder, "", "value set core.page 7 --if-version 0").await.good(),
        "1"
    );
    attune(folder, "", "value set core.page 8 --if-version 0")
        .await
        .bad("has version 1, not 0");
    assert_eq!(attune(folder, "", "value set core.page text").await.good(), "2");
    assert_eq!(attune(folder, "", "value get core.page").await.good(), "\"text\"");
    assert!(
        attune(folder, "", "value list")
            .await
            .good()
            .contains("core.page\t2\t-\t")
    );
    attune(folder, "", "value rm core.page").await.good();
    attune(folder, "", "value get core.page")
        .await
        .bad("no value core.page exists");
}

/// The key changes: with the previous key everything is encrypted again, without it nothing is changed.
async fn reseal(folder: &Path, up: &Embedded) {
    let hook =
        json!({"ref": "core.hook", "kind": "webhook", "config": {"verify": "gitlab", "secret": "hunter2hunter2"}});
    up.api.post("/api/v1/triggers", hook).await;
    let file = folder.join("data/secrets.json");
    let text = std::fs::read_to_string(&file).expect("the keys");
    let mut keys: Value = serde_json::from_str(&text).expect("JSON");
    let previous = keys["encryption_key"].take();
    keys["encryption_key"] = json!("f".repeat(40));
    std::fs::write(&file, keys.to_string()).expect("written");
    attune(folder, "", "reseal").await.bad("core.hook; nothing was changed");
    keys["encryption_key_previous"] = previous;
    std::fs::write(&file, keys.to_string()).expect("written");
    assert_eq!(attune(folder, "", "reseal").await.good(), "1");
    assert_eq!(attune(folder, "", "reseal").await.good(), "0", "it is sealed already");
    keys.as_object_mut()
        .expect("an object")
        .remove("encryption_key_previous");
    std::fs::write(&file, keys.to_string()).expect("written");
    assert_eq!(
        attune(folder, "", "reseal").await.good(),
        "0",
        "the previous key is not needed any more"
    );
    std::fs::write(&file, text).expect("written");
}
