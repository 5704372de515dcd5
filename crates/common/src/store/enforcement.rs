//! Reading enforcements.

use super::{Error, Span, page::planned};
use attune_domain::{EnforcementId, EventId, occurrence::Enforcement};
use sqlx::PgPool;

/// Selects enforcements. Those of one event share a millisecond: restrict the span accordingly.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub rule_ref: Option<&'a [String]>,
    pub event_id: Option<EventId>,
    pub status: Option<&'a [String]>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Enforcement,
            "select id, event_id, rule_ref, status, reason, parameters, created_at from enforcement " + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, filter: &Filter<'_>, span: &Span) -> Result<Vec<Enforcement>, Error> {
    select!(
        "where id >= $1 and id < $2 and ($3::text[] is null or rule_ref = any($3)) and ($4::uuid is null or event_id = $4)
           and ($5::text[] is null or status = any($5))
         order by id desc limit $6",
        span.from,
        span.to,
        filter.rule_ref,
        filter.event_id.map(|id| id.0),
        filter.status,
        span.rows()
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

pub async fn get(pool: &PgPool, id: EnforcementId) -> Result<Option<Enforcement>, Error> {
    select!("where id = $1", id.0).fetch_optional(pool).await
}
