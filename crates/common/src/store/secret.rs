//! Secrets: encrypted, with a copy for each pool that may use them.

use super::{Error, Page, USERS_MAX};
use crate::saturating;
use attune_domain::{ActionRef, ExecutionId, PackRef, RuleId, RuleRef};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgExecutor, PgPool};
use utoipa::ToSchema;

/// What is known about a secret. Its value is never returned.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Secret {
    #[serde(skip)]
    pub id: i64,
    pub r#ref: String,
    #[schema(value_type = String)]
    pub pack_ref: PackRef,
    pub description: Option<String>,
    /// The number of values that it has had. 0: it has none yet.
    pub version: i64,
    pub set_at: Option<DateTime<Utc>>,
    pub set_by: Option<String>,
    pub expires_at: Option<DateTime<Utc>>,
    /// The pools whose workers can open it.
    pub pools: Vec<String>,
    /// The packs and actions that may use it.
    pub packs: Vec<String>,
    pub last_used_at: Option<DateTime<Utc>>,
    /// The rules and actions that name it, at most 50: `rule core.hello`.
    pub used_by: Vec<String>,
    pub created_at: DateTime<Utc>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Secret,
            r#"select s.id, s.ref as "ref!", p.ref as "pack_ref!", s.description, s.value_version as version, s.set_at, s.set_by, s.expires_at,
                  array(select pool from secret_grant where secret_id = s.id order by 1) as "pools!", s.packs,
                  (select max(last_used_at) from secret_use where secret_id = s.id) as last_used_at,
                  array(
                      select 'rule ' || r.ref from rule r
                      where r.action_params::text ~ ('\msecrets\.' || replace(s.ref, '.', '\.') || '($|[^a-z0-9_.])')
                      union all
                      select 'action ' || a.ref from action a
                      where exists (select from jsonb_each_text(a.secrets) as used where used.value = s.ref)
                      order by 1 limit 50
                  ) as "used_by!", s.created_at
               from secret s join pack p on p.id = s.pack_id "# + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, packs: Option<&[String]>, page: &Page) -> Result<Vec<Secret>, Error> {
    debug_assert_eq!(USERS_MAX, 50);
    select!(
        "where s.ref > coalesce($1, '') and ($2::text[] is null or p.ref = any($2)) order by s.ref limit $3",
        page.after.as_deref(),
        packs,
        page.rows()
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, reference: &str) -> Result<Option<Secret>, Error> {
    select!("where s.ref = $1", reference).fetch_optional(db).await
}

/// A value at rest. Those of before the first version have none.
#[derive(Debug)]
pub struct Stored {
    pub id: i64,
    pub r#ref: String,
    pub version: i64,
    pub sealed: Option<String>,
    pub packs: Vec<String>,
    pub pools: Vec<String>,
}

macro_rules! stored {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Stored,
            r#"select s.id, s.ref as "ref!", s.value_version as version, s.sealed, s.packs,
                      array(select pool from secret_grant where secret_id = s.id order by 1) as "pools!"
               from secret s "# + $tail,
            $($argument),*
        )
    };
}

pub async fn lock(connection: &mut PgConnection, reference: &str) -> Result<Option<Stored>, Error> {
    stored!("where s.ref = $1 for update of s", reference)
        .fetch_optional(connection)
        .await
}

/// A batch in the order of ids, for `attune reseal`.
pub async fn lock_after(connection: &mut PgConnection, after: i64, rows: i64) -> Result<Vec<Stored>, Error> {
    stored!("where s.id > $1 order by s.id limit $2 for update of s", after, rows)
        .fetch_all(connection)
        .await
}

/// Inserts a secret without a value. None if its pack does not exist.
pub async fn insert(connection: &mut PgConnection, reference: &str, pack: &str) -> Result<Option<i64>, Error> {
    sqlx::query_scalar!(
        "insert into secret (ref, pack_id, label) select $1::text, id, $1 from pack where ref = $2 returning id",
        reference,
        pack
    )
    .fetch_optional(connection)
    .await
}

#[derive(Debug)]
pub struct NewValue<'a> {
    pub version: i64,
    pub sealed: &'a str,
    pub set_by: &'a str,
    pub expires_at: Option<DateTime<Utc>>,
    pub description: Option<&'a str>,
}

pub async fn set(connection: &mut PgConnection, id: i64, value: &NewValue<'_>) -> Result<(), Error> {
    sqlx::query!(
        "update secret set sealed = $2, value_version = $3, set_by = $4, set_at = db_now(), expires_at = $5, description = $6,
                ciphertext = null, key_id = null
         where id = $1",
        id,
        value.sealed,
        value.version,
        value.set_by,
        value.expires_at,
        value.description
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Replaces the ciphertexts of the same values.
pub async fn set_sealed(connection: &mut PgConnection, ids: &[i64], sealed: &[String]) -> Result<(), Error> {
    sqlx::query!(
        "update secret s set sealed = given.sealed from unnest($1::bigint[], $2::text[]) as given (id, sealed) where s.id = given.id",
        ids,
        sealed
    )
    .execute(connection)
    .await
    .map(drop)
}

/// The copies of these secrets, as secret, pool and ciphertext.
pub async fn copies(connection: &mut PgConnection, ids: &[i64]) -> Result<Vec<(i64, String, String)>, Error> {
    let rows = sqlx::query!(
        "select secret_id, pool, sealed from secret_grant where secret_id = any($1) order by secret_id, pool",
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.secret_id, row.pool, row.sealed))
        .collect())
}

/// Replaces copies: the version of the value is unchanged.
pub async fn set_copies(connection: &mut PgConnection, copies: &[(i64, String, String)]) -> Result<(), Error> {
    let ids: Vec<i64> = copies.iter().map(|(id, ..)| *id).collect();
    let pools: Vec<String> = copies.iter().map(|(_, pool, _)| pool.clone()).collect();
    let sealed: Vec<String> = copies.iter().map(|(.., sealed)| sealed.clone()).collect();
    sqlx::query!(
        "update secret_grant g set sealed = given.sealed, value_version = s.value_version
         from unnest($1::bigint[], $2::text[], $3::text[]) as given (id, pool, sealed) join secret s on s.id = given.id
         where g.secret_id = given.id and g.pool = given.pool",
        &ids,
        &pools,
        &sealed
    )
    .execute(connection)
    .await
    .map(drop)
}

pub async fn set_packs(connection: &mut PgConnection, id: i64, packs: &[String]) -> Result<(), Error> {
    sqlx::query!("update secret set packs = $2 where id = $1", id, packs)
        .execute(connection)
        .await
        .map(drop)
}

/// A copy for one pool.
#[derive(Debug)]
pub struct Grant {
    pub pool: String,
    pub sealed: String,
}

/// Grants a secret to these pools, and to no others.
pub async fn set_grants(connection: &mut PgConnection, id: i64, version: i64, grants: &[Grant]) -> Result<(), Error> {
    let (pools, sealed): (Vec<String>, Vec<String>) = grants
        .iter()
        .map(|grant| (grant.pool.clone(), grant.sealed.clone()))
        .unzip();
    sqlx::query!(
        "with gone as (delete from secret_grant where secret_id = $1 and pool <> all($3))
         insert into secret_grant (secret_id, pool, value_version, sealed)
         select $1, given.pool, $2, given.sealed from unnest($3::text[], $4::text[]) as given (pool, sealed)
         on conflict (secret_id, pool) do update set value_version = excluded.value_version, sealed = excluded.sealed",
        id,
        version,
        &pools,
        &sealed
    )
    .execute(connection)
    .await
    .map(drop)
}

pub async fn delete(connection: &mut PgConnection, id: i64) -> Result<(), Error> {
    sqlx::query!("delete from secret where id = $1", id)
        .execute(connection)
        .await
        .map(drop)
}

/// What a worker needs to open a secret.
#[derive(Debug)]
pub struct Openable {
    pub id: i64,
    pub r#ref: String,
    pub version: i64,
    /// Granted to the pack of the action, or to the action.
    pub usable: bool,
    /// The copy for the pool.
    pub sealed: Option<String>,
    pub value_version: Option<i64>,
    /// Its use by this action is not recorded, or was recorded more than a minute ago.
    pub record: bool,
}

pub async fn openable(pool: &PgPool, refs: &[String], worker_pool: &str, action: &str) -> Result<Vec<Openable>, Error> {
    sqlx::query_as!(
        Openable,
        r#"select s.id, s.ref as "ref!", s.value_version as version, s.packs && array[$3, split_part($3, '.', 1)] as "usable!",
                  g.sealed as "sealed?", g.value_version as "value_version?",
                  coalesce(u.last_used_at < db_now() - interval '1 minute', true) as "record!"
           from secret s
           left join secret_grant g on g.secret_id = s.id and g.pool = $2
           left join secret_use u on u.secret_id = s.id and u.action_ref = $3
           where s.ref = any($1)"#,
        refs,
        worker_pool,
        action
    )
    .fetch_all(pool)
    .await
}

/// Records that an action used these secrets. Returns the refs of those that it used for the first time.
pub async fn record_use(connection: &mut PgConnection, ids: &[i64], action: &str) -> Result<Vec<String>, Error> {
    let first = sqlx::query!(
        r#"with used as (
               insert into secret_use (secret_id, action_ref)
               select id, $2 from secret where id = any($1) order by id
               on conflict (secret_id, action_ref) do update set last_used_at = db_now()
               returning secret_id, xmax = 0 as first
           )
           select s.ref as "ref!" from used join secret s on s.id = used.secret_id where used.first order by 1"#,
        ids,
        action
    )
    .fetch_all(connection)
    .await?;
    Ok(first.into_iter().map(|row| row.r#ref).collect())
}

/// The refs among these that do not exist, and those that the action may not use.
#[derive(Debug, Default)]
pub struct Usable {
    pub missing: Vec<String>,
    pub refused: Vec<String>,
}

pub async fn usable(connection: &mut PgConnection, refs: &[String], action: &str) -> Result<Usable, Error> {
    let rows = sqlx::query!(
        r#"select wanted as "ref!", s.id as "id?", coalesce(s.packs && array[$2, split_part($2, '.', 1)], false) as "usable!"
           from unnest($1::text[]) as wanted left join secret s on s.ref = wanted"#,
        refs,
        action
    )
    .fetch_all(connection)
    .await?;
    let mut found = Usable::default();
    for row in rows {
        match row.id {
            None => found.missing.push(row.r#ref),
            Some(_) if !row.usable => found.refused.push(row.r#ref),
            Some(_) => {}
        }
    }
    Ok(found)
}

/// Secrets that have expired or expire within this many days, and when.
pub async fn expiring(pool: &PgPool, days: i32) -> Result<Vec<(String, DateTime<Utc>)>, Error> {
    let rows = sqlx::query!(
        r#"select ref as "ref!", expires_at as "expires_at!" from secret
           where expires_at < db_now() + make_interval(days => $1) order by expires_at limit 20"#,
        days
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.r#ref, row.expires_at)).collect())
}

/// An execution with sealed literals.
#[derive(Debug)]
pub struct WithLiterals {
    pub id: ExecutionId,
    pub action_ref: ActionRef,
    pub pool: String,
    pub parameters: serde_json::Value,
}

/// A rule with sealed literals.
#[derive(Debug)]
pub struct RuleWithLiterals {
    pub id: RuleId,
    pub r#ref: RuleRef,
    pub action_ref: ActionRef,
    pub pool: String,
    pub parameters: serde_json::Value,
}

pub async fn rules_with_literals(connection: &mut PgConnection) -> Result<Vec<RuleWithLiterals>, Error> {
    sqlx::query_as!(
        RuleWithLiterals,
        r#"select r.id, r.ref as "ref!", a.ref as "action_ref!", a.pool, r.action_params as parameters
           from rule r join action a on a.id = r.action_id
           where r.action_params::text like '%"$sealed"%' order by r.id for update of r"#
    )
    .fetch_all(connection)
    .await
}

pub async fn set_rule_literals(
    connection: &mut PgConnection,
    id: RuleId,
    parameters: &serde_json::Value,
) -> Result<(), Error> {
    sqlx::query!("update rule set action_params = $2 where id = $1", id.0, parameters)
        .execute(connection)
        .await
        .map(drop)
}

/// Executions after `after` whose parameters contain sealed literals, in the order of their ids.
pub async fn executions_with_literals(
    connection: &mut PgConnection,
    after: uuid::Uuid,
    rows: usize,
) -> Result<Vec<WithLiterals>, Error> {
    sqlx::query_as!(
        WithLiterals,
        r#"select id, action_ref, pool, parameters from execution
           where id > $1 and parameters::text like '%"$sealed"%' order by id limit $2 for update"#,
        after,
        saturating::i64(rows)
    )
    .fetch_all(connection)
    .await
}

pub async fn set_execution_literals(
    connection: &mut PgConnection,
    id: ExecutionId,
    parameters: &serde_json::Value,
) -> Result<(), Error> {
    sqlx::query!("update execution set parameters = $2 where id = $1", id.0, parameters)
        .execute(connection)
        .await
        .map(drop)
}
