//! The core pack, loaded: by Attune, and by hand with psql.

use attune_common::{
    packs::{self, Files, LoadError, Pack, Report},
    testing::Database,
};
use sqlx::PgPool;

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
        (9, 0, 0),
        "{first}"
    );
    let version = definitions_version(&database).await;

    let second = load(&database).await;
    assert_eq!(
        (second.created.len(), second.updated.len(), second.unchanged.len()),
        (0, 0, 9),
        "{second}"
    );
    assert_eq!(definitions_version(&database).await, version);
    database.close().await;
}

#[tokio::test]
async fn what_a_person_changed_stays() {
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
        "loaded pack core: 1 created, 0 updated, 7 unchanged; left alone because a person edited them: core.timer_10s"
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

/// A newer file reaches the rows that nobody edited, also those that somebody switched off.
#[tokio::test]
async fn a_newer_file_updates_what_is_managed() {
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
    echo.label = "Say it".to_owned();
    let report = packs::load(&database.pool, &newer).await.expect("it loads");
    assert_eq!(report.updated, ["core", "core.echo"]);
    assert_eq!(
        text(
            &database.pool,
            "select label || ' ' || enabled || ' ' || managed from action where ref = 'core.echo'"
        )
        .await,
        "Say it false true"
    );
    database.close().await;
}

fn demo(rule: &str) -> Pack {
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    Pack::parse(&Files::from([
        file("pack.yaml", "{ref: demo, label: Demo, version: 0.1.0}"),
        file(
            "actions/say.yaml",
            "{ref: demo.say, label: Say, runtime_ref: core.shell, entry_point: echo hi, enabled: false}",
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
        "{ref: demo.hello, label: Hello, trigger_ref: core.timer_1m, action_ref: demo.say, action_params: {a: 1}}",
    );
    let report = packs::load(&database.pool, &pack).await.expect("it loads");
    assert_eq!(report.created, ["demo", "demo.say", "demo.hello"]);
    assert_eq!(
        text(
            &database.pool,
            "select enabled::text from action where ref = 'demo.say'"
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
    let pack = demo("{ref: demo.hello, label: Hello, trigger_ref: core.timer_1m, action_ref: other.say}");
    let error = packs::load(&database.pool, &pack)
        .await
        .expect_err("the core pack is not loaded");
    assert!(matches!(error, LoadError::Invalid(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "actions/say.yaml: runtime_ref: core.shell does not exist: load its pack first; \
         rules/hello.yaml: trigger_ref: core.timer_1m does not exist: load its pack first; \
         rules/hello.yaml: action_ref: other.say does not exist: load its pack first"
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
    assert_eq!(created, 9);
    database.close().await;
}
