//! Reading events. `ingest` writes them.

use super::{Error, Span, page::planned};
use attune_domain::{
    EventId,
    occurrence::{Event, EventStatus},
};
use sqlx::{PgExecutor, PgPool};

/// Selects events.
#[derive(Debug, Default)]
pub struct Filter<'a> {
    pub trigger_ref: Option<&'a [String]>,
    pub source: Option<&'a [String]>,
    pub status: Option<&'a [EventStatus]>,
}

macro_rules! select {
    ($tail:tt, $($argument:expr),*) => {
        sqlx::query_as!(
            Event,
            r#"select e.id, e.trigger_ref, e.source, e.payload, e.scheduled_at, e.received_at, e.trace_id, e.chain,
                      case when q.event_id is null then 'decided' when q.quarantined_at is null then 'pending' else 'quarantined' end
                          as "status!: EventStatus"
               from event e left join event_queue q on q.event_id = e.id "# + $tail,
            $($argument),*
        )
    };
}

pub async fn page(pool: &PgPool, filter: &Filter<'_>, span: &Span) -> Result<Vec<Event>, Error> {
    let trigger_ids = match filter.trigger_ref {
        Some(refs) => ids(pool, refs).await?,
        None => None,
    };
    let statuses: Option<Vec<&str>> = filter
        .status
        .map(|any| any.iter().map(|status| status.as_str()).collect());
    // With a constant in the plan, a list of pending events starts at the queue.
    let all = |is: fn(EventStatus) -> bool| {
        filter
            .status
            .filter(|any| any.iter().all(|status| is(*status)))
            .map(|_| true)
    };
    select!(
        "where e.id >= $1 and e.id < $2 and ($3::text[] is null or e.trigger_ref = any($3)) and ($4::bigint[] is null or e.trigger_id = any($4))
           and ($5::text[] is null or e.source = any($5))
           and ($6::boolean is null or q.event_id is not null)
           and ($7::boolean is null or q.quarantined_at is not null)
           and ($8::text[] is null
                or case when q.event_id is null then 'decided' when q.quarantined_at is null then 'pending' else 'quarantined' end = any($8))
         order by e.id desc limit $9",
        span.from,
        span.to,
        filter.trigger_ref,
        trigger_ids.as_deref(),
        filter.source,
        all(|status| status != EventStatus::Decided),
        all(|status| status == EventStatus::Quarantined),
        statuses as Option<Vec<&str>>,
        span.rows()
    )
    .fetch_all(&mut *planned(pool).await?)
    .await
}

/// The ids of these triggers, for the index of events. None if one of them no longer exists: then its events are found by its
/// reference.
async fn ids(pool: &PgPool, refs: &[String]) -> Result<Option<Vec<i64>>, Error> {
    let ids = sqlx::query_scalar!(r#"select id as "id: i64" from trigger where ref = any($1)"#, refs)
        .fetch_all(pool)
        .await?;
    Ok(Some(ids).filter(|ids| ids.len() == refs.len()))
}

pub async fn get<'e>(db: impl PgExecutor<'e>, id: EventId) -> Result<Option<Event>, Error> {
    select!("where e.id = $1", id.0).fetch_optional(db).await
}
