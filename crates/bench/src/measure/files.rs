//! File watches and their events.

use attune_common::store::Error;
use serde_json::Value;
use sqlx::PgPool;

/// A file watch `bench.<name>`.
pub async fn make_file_watch(pool: &PgPool, name: &str, config: &Value) -> Result<(), Error> {
    sqlx::query!(
        "insert into trigger (ref, pack_id, label, kind, config)
         select 'bench.' || $1, id, $1, 'file_watch', $2 from pack where ref = 'bench'",
        name,
        config
    )
    .execute(pool)
    .await
    .map(drop)
}

/// Whether the first scan of a file watch has ended.
pub async fn is_scanned(pool: &PgPool, name: &str) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"select exists (select from file_watch w join trigger t on t.id = w.trigger_id
                          where t.ref = 'bench.' || $1 and w.config is not null and w.scanned_at is not null) as "scanned!""#,
        name
    )
    .fetch_one(pool)
    .await
}

/// How many events a file watch has, and about how many different files.
pub async fn file_events(pool: &PgPool, name: &str) -> Result<(i64, i64), Error> {
    sqlx::query!(
        r#"select count(*) as "events!", count(distinct payload ->> 'path') as "files!" from event
           where source = 'file_watch' and trigger_ref = 'bench.' || $1"#,
        name
    )
    .fetch_one(pool)
    .await
    .map(|row| (row.events, row.files))
}
