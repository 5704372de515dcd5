//! Events whose decision failed repeatedly. They wait for an operator, who retries or discards them.

use super::{Error, Span, page::planned};
use attune_domain::{EventId, TriggerRef};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, PgPool};
use utoipa::ToSchema;

#[derive(Debug, Serialize, ToSchema)]
pub struct Quarantined {
    pub event_id: EventId,
    #[schema(value_type = String)]
    pub trigger_ref: TriggerRef,
    pub tries: i16,
    pub quarantined_at: DateTime<Utc>,
    pub last_error: Option<String>,
}

pub async fn page(pool: &PgPool, span: &Span) -> Result<Vec<Quarantined>, Error> {
    sqlx::query_as!(
        Quarantined,
        r#"select q.event_id, e.trigger_ref, q.tries, q.quarantined_at as "quarantined_at!", q.last_error
           from event_queue q join event e on e.id = q.event_id
           where q.quarantined_at is not null and q.event_id >= $1 and q.event_id < $2 and e.id >= $1 and e.id < $2
           order by q.event_id desc limit $3"#,
        span.from,
        span.to,
        span.rows()
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

/// Requeues the event with fresh attempts.
pub async fn replay(connection: &mut PgConnection, id: EventId) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update event_queue set quarantined_at = null, tries = 0, run_at = db_now(), lease_until = null
         where event_id = $1 and quarantined_at is not null",
        id.0
    )
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Discards the event: it counts as decided, without enforcements.
pub async fn discard(connection: &mut PgConnection, id: EventId) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "with gone as (delete from event_queue where event_id = $1 and quarantined_at is not null returning event_id)
         insert into event_decision (event_id, definitions_version, rules, matched)
         select event_id, (select version from definitions), 0, 0 from gone on conflict do nothing",
        id.0
    )
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}
