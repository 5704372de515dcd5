//! Finds definitions by a part of their ref or label, and occurrences by their id.

use super::Error;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

/// A definition that was found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SearchHit)]
pub struct Hit {
    /// `pack`, `trigger`, `action` or `rule`.
    pub noun: String,
    pub r#ref: String,
    pub label: String,
    /// The kind of a trigger.
    pub kind: Option<String>,
    pub enabled: bool,
}

/// The definitions whose ref or label contains the text: first those whose ref is or starts with it, or has a name that does.
pub async fn definitions(pool: &PgPool, text: &str, limit: i64) -> Result<Vec<Hit>, Error> {
    let text = text.to_lowercase();
    sqlx::query_as!(
        Hit,
        r#"select noun as "noun!", ref as "ref!", label as "label!", kind, enabled as "enabled!" from (
               select 'pack' as noun, ref, label, null as kind, enabled from pack union all
               select 'trigger', ref, label, kind, enabled from trigger union all
               select 'action', ref, label, null, enabled from action union all
               select 'rule', ref, label, null, enabled from rule) d
           where strpos(ref, $1) > 0 or strpos(lower(label), $1) > 0
           order by ref <> $1, not (starts_with(ref, $1) or starts_with(split_part(ref, '.', 2), $1)), strpos(ref, $1) = 0, ref, noun
           limit $2"#,
        text,
        limit
    )
    .fetch_all(pool)
    .await
}

/// What an id belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct Resolved {
    /// `event`, `enforcement`, `execution` or `webhook_request`.
    pub noun: String,
    pub id: Uuid,
    /// The trace that it belongs to; null for a webhook request that created no event.
    pub trace_id: Option<Uuid>,
}

pub async fn resolve(pool: &PgPool, id: Uuid) -> Result<Option<Resolved>, Error> {
    sqlx::query_as!(
        Resolved,
        r#"select noun as "noun!", $1::uuid as "id!", trace_id as "trace_id: Uuid" from (
               select 'event' as noun, trace_id from event where id = $1 union all
               select 'execution', trace_id from execution where id = $1 union all
               select 'enforcement', coalesce(e.trace_id, n.event_id) from enforcement n left join event e on e.id = n.event_id where n.id = $1
               union all
               select 'webhook_request', coalesce(e.trace_id, r.event_id) from webhook_request r left join event e on e.id = r.event_id where r.id = $1
           ) found limit 1"#,
        id
    )
    .fetch_optional(pool)
    .await
}
