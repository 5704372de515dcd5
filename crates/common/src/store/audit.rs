//! Who did what: appended in the transaction that did it, never changed.

use super::{Error, page};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;

/// Everything that is ever done.
pub const VERBS: [&str; 21] = [
    "sign_in",
    "sign_in_refused",
    "sign_out",
    "refresh_token_reused",
    "set_password",
    "create",
    "update",
    "delete",
    "enable",
    "disable",
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
];
/// What it is done to: each stands before a name or a number, but for a session, which has none.
pub const KINDS: [&str; 10] = [
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
];

/// May something be done to it?
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

pub async fn append(connection: &mut PgConnection, entry: &Entry<'_>) -> Result<(), Error> {
    debug_assert!(
        VERBS.contains(&entry.verb) && is_object(entry.object),
        "a new word: {entry:?}"
    );
    sqlx::query!(
        "insert into audit (actor, address, verb, object, before_hash, after_hash, request_id) values ($1, $2, $3, $4, $5, $6, $7)",
        entry.actor,
        entry.address,
        entry.verb,
        entry.object,
        entry.before_hash,
        entry.after_hash,
        entry.request_id
    )
    .execute(connection)
    .await
    .map(drop)
}

/// What somebody did. Of what changed only the fingerprints are kept, so that no secret is.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditEntry {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// A login, with the API token's number when one was used.
    pub actor: String,
    /// Where the request came from.
    pub address: Option<String>,
    pub verb: String,
    /// What it was done to: `rule core.hello`, `identity ann`, `token 7`.
    pub object: String,
    /// The sha256 of the object before and after.
    pub before_hash: Option<String>,
    pub after_hash: Option<String>,
    pub request_id: Option<String>,
}

/// Which entries a list shows.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub actor: Option<&'a str>,
    pub verb: Option<&'a [String]>,
    pub object: Option<&'a str>,
    pub since: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
}

/// Newest first, behind the entry `before`.
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
