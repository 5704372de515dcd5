//! Events, as people look at them. They come in through `ingest`.

use super::{Error, Span, page::planned};
use attune_domain::{
    EventId,
    occurrence::{Event, EventSource, EventStatus},
};
use sqlx::{PgExecutor, PgPool};

/// Which events a list shows.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub trigger_ref: Option<&'a str>,
    pub source: Option<EventSource>,
    pub status: Option<EventStatus>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Event,
            r#"select e.id, e.trigger_ref, e.source, e.payload, e.scheduled_at, e.received_at, e.trace_id,
                      case when q.event_id is null then 'decided' when q.quarantined_at is null then 'pending' else 'quarantined' end
                          as "status!: EventStatus"
               from event e left join event_queue q on q.event_id = e.id "# + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, filter: &Filter<'_>, span: &Span) -> Result<Vec<Event>, Error> {
    let trigger_id = match filter.trigger_ref {
        // The index is by number; a trigger that is gone is found by its reference.
        Some(reference) => {
            sqlx::query_scalar!("select id from trigger where ref = $1", reference)
                .fetch_optional(pool)
                .await?
        }
        None => None,
    };
    let status = filter.status;
    select!(
        "where e.id >= $1 and e.id < $2 and ($3::text is null or e.trigger_ref = $3) and ($4::bigint is null or e.trigger_id = $4)
           and ($5::text is null or e.source = $5)
           and ($6::boolean is null or (q.event_id is not null) = $6)
           and ($7::boolean is null or (q.quarantined_at is not null) = $7)
         order by e.id desc limit $8",
        span.from,
        span.to,
        filter.trigger_ref,
        trigger_id.map(|id| id.0),
        filter.source as Option<EventSource>,
        status.map(|status| status != EventStatus::Decided),
        status.map(|status| status == EventStatus::Quarantined),
        span.rows()
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

pub async fn get<'e>(db: impl PgExecutor<'e>, id: EventId) -> Result<Option<Event>, Error> {
    select!("where e.id = $1", id.0).fetch_optional(db).await
}
