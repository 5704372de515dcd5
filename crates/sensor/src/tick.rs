//! T1: one transaction in which due timers become events, gaps and next instants.

use crate::settle::{Batch, settle};
use attune_common::{
    failpoint,
    store::{self, Error, PgConnection, PgPool, ingest, timer, timer_gap},
};
use chrono::{DateTime, Utc};

/// How many timers and events one transaction may take: more would make others wait.
const TIMERS_MAX: i64 = 500;
const EVENTS_MAX: u32 = 5_000;

/// What one transaction did.
#[derive(Debug, Default)]
pub struct Ticked {
    /// How many timers were looked at; none when there was nothing to do, or another sensor does it.
    pub timers: usize,
    pub events: usize,
    /// The nominal instants of what fired, for the lateness that health and metrics tell.
    pub scheduled: Vec<DateTime<Utc>>,
    pub missed: Vec<(String, i64)>,
    pub at: Option<DateTime<Utc>>,
}

/// Settles what is due now.
pub async fn due(pool: &PgPool) -> Result<Ticked, Error> {
    let mut tx = pool.begin().await?;
    let (now, rows) = timer::claim_due(&mut tx, TIMERS_MAX).await?;
    let Some(now) = now else {
        return Ok(Ticked::default());
    };
    let ticked = apply(&mut tx, &rows, now).await?;
    failpoint::hit("t1.before_commit").await;
    tx.commit().await?;
    failpoint::hit("t1.after_commit").await;
    Ok(ticked)
}

/// Settles and plans the timers whose definitions changed.
pub async fn changed(pool: &PgPool) -> Result<Ticked, Error> {
    let mut tx = pool.begin().await?;
    let rows = timer::claim_changed(&mut tx, TIMERS_MAX).await?;
    if rows.is_empty() {
        return Ok(Ticked::default());
    }
    let now = store::db::now(&mut *tx).await?;
    let ticked = apply(&mut tx, &rows, now).await?;
    // What did not fit has to be planned by whoever looks next.
    let left: Vec<i64> = rows[ticked.timers..].iter().map(|row| row.trigger_id.0).collect();
    timer::put_back(&mut tx, &left).await?;
    failpoint::hit("t1.plan.before_commit").await;
    tx.commit().await?;
    failpoint::hit("t1.plan.after_commit").await;
    Ok(ticked)
}

async fn apply(tx: &mut PgConnection, rows: &[timer::TimerRow], now: DateTime<Utc>) -> Result<Ticked, Error> {
    let mut batch = Batch::default();
    let mut timers = 0;
    for row in rows {
        let left = EVENTS_MAX.saturating_sub(u32::try_from(batch.events.len()).unwrap_or(u32::MAX));
        if left == 0 {
            // Untouched, it is still due at the next tick.
            break;
        }
        settle(&mut batch, row, now, left);
        timers += 1;
    }
    batch.events.sort_by_key(|event| event.id);
    if !batch.events.is_empty() {
        ingest::insert(&mut *tx, &batch.events).await?;
    }
    timer_gap::insert(tx, &batch.gaps).await?;
    if !batch.advances.is_empty() {
        timer::advance(tx, &batch.advances).await?;
    }
    if !batch.unmoved.is_empty() {
        timer::mark_seen(tx, &batch.unmoved).await?;
    }
    if !batch.removals.is_empty() {
        timer::remove(tx, &batch.removals).await?;
    }
    if !batch.plans.is_empty() {
        timer::put_in_force(tx, &batch.plans).await?;
    }
    Ok(Ticked {
        timers,
        events: batch.events.len(),
        scheduled: batch.events.iter().filter_map(|event| event.scheduled_at).collect(),
        missed: batch.gaps.into_iter().map(|gap| (gap.reason, gap.missed)).collect(),
        at: Some(now),
    })
}
