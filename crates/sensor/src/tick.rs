//! T1: one transaction in which due timers become events, gaps and next instants.

use crate::settle::{Batch, settle};
use attune_common::{
    failpoint,
    store::{
        self, Error, PgConnection, PgPool, Transaction, ingest::NewEvent, timer, timer_advance, timer_gap,
        timer_history, timer_plan,
    },
    telemetry,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::{Duration, Instant};

/// How many timers and events one transaction may take: more would make others wait.
const TIMERS_MAX: i64 = 500;
const EVENTS_MAX: u32 = 5_000;

/// What one transaction did.
#[derive(Debug, Default)]
pub struct Ticked {
    /// How many timers were looked at; none when there was nothing to do, or another sensor does it.
    pub timers: usize,
    pub events: Vec<NewEvent>,
    /// By how much later than they were due the events were committed.
    pub late: Vec<Duration>,
    pub missed: Vec<(String, i64)>,
}

/// Settles what is due now. The caller has begun the transaction, maybe in good time.
pub async fn due(mut tx: Transaction) -> Result<Ticked, Error> {
    let (now, rows) = timer::claim_due(&mut tx, TIMERS_MAX).await?;
    let Some(now) = now else {
        return Ok(Ticked::default());
    };
    let told = Instant::now();
    let (batch, timers) = decide(&rows, now);
    write(&mut tx, &batch).await?;
    failpoint::hit("t1.before_commit").await;
    tx.commit().await?;
    failpoint::hit("t1.after_commit").await;
    Ok(Ticked::of(batch, timers, now, told))
}

/// Settles and plans the timers whose definitions changed.
pub async fn changed(pool: &PgPool) -> Result<Ticked, Error> {
    let mut tx = Transaction::begin(pool).await?;
    let rows = timer::claim_changed(&mut tx, TIMERS_MAX).await?;
    if rows.is_empty() {
        return Ok(Ticked::default());
    }
    let now = store::db::now(&mut *tx).await?;
    let told = Instant::now();
    let (batch, timers) = decide(&rows, now);
    write(&mut tx, &batch).await?;
    // What did not fit is applied at the next look.
    let mut left: Vec<i64> = rows[timers..].iter().map(|row| row.trigger_id.0).collect();
    left.extend(&batch.unfinished);
    timer::put_back(&mut tx, &left).await?;
    failpoint::hit("t1.plan.before_commit").await;
    tx.commit().await?;
    failpoint::hit("t1.plan.after_commit").await;
    Ok(Ticked::of(batch, timers, now, told))
}

impl Ticked {
    /// Just after the commit. The database told its clock, `now`, when it was `told` here.
    fn of(batch: Batch, timers: usize, now: DateTime<Utc>, told: Instant) -> Self {
        let took = told.elapsed();
        for event in &batch.events {
            telemetry::began(
                "tick",
                event.trace_id,
                took,
                &[("event_id", &event.id), ("trigger_ref", &event.trigger_ref)],
            );
        }
        let committed_at = now + TimeDelta::from_std(took).unwrap_or_default();
        let late = |due_at: &DateTime<Utc>| (committed_at - *due_at).to_std().unwrap_or_default();
        Self {
            timers,
            late: batch.due_at.iter().map(late).collect(),
            events: batch.events,
            missed: batch.gaps.into_iter().map(|gap| (gap.reason, gap.missed)).collect(),
        }
    }
}

/// What follows for these timers, and for how many of them it was asked: what does not fit is still due at the next tick.
fn decide(rows: &[timer::TimerRow], now: DateTime<Utc>) -> (Batch, usize) {
    let mut batch = Batch::default();
    let mut timers = 0;
    for row in rows {
        let left = EVENTS_MAX.saturating_sub(u32::try_from(batch.events.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        settle(&mut batch, row, now, left);
        timers += 1;
    }
    batch.events.sort_by_key(|event| event.id);
    (batch, timers)
}

async fn write(tx: &mut PgConnection, batch: &Batch) -> Result<(), Error> {
    timer_gap::insert(tx, &batch.gaps).await?;
    if !batch.removals.is_empty() {
        timer::remove(tx, &batch.removals).await?;
    }
    if !batch.plans.is_empty() {
        timer_plan::put_in_force(tx, &batch.plans).await?;
    }
    if !batch.ended.is_empty() {
        timer_plan::write_spans(tx, &batch.ended, &batch.spans).await?;
    }
    if !batch.advances.is_empty() || !batch.events.is_empty() {
        timer_advance::write(tx, &batch.events, &batch.advances).await?;
    }
    if !batch.seen.is_empty() {
        timer::mark_seen(tx, &batch.seen).await?;
        timer_history::forget(tx, &batch.seen).await?;
    }
    Ok(())
}
