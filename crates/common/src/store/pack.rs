//! Packs.

use super::{Error, Page};
use attune_domain::{
    PackId,
    definition::{Pack, PackDraft},
    reference::Key,
};
use sqlx::{PgConnection, PgExecutor, PgPool};

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Pack,
            "select id, ref, label, description, pack_version, hash, has_code, source, enabled, managed, version, created_at, updated_at from pack " + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, enabled: Option<bool>, page: &Page) -> Result<Vec<Pack>, Error> {
    select!(
        "where ref > coalesce($1, '') and ($2::boolean is null or enabled = $2) order by ref limit $3",
        page.after.as_deref(),
        enabled,
        page.rows()
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, key: &Key) -> Result<Option<Pack>, Error> {
    select!("where ref = $1 or id = $2", key.reference(), key.id())
        .fetch_optional(db)
        .await
}

/// Reads a pack and locks it until the transaction ends. Definitions cannot be added to it meanwhile.
pub async fn lock(connection: &mut PgConnection, key: &Key) -> Result<Option<Pack>, Error> {
    select!("where ref = $1 or id = $2 for update", key.reference(), key.id())
        .fetch_optional(connection)
        .await
}

pub async fn insert(connection: &mut PgConnection, draft: &PackDraft) -> Result<Pack, Error> {
    sqlx::query_as!(
        Pack,
        "insert into pack (ref, label, description, pack_version, enabled) values ($1, $2, $3, $4, $5)
         returning id, ref, label, description, pack_version, hash, has_code, source, enabled, managed, version, created_at, updated_at",
        draft.r#ref,
        draft.label(),
        draft.description,
        draft.version,
        draft.enabled
    )
    .fetch_one(connection)
    .await
}

pub async fn update(connection: &mut PgConnection, id: PackId, draft: &PackDraft) -> Result<Pack, Error> {
    sqlx::query_as!(
        Pack,
        "update pack set label = $2, description = $3, pack_version = $4, enabled = $5 where id = $1
         returning id, ref, label, description, pack_version, hash, has_code, source, enabled, managed, version, created_at, updated_at",
        id.0,
        draft.label(),
        draft.description,
        draft.version,
        draft.enabled
    )
    .fetch_one(connection)
    .await
}

/// Makes this the current content of the pack.
pub async fn set_content(
    connection: &mut PgConnection,
    id: PackId,
    (hash, has_code): (&str, bool),
    source: Option<&str>,
) -> Result<(), Error> {
    sqlx::query!(
        "update pack set hash = $2, has_code = $3, source = $4
         where id = $1 and (hash, has_code, source) is distinct from ($2, $3, $4)",
        id.0,
        hash,
        has_code,
        source
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Enables or disables a pack, and thereby its triggers and rules.
pub async fn set_enabled(connection: &mut PgConnection, id: PackId, enabled: bool) -> Result<(), Error> {
    sqlx::query!("update pack set enabled = $2 where id = $1", id.0, enabled)
        .execute(connection)
        .await
        .map(drop)
}

/// Removes a pack and everything in it. The database refuses if another pack uses something of it.
pub async fn delete(connection: &mut PgConnection, id: PackId) -> Result<(), Error> {
    sqlx::query!("delete from pack where id = $1", id.0)
        .execute(connection)
        .await
        .map(drop)
}

/// The definitions in the pack, as `rule core.hello`.
pub async fn contents(connection: &mut PgConnection, id: PackId) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select u.kind || ' ' || u.ref as "ref!" from (
               select 'rule' as kind, ref, pack_id from rule union all select 'trigger', ref, pack_id from trigger
               union all select 'action', ref, pack_id from action union all select 'runtime', ref, pack_id from runtime
               union all select 'secret', ref, pack_id from secret union all select 'value', ref, pack_id from pack_value
           ) u where u.pack_id = $1 order by 1 limit 50"#,
        id.0
    )
    .fetch_all(connection)
    .await
}

/// Kinds and references of definitions in other packs that use something of this one.
pub async fn users(connection: &mut PgConnection, id: PackId) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select 'rule ' || r.ref as "ref!" from rule r
           join trigger t on t.id = r.trigger_id join action a on a.id = r.action_id
           where r.pack_id <> $1 and (t.pack_id = $1 or a.pack_id = $1)
           union
           select 'action ' || a.ref from action a join runtime u on u.id = a.runtime_id where a.pack_id <> $1 and u.pack_id = $1
           order by 1 limit 50"#,
        id.0
    )
    .fetch_all(connection)
    .await
}
