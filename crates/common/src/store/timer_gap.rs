//! Missed occurrences of timers. Together with the events they account for every occurrence.

use super::{Error, PgConnection};
use attune_domain::TriggerId;
use chrono::{DateTime, Utc};

/// Occurrences that did not become events, and why.
#[derive(Debug, Clone)]
pub struct NewGap {
    pub trigger_id: TriggerId,
    pub generation: i64,
    pub from_at: DateTime<Utc>,
    pub to_at: DateTime<Utc>,
    pub missed: i64,
    pub reason: String,
}

pub async fn insert(tx: &mut PgConnection, gaps: &[NewGap]) -> Result<(), Error> {
    if gaps.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = gaps.iter().map(|g| g.trigger_id.0).collect();
    let generations: Vec<i64> = gaps.iter().map(|g| g.generation).collect();
    let from: Vec<DateTime<Utc>> = gaps.iter().map(|g| g.from_at).collect();
    let to: Vec<DateTime<Utc>> = gaps.iter().map(|g| g.to_at).collect();
    let missed: Vec<i64> = gaps.iter().map(|g| g.missed).collect();
    let reasons: Vec<String> = gaps.iter().map(|g| g.reason.clone()).collect();
    sqlx::query!(
        "insert into timer_gap (trigger_id, generation, from_at, to_at, missed, reason)
         select * from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::text[])",
        &ids,
        &generations,
        &from,
        &to,
        &missed,
        &reasons
    )
    .execute(tx)
    .await
    .map(drop)
}
