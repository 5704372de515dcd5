//! Migrations with data: each is followed by the rows of its fixture, so that later ones run on an installation in use.

use attune_common::{
    store::{self, PgPool},
    testing::Database,
};
use sqlx::migrate::Migrator;
use std::{
    fs,
    path::{Path, PathBuf},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");

/// (number, file), in order.
fn migrations() -> Vec<(String, PathBuf)> {
    let mut found: Vec<(String, PathBuf)> = fs::read_dir(FOLDER)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("a name in UTF-8");
            (
                name.split('_').next().expect("a number and a word").to_owned(),
                path.clone(),
            )
        })
        .collect();
    found.sort();
    found
}

fn fixture(number: &str) -> String {
    let path = Path::new(FOLDER).join("fixtures").join(format!("{number}.sql"));
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("migration {number} needs a fixture, {}: {error}", path.display()))
}

/// A database that was upgraded through every release.
async fn old_installation() -> Database {
    let database = Database::empty().await;
    let so_far = tempfile::tempdir().expect("a folder can be made");
    for (number, path) in migrations() {
        let name = path.file_name().expect("it has a name");
        fs::copy(&path, so_far.path().join(name)).expect("the migration can be copied");
        let migrator = Migrator::new(so_far.path()).await.expect("the migrations can be read");
        migrator
            .run(&database.pool)
            .await
            .unwrap_or_else(|error| panic!("migration {number} fails on data: {error}"));
        database.execute(&fixture(&number)).await;
    }
    database
}

async fn count(pool: &PgPool, what: &str) -> i64 {
    let sql = format!("select count(*) from {what}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(pool)
        .await
        .expect("the test's SQL is right")
}

#[tokio::test]
async fn every_migration_keeps_the_rows_of_the_earlier_ones() {
    let database = old_installation().await;
    store::db::migrate(&database.pool)
        .await
        .expect("the embedded migrations are the same ones");
    assert!(
        store::db::schema_accepted(&database.pool)
            .await
            .expect("the database answers")
    );

    let expected = [
        ("pack", 2),
        ("runtime", 4),
        ("trigger", 8),
        ("action", 2),
        ("rule", 4),
        ("action where concurrency is not null", 1),
        ("rule where rate_limit is not null", 1),
        ("secret", 2),
        ("secret_grant", 2),
        ("secret_use", 1),
        ("pool_key", 2),
        ("pack_value", 2),
        ("timer", 4),
        ("timer_span", 2),
        ("timer_gap", 1),
        ("event", 6),
        ("event_queue", 4),
        ("event_decision", 1),
        ("enforcement", 3),
        ("execution", 15),
        ("execution_queue", 5),
        ("execution_attempt", 2),
        ("execution_log", 2),
        ("rate_start", 1),
        ("slot_hold", 1),
        ("failure_streak", 1),
        ("pool_unserved", 1),
        ("rule where owner_rule_id is not null", 1),
        ("lease_extension", 1),
        ("event_dedup", 1),
        ("idempotency", 1),
        ("service_instance", 2),
        ("identity", 4),
        ("refresh_token", 3),
        ("sign_in_link", 1),
        ("api_token", 3),
        ("sign_in_attempt", 4),
        ("sign_in_address", 2),
        ("audit", 3),
        ("webhook_request", 4),
        // Written by the database itself for the changes of the fixtures.
        ("rule_history where ref = 'acme.mistake'", 2),
        ("rule where ref = 'acme.report' and version = 4", 1),
        ("trigger where ref = 'acme.report.timer' and version = 3", 1),
        ("trigger where ref = 'core.timer_10s' and managed and version = 1", 1),
        ("timer_change", 1),
        ("timer_history where is_timer", 2),
        ("event_default", 5),
        ("definitions where version > 1", 1),
    ];
    for (what, rows) in expected {
        assert_eq!(count(&database.pool, what).await, rows, "{what}");
    }
    database.close().await;
}

#[tokio::test]
async fn migrating_twice_changes_nothing() {
    let database = Database::new().await;
    store::db::migrate(&database.pool)
        .await
        .expect("there is nothing to do");
    assert_eq!(
        count(
            &database.pool,
            "pg_class where relname like 'event\\_default%' and relkind = 'r'"
        )
        .await,
        1
    );
    database.close().await;
}

/// A value that no claim can read would stop every claim of its pool, so the database refuses it.
#[tokio::test]
async fn the_queue_refuses_what_no_claim_can_read() {
    let database = old_installation().await;
    for bad in [
        "on_lost = 'nonsense'",
        "attempt = -1",
        "attempt = 2147483647",
        "attempts_max = 0",
        "timeout_seconds = 0",
        "timeout_seconds = -5",
        "timeout_seconds = 604801",
    ] {
        let sql = format!(
            "do $$ begin update execution_queue set {bad}; raise 'accepted: {}'; exception when check_violation then end $$",
            bad.replace('\'', "")
        );
        database.execute(&sql).await;
    }
    database.close().await;
}
