//! The output of actions while they run. Insert-only: a row is a piece of one stream, and `seq` numbers the pieces of one attempt
//! over both streams, in the order of writing.
//!
//! A result also contains the output, so rows are written only for actions that run longer than a moment, and for attempts that
//! are retried, whose result is not stored.

use super::{
    Error,
    execution_queue::{AttemptKey, columns},
};
use attune_domain::ExecutionId;
use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};

/// A piece to store.
#[derive(Debug, Clone)]
pub struct Written {
    pub held: AttemptKey,
    pub seq: i32,
    pub stream: &'static str,
    pub text: String,
}

/// Stores pieces of attempts that are still the current ones. Returns the pieces that were new: writing a piece again, because an
/// answer was lost, has no effect.
pub async fn append(db: impl PgExecutor<'_>, written: &[Written]) -> Result<Vec<(AttemptKey, i32)>, Error> {
    let held: Vec<AttemptKey> = written.iter().map(|written| written.held).collect();
    let (ids, attempts) = columns(&held);
    let seqs: Vec<i32> = written.iter().map(|written| written.seq).collect();
    let streams: Vec<&str> = written.iter().map(|written| written.stream).collect();
    let texts: Vec<&str> = written.iter().map(|written| written.text.as_str()).collect();
    let stored = sqlx::query!(
        r#"insert into execution_log (execution_id, attempt, seq, stream, chunk)
           select g.* from unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[], $5::text[]) as g (id, attempt, seq, stream, chunk)
           where exists (select from execution_queue q where q.execution_id = g.id and q.attempt = g.attempt and not q.ready)
           on conflict do nothing
           returning execution_id as "execution_id: ExecutionId", attempt, seq"#,
        &ids,
        &attempts,
        &seqs,
        &streams as &[&str],
        &texts as &[&str],
    )
    .fetch_all(db)
    .await?;
    let held = |id, attempt| AttemptKey { id, attempt };
    Ok(stored
        .into_iter()
        .map(|row| (held(row.execution_id, row.attempt), row.seq))
        .collect())
}

/// The position of a reader: everything up to this piece has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub attempt: i32,
    pub seq: i32,
}

/// A piece of an action's output.
#[derive(Debug, Clone)]
pub struct Chunk {
    pub attempt: i32,
    pub seq: i32,
    pub stream: String,
    pub chunk: String,
    pub at: DateTime<Utc>,
}

impl Chunk {
    pub fn place(&self) -> Place {
        Place {
            attempt: self.attempt,
            seq: self.seq,
        }
    }
}

/// The pieces of an execution after a position, in order.
pub async fn after(pool: &PgPool, execution: ExecutionId, place: Place) -> Result<Vec<Chunk>, Error> {
    sqlx::query_as!(
        Chunk,
        "select attempt, seq, stream, chunk, at from execution_log
         where execution_id = $1 and (attempt, seq) > ($2, $3) order by attempt, seq",
        execution.0,
        place.attempt,
        place.seq
    )
    .fetch_all(pool)
    .await
}

/// The end of the standard error of attempts. It may start in the middle of a piece.
pub async fn ends_of_stderr(pool: &PgPool, of: &[AttemptKey]) -> Result<Vec<(ExecutionId, String)>, Error> {
    let (ids, attempts) = columns(of);
    let rows = sqlx::query!(
        r#"select h.id as "id!: ExecutionId", string_agg(l.chunk, '' order by l.seq) as "text!"
           from unnest($1::uuid[], $2::integer[]) as h (id, attempt)
           cross join lateral (
               select seq, right(chunk, 1024) as chunk from execution_log
               where execution_id = h.id and attempt = h.attempt and stream = 'stderr'
               order by seq desc limit 16
           ) l
           group by h.id"#,
        &ids,
        &attempts,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.text)).collect())
}

/// Some pieces of one attempt.
pub async fn between(pool: &PgPool, of: AttemptKey, first: i32, last: i32) -> Result<Vec<Chunk>, Error> {
    sqlx::query_as!(
        Chunk,
        "select attempt, seq, stream, chunk, at from execution_log
         where execution_id = $1 and attempt = $2 and seq between $3 and $4 order by seq",
        of.id.0,
        of.attempt,
        first,
        last
    )
    .fetch_all(pool)
    .await
}
