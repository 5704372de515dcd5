//! Secrets are opened for an attempt by a worker that holds the key of its pool and no other, and are redacted in what the
//! attempt writes.

use crate::support::{TestWorker, new_id};
use attune_common::{
    config::Security,
    pool_key::PoolKeys,
    seal::Sealer,
    secrets::{self, LiteralSealer, NewSecret},
    store::{
        Transaction,
        execution_start::{self, ByHand},
        secret,
    },
    testing::eventually,
};
use attune_domain::{
    ExecutionId,
    policy::Gates,
    secret::{Parameters, Path},
};
use serde_json::{Value, json};
use std::time::Duration;

const CANARY: &str = "c4n4ry/\"x\" €+";

fn sealer() -> Sealer {
    Sealer::new(&Security {
        encryption_key: Some("0123456789abcdef0123456789abcdef".into()),
        ..Security::default()
    })
}

fn pool_key() -> String {
    "5a".repeat(32)
}

struct Test(TestWorker);

impl Test {
    async fn new() -> Self {
        Self(TestWorker::new().await)
    }

    /// The worker's environment has no key but that of its pool.
    fn worker(&self) -> crate::support::WorkerProcess {
        self.0.worker_with(&[("ATTUNE__WORKER__POOL_KEY", &pool_key())])
    }

    async fn registered(&self) {
        let rows = async || (self.0.database.count("select count(*) from pool_key").await == 1).then_some(());
        eventually("the key of the pool", Duration::from_secs(30), rows).await;
    }

    async fn set(&self, name: &str, value: Value) {
        let mut tx = Transaction::begin(&self.0.database.pool).await.unwrap();
        let new = NewSecret {
            reference: &name.parse().unwrap(),
            value: &value,
            description: None,
            expires_at: None,
            set_by: "test",
        };
        secrets::set(&mut tx, &sealer(), &new).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// A shell action whose parameters `token` and `auth.password` are secret.
    async fn start(&self, name: &str, script: &str, policy: &str, parameters: Value) -> ExecutionId {
        let schema = "parameters_schema = '{\"properties\": {\"token\": {\"secret\": true}, \"auth\": {\"properties\": \
                      {\"password\": {\"secret\": true}}}, \"url\": {}}}'";
        let policy = if policy.is_empty() {
            schema.to_owned()
        } else {
            format!("{schema}, {policy}")
        };
        let action_id = self.0.action(name, script, &policy).await;
        let id = new_id();
        let start = ByHand {
            id,
            action_id,
            parameters: &parameters,
            attempts_max: 3,
            gates: &Gates::default(),
            rerun_of: None,
            trace_id: id.0,
            definitions: None,
        };
        let mut connection = self.0.database.pool.acquire().await.unwrap();
        execution_start::start(&mut connection, &[start]).await.unwrap();
        id
    }

    async fn ended(&self, id: ExecutionId, status: &str) -> (Value, String) {
        self.0.becomes(id, "finished_at is not null").await;
        let row = format!(
            "select status || chr(1) || coalesce(result, '{{}}')::text || chr(1) || coalesce(error, '') from execution where id = '{}'",
            id.0
        );
        let row = self.0.database.texts(&row).await.remove(0);
        let (ended, rest) = row.split_once('\u{1}').unwrap();
        let (result, error) = rest.split_once('\u{1}').unwrap();
        assert_eq!(ended, status, "{result} {error}");
        (serde_json::from_str(result).unwrap(), error.to_owned())
    }
}

fn marker(name: &str) -> Value {
    json!({"$secret": [{"ref": name}]})
}

#[tokio::test]
async fn a_worker_without_the_encryption_key_opens_what_is_granted_to_its_pool() {
    let test = Test::new().await;
    let _worker = test.worker();
    test.registered().await;
    test.set("t.canary", json!(CANARY)).await;
    test.set("t.login", json!({"user": "u", "password": CANARY})).await;
    // The script compares, because everything that it prints is redacted.
    let script = r#"cat > "$D/in"; [ "$token" = 'Bearer c4n4ry/"x" €+' ] && [ "$LOGIN" = '{"user":"u","password":"c4n4ry/\"x\" €+"}' ] || exit 9
        grep -q '"$secret":1' "$D/in" || exit 8; echo "out $token"; printf %s "$token" | base64 >&2; printf '%s' "$LOGIN""#;
    let parameters = json!({"token": {"$secret": ["Bearer ", {"ref": "t.canary"}]}, "url": {"$$secret": 1}});
    let secrets = r#"secrets = '{"LOGIN": "t.login"}'"#;
    let id = test.start("all", script, secrets, parameters).await;
    let (result, error) = test.ended(id, "succeeded").await;
    let shown = result.to_string();
    assert!(
        !shown.contains("c4n4ry") && shown.contains("out Bearer [secret t.canary]"),
        "{shown} {error}"
    );
    assert!(!shown.contains("YzRuNHJ5"), "{shown}");
    let used = async || {
        let rows =
            "select count(*) from audit where verb = 'first_use' and object in ('secret t.canary', 'secret t.login')";
        (test.0.database.count(rows).await == 2).then_some(())
    };
    eventually("the audit of the first use", Duration::from_secs(30), used).await;
    let count = "select count(*) from secret_use where action_ref = 't.all' and last_used_at is not null";
    assert_eq!(test.0.database.count(count).await, 2);
}

#[tokio::test]
async fn each_attempt_opens_the_current_version() {
    let test = Test::new().await;
    let _worker = test.worker();
    test.registered().await;
    test.set("t.token", json!("first-value")).await;
    let script = r#"case $token in first-value) touch "$D/failed"; while [ ! -e "$D/go" ]; do sleep 0.05; done; exit 1;;
        second-value) echo "now $token";; esac"#;
    let id = test
        .start(
            "again",
            script,
            r#"retry = '{"max_attempts": 3}'"#,
            json!({"token": marker("t.token")}),
        )
        .await;
    let failed = async || test.0.file("failed").exists().then_some(());
    eventually("the first attempt", Duration::from_secs(30), failed).await;
    test.set("t.token", json!("second-value")).await;
    test.0.touch("go");
    let (result, _) = test.ended(id, "succeeded").await;
    assert_eq!(result["stdout"], "now [secret t.token]\n");
    let logged = test.0.database.texts("select chunk from execution_log").await;
    assert!(!logged.concat().contains("-value"), "{logged:?}");
}

#[tokio::test]
async fn what_is_not_granted_fails_the_attempt_by_name() {
    let test = Test::new().await;
    let _worker = test.worker();
    test.registered().await;
    test.set("t.token", json!("first-value")).await;
    test.0
        .database
        .execute("insert into pack (ref, label) values ('u', 'Other')")
        .await;
    test.set("u.token", json!("other-value")).await;
    test.0
        .database
        .execute("delete from secret_grant where secret_id = (select id from secret where ref = 't.token')")
        .await;
    for (name, parameters, expected) in [
        (
            "pool",
            json!({"token": marker("t.token")}),
            "secret t.token is not granted to pool default",
        ),
        (
            "missing",
            json!({"token": marker("t.gone")}),
            "secret t.gone is not granted to pool default: it does not exist",
        ),
        (
            "pack",
            json!({"token": marker("u.token")}),
            "secret u.token is not granted to action t.pack",
        ),
        (
            "place",
            json!({"url": marker("t.token")}),
            "secret t.token is not granted to pool default",
        ),
        (
            "sealed",
            json!({"token": {"$sealed": "v1:00:AAAA"}}),
            "parameters.token: was sealed with another key of the pool",
        ),
        (
            "junk",
            json!({"token": {"$secret": "t.token"}}),
            "parameters.token: is not a marker of a secret",
        ),
    ] {
        let id = test.start(name, "echo never", "", parameters).await;
        let (_, error) = test.ended(id, "failed").await;
        assert!(error.starts_with(expected), "{name}: {error}");
    }
    let denied = async || {
        let rows = "select count(*) from audit where verb = 'denied_use' and object in ('secret t.token', 'secret t.gone', 'secret u.token')";
        (test.0.database.count(rows).await >= 3).then_some(())
    };
    eventually("the audit of refused uses", Duration::from_secs(30), denied).await;
    // A secret that is granted, in a place that is not declared secret.
    test.set("t.granted", json!("granted-value")).await;
    let id = test
        .start("declared", "echo never", "", json!({"url": marker("t.granted")}))
        .await;
    let (_, error) = test.ended(id, "failed").await;
    assert!(error.starts_with("parameters.url: contains a secret"), "{error}");
}

#[tokio::test]
async fn files_are_readable_by_their_run_only_and_literals_open() {
    let test = Test::new().await;
    let _worker = test.worker();
    test.registered().await;
    test.set("t.token", json!("line one of a key\nline two of a key\n"))
        .await;
    let key = PoolKeys::new(&pool_key().into(), None).unwrap().public();
    let sealer = LiteralSealer {
        action: "t.files",
        pool: "default",
        key: Some(key),
        sealer: None,
    };
    let mut path = Path::default();
    path.push_key("auth");
    path.push_key("password");
    let hidden = sealer.seal(&path, &json!("a literal password")).unwrap();
    let script = r#"env > "$D/env"; cat > "$D/in"; stat -c %a "$ATTUNE_SECRET_KEY_FILE"
        [ "$(cat "$ATTUNE_SECRET_KEY_FILE")" = "$(printf 'line one of a key\nline two of a key')" ] && echo whole
        cat "$ATTUNE_SECRET_AUTH_PASSWORD_FILE""#;
    let policy = r#"secrets = '{"KEY": "t.token"}', secret_delivery = 'file'"#;
    let parameters = json!({"auth": {"password": hidden, "user": "u"}, "token": marker("t.token")});
    let id = test.start("files", script, policy, parameters).await;
    let (result, error) = test.ended(id, "succeeded").await;
    assert_eq!(
        result["stdout"], "400\nwhole\n[secret parameters.auth.password]",
        "{result} {error}"
    );
    let read = |name: &str| std::fs::read_to_string(test.0.file(name)).unwrap();
    assert_eq!(read("in"), r#"{"auth":{"user":"u"}}"#);
    let environment = read("env");
    assert!(
        !environment.contains("line one") && !environment.contains("literal"),
        "{environment}"
    );
    // The same ciphertext in another parameter, and for another action, does not open.
    for (name, parameters) in [
        ("files2", json!({"auth": {"password": hidden}})),
        ("files3", json!({"token": hidden})),
    ] {
        let id = test.start(name, "echo never", "", parameters).await;
        let (_, error) = test.ended(id, "failed").await;
        assert!(
            error.contains("cannot be opened: it was changed, or sealed for another place"),
            "{error}"
        );
    }
    let stored = Parameters::from_stored(&json!({"auth": {"password": hidden}})).unwrap();
    assert_eq!(stored.secrets.len(), 1);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one life of the objects")]
async fn resealing_changes_every_ciphertext_and_both_keys_rotate() {
    let test = Test::new().await;
    let worker = test.worker();
    test.registered().await;
    test.set("t.token", json!("first-value")).await;
    let rotated = Sealer::new(&Security {
        encryption_key: Some("fedcba9876543210fedcba9876543210".into()),
        encryption_key_previous: Some("0123456789abcdef0123456789abcdef".into()),
        ..Security::default()
    });
    // The pool gets another key; its worker still opens what was sealed to the first.
    drop(worker);
    let keys = [
        ("ATTUNE__WORKER__POOL_KEY", "6b".repeat(32)),
        ("ATTUNE__WORKER__POOL_KEY_PREVIOUS", pool_key()),
    ];
    let keys: Vec<(&str, &str)> = keys.iter().map(|(name, key)| (*name, key.as_str())).collect();
    let before = test.0.database.texts("select public_key from pool_key").await;
    let _worker = test.0.worker_with(&keys);
    let changed = async || (test.0.database.texts("select public_key from pool_key").await != before).then_some(());
    eventually("the new key of the pool", Duration::from_secs(30), changed).await;
    let first = test
        .start(
            "before",
            "[ $token = first-value ]",
            "",
            json!({"token": marker("t.token")}),
        )
        .await;
    test.ended(first, "succeeded").await;

    let reseal = async |sealer: &Sealer| {
        let mut tx = Transaction::begin(&test.0.database.pool).await.unwrap();
        let mut notes = Vec::new();
        let mut note = async |_: &mut attune_common::store::PgConnection, objects: &[String]| {
            notes.extend(objects.to_vec());
            Ok(())
        };
        let done = secrets::reseal(&mut tx, sealer, &mut note).await.unwrap();
        tx.commit().await.unwrap();
        (done, notes)
    };
    let (done, notes) = reseal(&rotated).await;
    assert_eq!(
        (done.secrets, done.grants, notes),
        (1, 1, vec!["secret t.token".to_owned()])
    );
    assert_eq!(
        reseal(&rotated).await.0,
        secrets::Resealed::default(),
        "a second time changes nothing"
    );
    let alone = Sealer::new(&Security {
        encryption_key: Some("fedcba9876543210fedcba9876543210".into()),
        ..Security::default()
    });
    let mut tx = Transaction::begin(&test.0.database.pool).await.unwrap();
    let stored = secret::lock(&mut tx, "t.token").await.unwrap().unwrap();
    assert_eq!(
        alone
            .open_secret(&stored.sealed.unwrap(), stored.id, stored.version)
            .unwrap(),
        "\"first-value\""
    );
    tx.rollback().await.unwrap();
    let second = test
        .start(
            "after",
            "[ $token = first-value ]",
            "",
            json!({"token": marker("t.token")}),
        )
        .await;
    test.ended(second, "succeeded").await;
}
