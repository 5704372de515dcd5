//! T1: one transaction in which due timers become events, gaps and next instants.

use crate::evaluate::{Batch, evaluate};
use attune_common::{
    failpoint,
    joint::{Joint, Pending},
    store::{
        self, Error, PgConnection, PgPool, Transaction,
        ingest::NewEvent,
        joint::{self, Work, Written},
        timer, timer_advance, timer_gap, timer_history, timer_plan,
    },
    telemetry,
};
use chrono::{DateTime, TimeDelta, Utc};
use std::time::{Duration, Instant};

/// How many timers and events one transaction may process. With more, others would wait too long.
const TIMERS_MAX: i64 = 500;
const EVENTS_MAX: u32 = 5_000;

/// What one transaction did.
#[derive(Debug, Default)]
pub struct TickSummary {
    /// How many timers were processed. Zero when nothing was due, or another sensor has locked it.
    pub timers: usize,
    pub events: Vec<NewEvent>,
    /// How much later than due each event was committed.
    pub late: Vec<Duration>,
    pub missed: Vec<(String, i64)>,
    /// What was committed with the events.
    pub joint: Option<(Written, Pending)>,
}

/// Fires the timers that are due now. The caller has begun the transaction, possibly ahead of time. With `joint`, the events are
/// committed with what follows from them.
pub async fn due(mut tx: Transaction, joint: Option<&Joint>) -> Result<TickSummary, Error> {
    let (now, rows) = timer::claim_due(&mut tx, TIMERS_MAX).await?;
    let Some(now) = now else {
        return Ok(TickSummary::default());
    };
    let clock_read_at = Instant::now();
    let (batch, timers) = evaluate_all(&rows, now);
    let (work, pending) = match joint {
        Some(joint) => joint.propose(&batch.events, now).await.unzip(),
        None => (None, None),
    };
    let written = write(&mut tx, &batch, work).await?;
    failpoint::hit("t1.before_commit").await;
    tx.commit().await?;
    failpoint::hit("t1.after_commit").await;
    Ok(TickSummary {
        joint: written.zip(pending),
        ..TickSummary::of(batch, timers, now, clock_read_at)
    })
}

/// Applies changed definitions to their timers: accounts for what was due before, and plans the new configuration.
pub async fn changed(pool: &PgPool) -> Result<TickSummary, Error> {
    let mut tx = Transaction::begin(pool).await?;
    let rows = timer::claim_changed(&mut tx, TIMERS_MAX).await?;
    if rows.is_empty() {
        return Ok(TickSummary::default());
    }
    let now = store::db::now(&mut *tx).await?;
    let clock_read_at = Instant::now();
    let (batch, timers) = evaluate_all(&rows, now);
    write(&mut tx, &batch, None).await?;
    // What did not fit is applied in the next transaction.
    let mut left: Vec<i64> = rows[timers..].iter().map(|row| row.trigger_id.0).collect();
    left.extend(&batch.unfinished);
    timer::put_back(&mut tx, &left).await?;
    failpoint::hit("t1.plan.before_commit").await;
    tx.commit().await?;
    failpoint::hit("t1.plan.after_commit").await;
    Ok(TickSummary::of(batch, timers, now, clock_read_at))
}

impl TickSummary {
    /// To be called right after the commit. The database's clock was `now` at `clock_read_at` of this process.
    fn of(batch: Batch, timers: usize, now: DateTime<Utc>, clock_read_at: Instant) -> Self {
        let took = clock_read_at.elapsed();
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
            joint: None,
        }
    }
}

/// Evaluates timers until the batch is full, and returns how many fit. The others are still due in the next transaction.
fn evaluate_all(rows: &[timer::TimerRow], now: DateTime<Utc>) -> (Batch, usize) {
    let mut batch = Batch::default();
    let mut timers = 0;
    for row in rows {
        let left = EVENTS_MAX.saturating_sub(u32::try_from(batch.events.len()).unwrap_or(u32::MAX));
        if left == 0 {
            break;
        }
        evaluate(&mut batch, row, now, left);
        timers += 1;
    }
    batch.events.sort_by_key(|event| event.id);
    (batch, timers)
}

async fn write(tx: &mut PgConnection, batch: &Batch, work: Option<Work>) -> Result<Option<Written>, Error> {
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
    let written = match work {
        Some(work) => Some(joint::insert(&mut *tx, &batch.events, work).await?),
        None => None,
    };
    let events = if written.is_some() { &[] } else { &batch.events[..] };
    if !batch.advances.is_empty() || !events.is_empty() {
        timer_advance::write(tx, events, &batch.advances).await?;
    }
    if !batch.seen.is_empty() {
        timer::mark_seen(tx, &batch.seen).await?;
        timer_history::forget(tx, &batch.seen).await?;
    }
    Ok(written)
}
