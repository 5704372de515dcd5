//! Triggers. For a timer, its row in `timer` is read as well; only sensors write it.

use super::{Error, Page, webhook::Address};
use attune_domain::{
    PackId, RuleId, TriggerId,
    definition::{Trigger, TriggerDraft, TriggerKind},
    reference::Key,
};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Selects triggers.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub pack_ref: Option<&'a [String]>,
    pub kind: Option<&'a [String]>,
    pub enabled: Option<bool>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Trigger,
            r#"select t.id, t.ref, p.ref as pack_ref, t.label, t.description, t.kind, t.config, t.payload_schema, t.enabled, t.managed,
                      o.ref as "owner_rule_ref?", m.next_fire_at as "next_fire_at?", m.last_fired_at as "last_fired_at?",
                      coalesce(m.last_error, (select string_agg(w.last_error, '; ' order by w.host) from file_watch w where w.trigger_id = t.id)) as "last_error?",
                      t.webhook_key, t.webhook_key_sealed, t.version, t.created_at, t.updated_at
               from trigger t join pack p on p.id = t.pack_id
               left join rule o on o.id = t.owner_rule_id
               left join timer m on m.trigger_id = t.id "# + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, filter: &Filter<'_>, page: &Page) -> Result<Vec<Trigger>, Error> {
    select!(
        "where t.ref > coalesce($1, '') and ($2::text[] is null or p.ref = any($2)) and ($3::text[] is null or t.kind = any($3))
           and ($4::boolean is null or t.enabled = $4)
         order by t.ref limit $5",
        page.after.as_deref(),
        filter.pack_ref,
        filter.kind,
        filter.enabled,
        page.rows()
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, key: &Key) -> Result<Option<Trigger>, Error> {
    select!("where t.ref = $1 or t.id = $2", key.reference(), key.id())
        .fetch_optional(db)
        .await
}

/// Reads a trigger and locks it until the transaction ends.
pub async fn lock(connection: &mut PgConnection, key: &Key) -> Result<Option<Trigger>, Error> {
    select!(
        "where t.ref = $1 or t.id = $2 for update of t",
        key.reference(),
        key.id()
    )
    .fetch_optional(connection)
    .await
}

/// `address`: the address of a webhook. The database generates a missing one.
pub async fn insert(
    connection: &mut PgConnection,
    (pack, owner): (PackId, Option<RuleId>),
    draft: &TriggerDraft,
    address: Option<&Address>,
) -> Result<TriggerId, Error> {
    sqlx::query_scalar!(
        "insert into trigger (ref, pack_id, label, description, kind, config, payload_schema, enabled, owner_rule_id,
                              webhook_key, webhook_key_hash, webhook_key_sealed)
         values ($1::text, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) returning id",
        draft.r#ref,
        pack.0,
        draft.label(),
        draft.description,
        draft.kind as TriggerKind,
        draft.config,
        draft.payload_schema.as_ref(),
        draft.enabled,
        owner.map(|rule| rule.0),
        address.and_then(|address| address.clear.as_deref()),
        address.map(|address| address.hash.as_slice()),
        address.and_then(|address| address.sealed.as_deref())
    )
    .fetch_one(connection)
    .await
}

/// A reference, a pack and a webhook's address never change: `address` is for a webhook that has none yet.
pub async fn update(
    connection: &mut PgConnection,
    id: TriggerId,
    draft: &TriggerDraft,
    address: Option<&Address>,
) -> Result<(), Error> {
    sqlx::query!(
        "update trigger set label = $2, description = $3, kind = $4, config = $5, payload_schema = $6, enabled = $7,
                webhook_key = case when webhook_key_hash is null then $8 else webhook_key end,
                webhook_key_hash = coalesce(webhook_key_hash, $9),
                webhook_key_sealed = case when webhook_key_hash is null then $10 else webhook_key_sealed end
         where id = $1",
        id.0,
        draft.label(),
        draft.description,
        draft.kind as TriggerKind,
        draft.config,
        draft.payload_schema.as_ref(),
        draft.enabled,
        address.and_then(|address| address.clear.as_deref()),
        address.map(|address| address.hash.as_slice()),
        address.and_then(|address| address.sealed.as_deref())
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Enables or disables a trigger.
pub async fn set_enabled(connection: &mut PgConnection, id: TriggerId, enabled: bool) -> Result<(), Error> {
    sqlx::query!("update trigger set enabled = $2 where id = $1", id.0, enabled)
        .execute(connection)
        .await
        .map(drop)
}

pub async fn delete(connection: &mut PgConnection, id: TriggerId) -> Result<(), Error> {
    sqlx::query!("delete from trigger where id = $1", id.0)
        .execute(connection)
        .await
        .map(drop)
}

/// The inline timer of a rule.
pub async fn owned_by(connection: &mut PgConnection, rule: RuleId) -> Result<Option<Trigger>, Error> {
    select!("where t.owner_rule_id = $1 for update of t", rule.0)
        .fetch_optional(connection)
        .await
}

/// The rules that use it, as `rule core.hello`.
pub async fn users(connection: &mut PgConnection, id: TriggerId) -> Result<Vec<String>, Error> {
    sqlx::query_scalar!(
        r#"select 'rule ' || ref as "ref!" from rule where trigger_id = $1 order by 1 limit 50"#,
        id.0
    )
    .fetch_all(connection)
    .await
}
