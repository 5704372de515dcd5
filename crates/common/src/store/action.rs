//! Actions.

use super::{Error, Page};
use attune_domain::{
    ActionId, PackId, RuntimeId,
    definition::{Action, ActionDraft, EntryKind, OnLost, OutputFormat, SecretDelivery},
    reference::Key,
};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Selects actions.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub pack_ref: Option<&'a [String]>,
    pub enabled: Option<bool>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Action,
            "select a.id, a.ref, p.ref as pack_ref, u.ref as runtime_ref, a.label, a.description, a.entry_point, a.entry_kind, a.parameters_schema,
                    a.output_schema, a.output_format, a.pool, a.timeout_seconds, a.on_lost, a.retry, a.concurrency, a.resources, a.labels,
                    a.secrets, a.secret_delivery, a.enabled,
                    a.managed, a.version, a.created_at, a.updated_at
             from action a join pack p on p.id = a.pack_id join runtime u on u.id = a.runtime_id " + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, filter: &Filter<'_>, page: &Page) -> Result<Vec<Action>, Error> {
    select!(
        "where a.ref > coalesce($1, '') and ($2::text[] is null or p.ref = any($2)) and ($3::boolean is null or a.enabled = $3)
         order by a.ref limit $4",
        page.after.as_deref(),
        filter.pack_ref,
        filter.enabled,
        page.rows()
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, key: &Key) -> Result<Option<Action>, Error> {
    select!("where a.ref = $1 or a.id = $2", key.reference(), key.id())
        .fetch_optional(db)
        .await
}

/// Reads an action and locks it until the transaction ends.
pub async fn lock(connection: &mut PgConnection, key: &Key) -> Result<Option<Action>, Error> {
    select!(
        "where a.ref = $1 or a.id = $2 for update of a",
        key.reference(),
        key.id()
    )
    .fetch_optional(connection)
    .await
}

pub async fn insert(
    connection: &mut PgConnection,
    (pack, runtime): (PackId, RuntimeId),
    draft: &ActionDraft,
) -> Result<ActionId, Error> {
    sqlx::query_scalar!(
        "insert into action (ref, pack_id, runtime_id, label, description, entry_point, parameters_schema, output_schema,
                             output_format, pool, timeout_seconds, on_lost, retry, concurrency, enabled, resources, labels, entry_kind,
                             secrets, secret_delivery)
         values ($1::text, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) returning id",
        draft.r#ref,
        pack.0,
        runtime.0,
        draft.label(),
        draft.description,
        draft.entry_point,
        draft.parameters_schema,
        draft.output_schema,
        draft.output_format as OutputFormat,
        draft.pool,
        draft.timeout_seconds,
        draft.on_lost as OnLost,
        draft.retry.as_ref() as _,
        draft.concurrency.as_ref() as _,
        draft.enabled,
        draft.resources.as_ref() as _,
        draft.labels,
        draft.entry_kind() as EntryKind,
        draft.secrets,
        draft.secret_delivery as SecretDelivery
    )
    .fetch_one(connection)
    .await
}

/// A reference and a pack never change.
pub async fn update(
    connection: &mut PgConnection,
    id: ActionId,
    runtime: RuntimeId,
    draft: &ActionDraft,
) -> Result<(), Error> {
    sqlx::query!(
        "update action set runtime_id = $2, label = $3, description = $4, entry_point = $5, parameters_schema = $6,
                output_schema = $7, output_format = $8, pool = $9, timeout_seconds = $10, on_lost = $11, retry = $12,
                concurrency = $13, enabled = $14, resources = $15, labels = $16, entry_kind = $17, secrets = $18, secret_delivery = $19
         where id = $1",
        id.0,
        runtime.0,
        draft.label(),
        draft.description,
        draft.entry_point,
        draft.parameters_schema,
        draft.output_schema,
        draft.output_format as OutputFormat,
        draft.pool,
        draft.timeout_seconds,
        draft.on_lost as OnLost,
        draft.retry.as_ref() as _,
        draft.concurrency.as_ref() as _,
        draft.enabled,
        draft.resources.as_ref() as _,
        draft.labels,
        draft.entry_kind() as EntryKind,
        draft.secrets,
        draft.secret_delivery as SecretDelivery
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Enables or disables an action.
pub async fn set_enabled(connection: &mut PgConnection, id: ActionId, enabled: bool) -> Result<(), Error> {
    sqlx::query!("update action set enabled = $2 where id = $1", id.0, enabled)
        .execute(connection)
        .await
        .map(drop)
}

pub async fn delete(connection: &mut PgConnection, id: ActionId) -> Result<(), Error> {
    sqlx::query!("delete from action where id = $1", id.0)
        .execute(connection)
        .await
        .map(drop)
}

/// The rules that use it, as `rule core.hello`.
pub async fn users(connection: &mut PgConnection, id: ActionId) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select 'rule ' || ref as "ref!" from rule where action_id = $1 order by 1 limit 50"#,
        id.0
    )
    .fetch_all(connection)
    .await
}
