//! Values: what packs remember. Readable, with a version for compare-and-set, and optionally with an end.

use super::{Error, Page};
use attune_domain::PackRef;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use utoipa::ToSchema;

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = StoredValue)]
pub struct PackValue {
    pub r#ref: String,
    #[schema(value_type = String)]
    pub pack_ref: PackRef,
    pub value: Value,
    /// Raised by each change. Send it as `version` to change the value only if no one else has.
    pub version: i64,
    pub expires_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub updated_by: String,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            PackValue,
            r#"select v.ref as "ref!", p.ref as "pack_ref!", v.content as value, v.version, v.expires_at, v.created_at, v.updated_at, v.updated_by
               from pack_value v join pack p on p.id = v.pack_id "# + $tail,
            $($argument),*
        )
    };
}

/// Which values a list shows.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub packs: Option<&'a [String]>,
    pub prefix: Option<&'a str>,
}

/// Expired values do not exist, even if they have not been removed yet.
pub async fn page(pool: &PgPool, filter: &Filter<'_>, page: &Page) -> Result<Vec<PackValue>, Error> {
    select!(
        "where v.ref > coalesce($1, '') and ($2::text[] is null or p.ref = any($2)) and ($3::text is null or starts_with(v.ref, $3))
           and (v.expires_at is null or v.expires_at > db_now()) order by v.ref limit $4",
        page.after.as_deref(),
        filter.packs,
        filter.prefix,
        page.rows()
    )
    .fetch_all(pool)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, reference: &str) -> Result<Option<PackValue>, Error> {
    select!(
        "where v.ref = $1 and (v.expires_at is null or v.expires_at > db_now())",
        reference
    )
    .fetch_optional(db)
    .await
}

/// Serializes changes of one value, also of one that does not exist yet.
pub async fn lock(connection: &mut PgConnection, reference: &str) -> Result<(), Error> {
    sqlx::query!(
        "select from pg_advisory_xact_lock(hashtextextended('value ' || $1, 0))",
        reference
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Writes the value. None if the pack does not exist. An expired value begins again with version 1.
pub async fn set(
    connection: &mut PgConnection,
    (reference, pack): (&str, &str),
    value: &Value,
    ttl_seconds: Option<i32>,
    by: &str,
) -> Result<Option<i64>, Error> {
    sqlx::query_scalar!(
        "insert into pack_value as v (ref, pack_id, content, expires_at, updated_by)
         select $1::text, id, $3, db_now() + make_interval(secs => $4::integer), $5 from pack where ref = $2
         on conflict (ref) do update
             set content = excluded.content, expires_at = excluded.expires_at, updated_by = excluded.updated_by, updated_at = db_now(),
                 version = case when v.expires_at <= db_now() then 1 else v.version + 1 end,
                 created_at = case when v.expires_at <= db_now() then db_now() else v.created_at end
         returning version",
        reference,
        pack,
        value,
        ttl_seconds,
        by
    )
    .fetch_optional(connection)
    .await
}

pub async fn delete(connection: &mut PgConnection, reference: &str) -> Result<(), Error> {
    sqlx::query!("delete from pack_value where ref = $1", reference)
        .execute(connection)
        .await
        .map(drop)
}

/// Removes expired values.
pub async fn expire(pool: &PgPool) -> Result<u64, Error> {
    let removed = sqlx::query!("delete from pack_value where expires_at <= db_now()")
        .execute(pool)
        .await?;
    Ok(removed.rows_affected())
}
