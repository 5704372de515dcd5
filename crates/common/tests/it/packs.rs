//! The core pack, loaded: by Attune, and by hand with psql.

use attune_common::{
    config,
    packs::{self, Files, LoadError, Pack, Report},
    testing::Database,
};
use sqlx::PgPool;
use std::{fs, os::unix::fs::symlink, path::PathBuf};

async fn load(database: &Database) -> Report {
    let core = packs::core().expect("the core pack is valid");
    packs::load(&database.pool, &core)
        .await
        .expect("the core pack can be loaded")
}

async fn number(pool: &PgPool, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql)
        .fetch_one(pool)
        .await
        .expect("the test's SQL is right")
}

async fn text(pool: &PgPool, sql: &'static str) -> String {
    sqlx::query_scalar(sql)
        .fetch_one(pool)
        .await
        .expect("the test's SQL is right")
}

async fn definitions_version(database: &Database) -> i64 {
    number(&database.pool, "select version from definitions").await
}

#[tokio::test]
async fn loading_again_changes_nothing() {
    let database = Database::new().await;
    let first = load(&database).await;
    assert_eq!(
        (first.created.len(), first.updated.len(), first.left_alone.len()),
        (22, 0, 0),
        "{first}"
    );
    let version = definitions_version(&database).await;

    let second = load(&database).await;
    assert_eq!(
        (second.created.len(), second.updated.len(), second.unchanged.len()),
        (0, 0, 22),
        "{second}"
    );
    assert_eq!(definitions_version(&database).await, version);
    database.close().await;
}

#[tokio::test]
async fn edited_rows_are_not_overwritten() {
    let database = Database::new().await;
    load(&database).await;
    database
        .execute("update trigger set config = '{\"type\": \"interval\", \"seconds\": 30}' where ref = 'core.timer_10s'")
        .await;
    database
        .execute("update trigger set enabled = false where ref = 'core.timer_1m'")
        .await;
    database.execute("delete from action where ref = 'core.sleep'").await;

    let report = load(&database).await;
    assert_eq!(report.left_alone, ["core.timer_10s"]);
    assert_eq!(report.created, ["core.sleep"]);
    assert!(report.updated.is_empty(), "{report}");
    assert_eq!(
        report.to_string(),
        "loaded pack core: 1 created, 0 updated, 20 unchanged; left alone because a person edited them: core.timer_10s"
    );
    assert_eq!(
        text(
            &database.pool,
            "select config->>'seconds' from trigger where ref = 'core.timer_10s'"
        )
        .await,
        "30"
    );
    assert_eq!(
        text(
            &database.pool,
            "select enabled::text from trigger where ref = 'core.timer_1m'"
        )
        .await,
        "false"
    );
    database.close().await;
}

/// A newer file updates the rows that were not edited, also disabled ones.
#[tokio::test]
async fn a_newer_file_updates_unedited_rows() {
    let database = Database::new().await;
    load(&database).await;
    database
        .execute("update action set enabled = false where ref = 'core.echo'")
        .await;

    let mut newer = packs::core().expect("the core pack is valid");
    newer.manifest.version = "0.2.0".to_owned();
    let echo = newer
        .actions
        .iter_mut()
        .find(|action| action.r#ref.as_str() == "core.echo")
        .expect("there is core.echo");
    echo.label = Some("Print it".to_owned());
    let report = packs::load(&database.pool, &newer).await.expect("it loads");
    assert_eq!(report.updated, ["core", "core.echo"]);
    assert_eq!(
        text(
            &database.pool,
            "select label || ' ' || enabled || ' ' || managed from action where ref = 'core.echo'"
        )
        .await,
        "Print it false true"
    );
    database.close().await;
}

fn demo(rule: &str) -> Pack {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    Pack::parse(&Files::from([
        file("pack.yaml", "{ref: demo, label: Demo, version: 0.1.0}"),
        file(
            "actions/greet.yaml",
            "{ref: demo.greet, label: Greet, runtime_ref: core.shell, entry_point: echo hi, enabled: false}",
        ),
        file("rules/hello.yaml", rule),
    ]))
    .expect("the pack is valid by itself")
}

#[tokio::test]
async fn a_pack_may_use_another() {
    let database = Database::new().await;
    load(&database).await;
    let pack = demo(
        "{ref: demo.hello, label: Hello, trigger_ref: core.timer_1m, action_ref: demo.greet, action_params: {a: 1}}",
    );
    let report = packs::load(&database.pool, &pack).await.expect("it loads");
    assert_eq!(report.created, ["demo", "demo.greet", "demo.hello"]);
    assert_eq!(
        text(
            &database.pool,
            "select enabled::text from action where ref = 'demo.greet'"
        )
        .await,
        "false"
    );
    assert_eq!(
        packs::load(&database.pool, &pack)
            .await
            .expect("it loads again")
            .unchanged
            .len(),
        3
    );
    database.close().await;
}

#[tokio::test]
async fn nothing_is_written_when_a_ref_leads_nowhere() {
    let database = Database::new().await;
    let pack = demo("{ref: demo.hello, label: Hello, trigger_ref: core.timer_1m, action_ref: other.greet}");
    let error = packs::load(&database.pool, &pack)
        .await
        .expect_err("the core pack is not loaded");
    assert!(matches!(error, LoadError::Invalid(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "actions/greet.yaml: runtime_ref: there is no runtime core.shell; \
         rules/hello.yaml: trigger_ref: there is no trigger core.timer_1m; \
         rules/hello.yaml: action_ref: there is no action other.greet"
    );
    assert_eq!(number(&database.pool, "select count(*) from pack").await, 0);
    database.close().await;
}

/// Services may start at the same time.
#[tokio::test]
async fn many_loads_at_once() {
    let database = Database::new().await;
    let (a, b, c, d) = tokio::join!(load(&database), load(&database), load(&database), load(&database));
    let created: usize = [a, b, c, d].iter().map(|report| report.created.len()).sum();
    assert_eq!(created, 22);
    database.close().await;
}

/// A timer that would never fire is refused when it is new; one that has fired since is not.
#[tokio::test]
async fn new_timers_are_validated_at_the_current_time() {
    let database = Database::new().await;
    let timer = |config: &str| {
        let file = |path: &str, text: String| (path.to_owned(), text);
        Pack::parse(&Files::from([
            file("pack.yaml", "{ref: demo, label: Demo, version: 0.1.0}".to_owned()),
            file(
                "triggers/t.yaml",
                format!("{{ref: demo.t, label: T, kind: timer, config: {config}}}"),
            ),
        ]))
        .expect("the pack is valid by itself")
    };
    for (config, expected) in [
        (
            "{type: cron, expression: 0 0 0 1 1 * 2020}",
            "triggers/t.yaml: config.expression: ",
        ),
        (
            "{type: one_shot, fire_at: '2020-01-01T00:00:00Z'}",
            "triggers/t.yaml: config.fire_at: ",
        ),
        (
            "{type: interval, seconds: 1, max_age_seconds: 2592000}",
            "triggers/t.yaml: config.max_age_seconds: ",
        ),
    ] {
        let error = packs::load(&database.pool, &timer(config))
            .await
            .expect_err("it would never fire")
            .to_string();
        assert!(error.contains(expected), "{config}: {error}");
    }
    let tomorrow = text(
        &database.pool,
        "select to_char(db_now() + interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')",
    )
    .await;
    let once = timer(&format!("{{type: one_shot, fire_at: '{tomorrow}'}}"));
    packs::load(&database.pool, &once).await.expect("it fires tomorrow");
    database.move_clock("3 days").await;
    let report = packs::load(&database.pool, &once).await.expect("it is there already");
    assert_eq!(report.unchanged.len(), 2, "{report}");
    database.close().await;
}

#[tokio::test]
async fn the_examples_load() {
    let database = Database::new().await;
    load(&database).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packs/examples");
    let folders: Vec<PathBuf> = fs::read_dir(folder)
        .expect("there are examples")
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    assert!(!folders.is_empty());
    let loaded = packs::load_configured(&database.pool, &config::Packs { load: folders.clone() })
        .await
        .expect("they load");
    let reports = loaded.reports;
    assert_eq!((reports.len(), loaded.broken), (1 + folders.len(), Vec::new()));
    assert!(
        reports[1..].iter().all(|report| !report.created.is_empty()),
        "{reports:?}"
    );
    database.close().await;
}

/// A pack with one trigger, in a folder of its own.
fn folder_with(name: &str, trigger: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    fs::create_dir(folder.path().join("triggers")).expect("a folder can be made");
    let manifest = format!("ref: {name}\nlabel: Demo\nversion: 0.1.0\n");
    fs::write(folder.path().join("pack.yaml"), manifest).expect("a file can be written");
    fs::write(folder.path().join("triggers/t.yaml"), trigger).expect("a file can be written");
    folder
}

#[tokio::test]
async fn a_broken_pack_is_reported_with_its_lines_and_the_others_load() {
    let database = Database::new().await;
    let timer = |of: &str, rest: &str| format!("ref: {of}.t\nlabel: T\nkind: timer\nconfig:\n  type: interval\n{rest}");
    let missing = folder_with("missing", &timer("missing", ""));
    let wrong = folder_with("wrong", &timer("wrong", "  seconds: -1\n  misfire: never\n"));
    let syntax = folder_with("syntax", "ref: syntax.t\nlabel: [\n");
    let late = folder_with(
        "late",
        "ref: late.t\nlabel: T\nkind: timer\nconfig: {type: one_shot, fire_at: '2020-01-01T00:00:00Z'}\n",
    );
    let right = folder_with("right", &timer("right", "  seconds: 60\n"));
    let mut folders: Vec<PathBuf> = [&missing, &wrong, &syntax, &late, &right]
        .map(|folder| folder.path().to_owned())
        .into();
    folders.insert(2, "/nowhere".into());
    let loaded = packs::load_configured(&database.pool, &config::Packs { load: folders.clone() })
        .await
        .expect("the database is there");
    let names: Vec<_> = loaded.reports.iter().map(|report| report.pack.as_str()).collect();
    assert_eq!(names, ["core", "right"]);
    let broken: Vec<_> = loaded.broken.iter().map(|broken| broken.folder.clone()).collect();
    assert_eq!(broken, folders[..5]);
    let check = |at: usize, expected: &[&str]| {
        let errors = &loaded.broken[at].errors;
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for (error, expected) in errors.iter().zip(expected) {
            let (file, rest) = expected.split_once('|').expect("two parts");
            assert!(error.starts_with(file) && error.contains(rest), "{error}: {expected}");
        }
    };
    check(0, &["triggers/t.yaml: config|(line 4)"]);
    check(
        1,
        &[
            "triggers/t.yaml: config.seconds: |(line 6)",
            "triggers/t.yaml: config.misfire: |(line 7)",
        ],
    );
    check(2, &["failed to list /nowhere: |No such file"]);
    check(3, &["triggers/t.yaml: |at line "]);
    check(4, &["triggers/t.yaml: config.fire_at: |in the past"]);
    database.close().await;
}

/// A link could make a file from outside the pack's folder part of it.
#[tokio::test]
async fn symbolic_links_are_not_followed() {
    let outside = tempfile::tempdir().expect("a folder can be made");
    fs::write(outside.path().join("a.yaml"), "{ref: demo.a, label: A}").expect("a file can be written");
    for (link, target) in [
        ("pack.yaml", "a.yaml"),
        ("actions/a.yaml", "a.yaml"),
        ("actions/b.yml", "nowhere.yaml"),
        ("rules", ""),
    ] {
        let folder = tempfile::tempdir().expect("a folder can be made");
        fs::create_dir(folder.path().join("actions")).expect("a folder can be made");
        symlink(outside.path().join(target), folder.path().join(link)).expect("a link can be made");
        let error = format!("{:#}", Pack::read(folder.path()).expect_err("a link is refused"));
        assert!(error.contains(&format!("{link}: is a symbolic link")), "{error}");
    }
}
