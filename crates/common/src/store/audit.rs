//! The audit log: appended in the transaction of the audited change, and never modified.

use super::{Error, page};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;

/// Every audited operation.
pub const VERBS: [&str; 29] = [
    "sign_in",
    "sign_in_refused",
    "sign_out",
    "refresh_token_reused",
    "set_password",
    "create",
    "update",
    "delete",
    "apply",
    "enable",
    "disable",
    "stop_timer",
    "start_timer",
    "rotate_secret",
    "rotate_key",
    "reseal",
    "fire",
    "run",
    "rerun",
    "cancel",
    "replay",
    "discard",
    "redeliver",
    "revoke",
    "set",
    "increment",
    "grant",
    "first_use",
    "denied_use",
];
/// The kinds of objects. Each is followed by a name or a number, except a session.
pub const KINDS: [&str; 12] = [
    "session",
    "identity",
    "token",
    "pack",
    "trigger",
    "action",
    "rule",
    "event",
    "execution",
    "webhook request",
    "secret",
    "value",
];

/// Whether the text is an object of an audited operation.
pub fn is_object(text: &str) -> bool {
    let named = |kind: &str| Some(text.strip_prefix(kind)?.strip_prefix(' ')?.len());
    text == KINDS[0]
        || KINDS[1..]
            .iter()
            .any(|kind| named(kind).is_some_and(|length| length > 0))
}

#[derive(Debug, Default)]
pub struct Entry<'a> {
    pub actor: &'a str,
    pub address: Option<&'a str>,
    pub verb: &'a str,
    pub object: &'a str,
    pub before_hash: Option<String>,
    pub after_hash: Option<String>,
    pub request_id: Option<&'a str>,
}

pub async fn append(connection: &mut PgConnection, entries: &[Entry<'_>]) -> Result<(), Error> {
    let known = |entry: &Entry<'_>| VERBS.contains(&entry.verb) && is_object(entry.object);
    debug_assert!(entries.iter().all(known), "a new word: {entries:?}");
    let column = |of: fn(&Entry<'_>) -> String| entries.iter().map(of).collect::<Vec<_>>();
    let optional = |of: fn(&Entry<'_>) -> Option<String>| entries.iter().map(of).collect::<Vec<_>>();
    sqlx::query!(
        "insert into audit (actor, address, verb, object, before_hash, after_hash, request_id)
         select actor, address, verb, object, before_hash, after_hash, request_id
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
             with ordinality as given (actor, address, verb, object, before_hash, after_hash, request_id, place)
         order by place",
        &column(|entry| entry.actor.to_owned()),
        &optional(|entry| entry.address.map(str::to_owned)) as &[Option<String>],
        &column(|entry| entry.verb.to_owned()),
        &column(|entry| entry.object.to_owned()),
        &optional(|entry| entry.before_hash.clone()) as &[Option<String>],
        &optional(|entry| entry.after_hash.clone()) as &[Option<String>],
        &optional(|entry| entry.request_id.map(str::to_owned)) as &[Option<String>]
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Appends the same entry for each of these objects.
pub async fn append_all(connection: &mut PgConnection, entry: &Entry<'_>, objects: &[String]) -> Result<(), Error> {
    debug_assert!(VERBS.contains(&entry.verb), "a new word: {entry:?}");
    sqlx::query!(
        "insert into audit (actor, address, verb, object, request_id)
         select $1::text, $2::text, $3::text, object, $5::text from unnest($4::text[]) as object",
        entry.actor,
        entry.address,
        entry.verb,
        objects,
        entry.request_id
    )
    .execute(connection)
    .await
    .map(drop)
}

/// Whether such an entry was written within the last hour.
pub async fn is_recent(connection: &mut PgConnection, verb: &str, actor: &str, object: &str) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"select exists (
               select from (select at, verb, actor, object from audit order by id desc limit 10000) a
               where a.verb = $1 and a.actor = $2 and a.object = $3 and a.at > db_now() - interval '1 hour'
           ) as "recent!""#,
        verb,
        actor,
        object
    )
    .fetch_one(connection)
    .await
}

/// An entry. Only fingerprints of the object are stored, so that it contains no secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// The login, with the number of the API token if one was used.
    pub actor: String,
    /// The client's address.
    pub address: Option<String>,
    pub verb: String,
    /// The object: `rule core.hello`, `identity ann`, `token 7`.
    pub object: String,
    /// The sha256 of the object before and after.
    pub before_hash: Option<String>,
    pub after_hash: Option<String>,
    pub request_id: Option<String>,
}

/// Selects entries.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub actor: Option<&'a str>,
    pub verb: Option<&'a [String]>,
    pub object: Option<&'a str>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// Newest first, after the entry `before`.
pub async fn page(
    pool: &PgPool,
    filter: &Filter<'_>,
    before: Option<i64>,
    rows: i64,
) -> Result<Vec<AuditEntry>, Error> {
    let mut tx = page::planned(pool).await?;
    sqlx::query_as!(
        AuditEntry,
        "select id, at, actor, address, verb, object, before_hash, after_hash, request_id from audit
         where ($1::text is null or actor = $1 or starts_with(actor, $1 || ' (')) and ($2::text[] is null or verb = any($2))
           and ($3::text is null or object = $3)
           and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5) and ($6::bigint is null or id < $6)
         order by id desc limit $7",
        filter.actor,
        filter.verb,
        filter.object,
        filter.since,
        filter.until,
        before,
        rows
    )
    .fetch_all(&mut *tx)
    .await
}
