//! The content of packs, by its hash.

use super::Error;
use attune_domain::{PackId, definition::FileEntry};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Content to store.
#[derive(Debug)]
pub struct Content<'a> {
    pub hash: &'a str,
    pub pack_ref: &'a str,
    pub pack_version: &'a str,
    /// A `.tar.gz` in the normal form.
    pub content: &'a [u8],
    pub files: &'a [FileEntry],
    /// How each action runs with it.
    pub actions: &'a Value,
}

/// Stores content, unless it is there.
pub async fn insert(connection: &mut PgConnection, new: &Content<'_>) -> Result<(), Error> {
    // Without a lock on the row: the caller waits for the lock of all definitions next.
    let known = sqlx::query_scalar!(
        r#"select exists (select from pack_archive where hash = $1) as "known!""#,
        new.hash
    );
    if known.fetch_one(&mut *connection).await? {
        return Ok(());
    }
    sqlx::query!(
        "insert into pack_archive (hash, pack_ref, pack_version, content, files, actions) values ($1, $2, $3, $4, $5, $6)
         on conflict on constraint pack_archive_pk do nothing",
        new.hash,
        new.pack_ref,
        new.pack_version,
        new.content,
        Json(new.files) as _,
        new.actions
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Keeps content that a pack will use again.
pub async fn keep(connection: &mut PgConnection, hash: &str) -> Result<(), Error> {
    sqlx::query!(
        "update pack_archive set superseded_at = null where hash = $1 and superseded_at is not null",
        hash
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The `.tar.gz` with this hash.
pub async fn content(pool: &PgPool, hash: &str) -> Result<Option<Vec<u8>>, Error> {
    sqlx::query_scalar!("select content from pack_archive where hash = $1", hash)
        .fetch_optional(pool)
        .await
}

/// The files of a pack's current content. None without content.
pub async fn files(db: impl PgExecutor<'_>, pack: PackId) -> Result<Option<Vec<FileEntry>>, Error> {
    let files = sqlx::query_scalar!(
        r#"select h.files as "files: Json<Vec<FileEntry>>" from pack p join pack_archive h on h.hash = p.hash where p.id = $1"#,
        pack.0
    );
    Ok(files.fetch_optional(db).await?.map(|files| files.0))
}

/// Whether the current content of a pack has a file with this path.
pub async fn has_file(connection: &mut PgConnection, pack: PackId, path: &str) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select from pack p join pack_archive h on h.hash = p.hash, jsonb_array_elements(h.files) f
               where p.id = $1 and f ->> 'path' = $2
           ) as "exists!""#,
        pack.0,
        path
    )
    .fetch_one(connection)
    .await
}

/// Removes content that no pack has used for the retention of executions, and that no pending execution needs.
pub async fn expire(pool: &PgPool) -> Result<(), Error> {
    sqlx::query!(
        "delete from pack_archive h
         where h.superseded_at < db_now() - make_interval(days => (select keep_days from partitioned_table where name = 'execution'))
           and not exists (select from pack p where p.hash = h.hash)
           and not exists (select from execution_queue q join execution e on e.id = q.execution_id where e.pack_hash = h.hash)"
    )
    .execute(pool)
    .await
    .map(drop)
}
