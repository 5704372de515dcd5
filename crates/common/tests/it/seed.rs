//! `scripts/seed_core_pack.sql`, run by psql, does what loading the core pack does.

use attune_common::{packs, testing::Database};
use serde_json::Value;
use std::process::{Command, Output};

const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/seed_core_pack.sql");

#[expect(
    clippy::disallowed_methods,
    reason = "the script is written for psql, so psql runs it"
)]
fn psql(database: &Database) -> Output {
    Command::new("psql")
        .args([database.url(), "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-f", SEED])
        .output()
        .expect("psql is installed (scripts/test.sh installs it)")
}

/// Runs the seed and returns its output.
fn seed(database: &Database) -> String {
    let output = psql(database);
    let (printed, failed) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && failed.is_empty(),
        "psql failed: {failed}\n{printed}"
    );
    printed.into_owned()
}

async fn load(database: &Database) -> packs::Report {
    let core = packs::core().expect("the core pack is valid");
    packs::load(&database.pool, &core)
        .await
        .expect("the core pack can be loaded")
}

/// Every definition with all columns except ids and times; references are resolved to refs.
async fn rows(database: &Database) -> Value {
    sqlx::query_scalar(
        "with row (kind, ref, row) as (
             select 'pack', ref::text, to_jsonb(p) from pack p
             union all select 'runtime', ref, to_jsonb(r) from runtime r
             union all select 'trigger', ref, to_jsonb(t) from trigger t
             union all select 'action', ref, to_jsonb(a) || jsonb_build_object('runtime', (select ref from runtime where id = runtime_id)) from action a
             union all select 'rule', ref, to_jsonb(r) from rule r
         )
         select jsonb_agg(row - array['id', 'runtime_id', 'pack_id', 'created_at', 'updated_at']
                          || jsonb_build_object('kind', kind, 'pack', (select ref from pack where id = (row->>'pack_id')::bigint))
                          order by kind, ref)
         from row",
    )
    .fetch_one(&database.pool)
    .await
    .expect("the definitions can be read")
}

async fn definitions_version(database: &Database) -> i64 {
    sqlx::query_scalar("select version from definitions")
        .fetch_one(&database.pool)
        .await
        .expect("the counter is there")
}

#[tokio::test]
async fn seed_and_load_create_the_same_rows() {
    let (loaded, seeded) = (Database::new().await, Database::new().await);
    load(&loaded).await;
    assert_eq!(seed(&seeded).matches(" created").count(), 22);
    let rows_seeded = rows(&seeded).await;
    assert_eq!(rows_seeded.as_array().map(Vec::len), Some(22));
    assert_eq!(rows(&loaded).await, rows_seeded);
    loaded.close().await;
    seeded.close().await;
}

#[tokio::test]
async fn seed_and_load_change_nothing_after_each_other() {
    let database = Database::new().await;
    seed(&database);
    let version = definitions_version(&database).await;
    assert_eq!(seed(&database).matches(" unchanged").count(), 22);
    let report = load(&database).await;
    assert_eq!(report.unchanged.len(), 22, "{report}");
    assert_eq!(seed(&database).matches(" unchanged").count(), 22);
    assert_eq!(definitions_version(&database).await, version);
    database.close().await;
}

/// Applies every kind of user change before either way.
#[tokio::test]
async fn seed_and_load_preserve_the_same_changes() {
    let databases = [Database::new().await, Database::new().await];
    for database in &databases {
        load(database).await;
        database
            .execute(
                "update trigger set config = '{\"type\": \"interval\", \"seconds\": 30}' where ref = 'core.timer_10s';
                 update action set runtime_id = (select id from runtime where ref = 'core.native') where ref = 'core.sleep';
                 update action set enabled = false where ref = 'core.echo';
                 update pack set label = 'Ours', enabled = false;
                 delete from action where ref = 'core.noop';
                 set attune.loading = 'on';
                 update trigger set label = 'From an older file' where ref = 'core.timer_1m';
                 reset attune.loading",
            )
            .await;
    }
    let [loaded, seeded] = databases;
    let report = load(&loaded).await;
    assert_eq!(report.left_alone, ["core", "core.timer_10s", "core.sleep"]);
    assert_eq!(
        (report.created, report.updated),
        (vec!["core.noop".to_owned()], vec!["core.timer_1m".to_owned()])
    );
    let printed = seed(&seeded);
    let outcome = |reference: &str| {
        let line = printed
            .lines()
            .find(|line| line.split('|').nth(1).is_some_and(|cell| cell.trim() == reference));
        line.and_then(|line| line.split('|').nth(2))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    for reference in ["core", "core.timer_10s", "core.sleep"] {
        assert_eq!(
            outcome(reference),
            "left alone: a person edited it",
            "{reference}\n{printed}"
        );
    }
    assert_eq!(
        (outcome("core.noop"), outcome("core.timer_1m"), outcome("core.echo")),
        ("created".into(), "updated".into(), "unchanged".into())
    );
    assert_eq!(rows(&loaded).await, rows(&seeded).await);
    loaded.close().await;
    seeded.close().await;
}

#[tokio::test]
async fn a_database_without_migrations_is_reported() {
    let database = Database::empty().await;
    let output = psql(&database);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "psql must fail");
    assert!(
        failed.contains("has no Attune tables") && failed.contains("attune migrate"),
        "{failed}"
    );
    database.close().await;
}
