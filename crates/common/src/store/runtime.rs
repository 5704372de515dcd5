//! Runtimes. Packs contain them; the API only reads them.

use super::{Error, Page};
use attune_domain::{
    PackId, RuntimeId,
    definition::{Runtime, RuntimeDraft, RuntimeKind},
    reference::Key,
};
use sqlx::{PgConnection, PgExecutor, PgPool};

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Runtime,
            "select u.id, u.ref, p.ref as pack_ref, u.label, u.description, u.kind, u.command, u.file_command, u.enabled, u.managed, u.created_at, u.updated_at
             from runtime u join pack p on p.id = u.pack_id " + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, page: &Page) -> Result<Vec<Runtime>, Error> {
    select!(
        "where u.ref > coalesce($1, '') order by u.ref limit $2",
        page.after.as_deref(),
        page.rows()
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, key: &Key) -> Result<Option<Runtime>, Error> {
    select!("where u.ref = $1 or u.id = $2", key.reference(), key.id())
        .fetch_optional(db)
        .await
}

pub async fn insert(connection: &mut PgConnection, pack: PackId, draft: &RuntimeDraft) -> Result<(), Error> {
    sqlx::query!(
        "insert into runtime (ref, pack_id, label, description, kind, command, enabled, file_command)
         values ($1::text, $2, $3, $4, $5, $6, $7, $8)",
        draft.r#ref,
        pack.0,
        draft.label(),
        draft.description,
        draft.kind as RuntimeKind,
        &draft.command,
        draft.enabled,
        &draft.file_command
    )
    .execute(connection)
    .await
    .map(drop)
}

/// A reference and a pack never change.
pub async fn update(connection: &mut PgConnection, id: RuntimeId, draft: &RuntimeDraft) -> Result<(), Error> {
    sqlx::query!(
        "update runtime set label = $2, description = $3, kind = $4, command = $5, enabled = $6, file_command = $7 where id = $1",
        id.0,
        draft.label(),
        draft.description,
        draft.kind as RuntimeKind,
        &draft.command,
        draft.enabled,
        &draft.file_command
    )
    .execute(connection)
    .await
    .map(drop)
}
