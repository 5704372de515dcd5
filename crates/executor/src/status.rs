//! Reports the executor's state to health and to the metrics.

use attune_common::{
    clock, health,
    service::Context,
    store::{
        Error,
        backlog::{self, Backlog},
        contradiction::{self, Contradiction},
        event_queue, upkeep, with_default_timeout,
    },
};
use attune_domain::RuleRef;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Counting long queues takes a while.
pub const PERIOD: Duration = Duration::from_secs(2);
/// The answer of `/health` stays short.
const LISTED_MAX: i64 = 20;
const LOOPS_LISTED_MAX: usize = 20;
/// How long a loop is reported as a problem after it was interrupted.
const LOOPS_SHOWN: TimeDelta = TimeDelta::minutes(10);

/// Shared by the loops of one executor.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    rescued: Rescued,
    loops: Loops,
    /// Pools that had a backlog once. Their gauges must be set back to zero.
    pools: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Rescued {
    last_at: Option<DateTime<Utc>>,
    total: u64,
}

/// What the loop guard has skipped.
#[derive(Debug, Clone, Default)]
struct Loops {
    total: u64,
    last_at: Option<DateTime<Utc>>,
    /// The rules that were skipped last.
    rules: BTreeSet<String>,
}

impl Status {
    /// The loop guard has skipped these rules.
    pub fn skipped_loops(&self, rules: &[RuleRef], at: DateTime<Utc>) {
        if rules.is_empty() {
            return;
        }
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let loops = &mut seen.loops;
        metrics::counter!("attune_rule_loops_total").increment(rules.len() as u64);
        loops.total += rules.len() as u64;
        if loops.last_at.is_none_or(|last| at - last > LOOPS_SHOWN) {
            loops.rules.clear();
        }
        loops.last_at = Some(at);
        let free = LOOPS_LISTED_MAX.saturating_sub(loops.rules.len());
        loops.rules.extend(rules.iter().map(RuleRef::to_string).take(free));
    }

    fn loops(&self) -> Loops {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).loops.clone()
    }

    pub fn rescued(&self, count: usize, at: DateTime<Utc>) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.rescued.last_at = Some(at);
        seen.rescued.total += count as u64;
    }

    fn get(&self) -> Rescued {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rescued
    }

    /// The backlogs of all pools that ever had one.
    fn pools(&self, mut backlogs: Vec<Backlog>) -> Vec<Backlog> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now: BTreeSet<String> = backlogs.iter().map(|backlog| backlog.pool.clone()).collect();
        backlogs.extend(seen.pools.difference(&now).map(|pool| Backlog::none(pool)));
        seen.pools.extend(now);
        backlogs
    }
}

pub async fn report(context: Context, status: Status) {
    if let Err(error) = query_and_report(&context, &status).await {
        let detail = json!({"error": error.to_string()});
        context.health.report("executor", health::Status::Failing, detail);
    }
}

async fn query_and_report(context: &Context, status: &Status) -> Result<(), Error> {
    let events = with_default_timeout(event_queue::depth(&context.pool)).await?;
    let backlogs = with_default_timeout(backlog::of_pools(&context.pool)).await?;
    let contradictory = with_default_timeout(contradiction::list(&context.pool, LISTED_MAX)).await?;
    let contradictory: Vec<String> = contradictory.iter().map(in_words).collect();
    let partitions = with_default_timeout(upkeep::partitions(&context.pool)).await?;
    let sum = |of: fn(&Backlog) -> i64| backlogs.iter().map(of).sum::<i64>();
    let executions = json!({
        "ready": sum(|of| of.ready), "waiting": sum(|of| of.waiting), "running": sum(|of| of.running),
        "oldest_seconds": backlogs.iter().map(|of| of.oldest_seconds).fold(0.0, f64::max),
    });
    let unserved = backlogs.iter().filter(|of| of.is_unserved());
    let recorded: Vec<(&str, i64)> = unserved.clone().map(|of| (of.pool.as_str(), of.overdue)).collect();
    with_default_timeout(backlog::record_unserved(&context.pool, &recorded)).await?;
    let unserved: Vec<String> = unserved
        .map(|of| format!("pool {} has {} pending executions and no worker", of.pool, of.overdue))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "gauges of counts")]
    {
        metrics::gauge!("attune_event_queue_depth").set(events.pending as f64);
        for backlog in status.pools(backlogs) {
            metrics::gauge!("attune_execution_queue_depth", "pool" => backlog.pool.clone()).set(backlog.ready as f64);
            metrics::gauge!("attune_execution_queue_oldest_seconds", "pool" => backlog.pool)
                .set(backlog.oldest_seconds);
        }
    }
    retention(&partitions);
    metrics::gauge!("attune_event_queue_oldest_seconds").set(events.oldest_seconds);
    let rescued = status.get();
    let stuck = events.quarantined > 0 || !unserved.is_empty() || !contradictory.is_empty();
    let loops = status.loops();
    let loops_now = loops.last_at.is_some_and(|at| clock::now() - at < LOOPS_SHOWN);
    let worst = if stuck || loops_now || partitions.days_ahead < 2 || partitions.in_default > 0 {
        health::Status::Degraded
    } else {
        health::Status::Ok
    };
    let detail = json!({
        "events": {"pending": events.pending, "oldest_seconds": events.oldest_seconds, "quarantined": events.quarantined},
        "executions": executions,
        "unserved": unserved,
        "contradictory": contradictory,
        "loops": {"total": loops.total, "last_at": loops.last_at, "rules": loops.rules},
        "rescued": {"total": rescued.total, "last_at": rescued.last_at},
        "retention": {"last_run_at": partitions.expired_at, "removed_partitions": partitions.removed_partitions, "removed_rows": partitions.removed_rows},
        "partitions": {"days_ahead": partitions.days_ahead, "rows_in_default": partitions.in_default},
    });
    context.health.report("executor", worst, detail);
    Ok(())
}

fn in_words(row: &Contradiction) -> String {
    let queued = if row.ready { "ready to start" } else { "leased" };
    match &row.status {
        Some(status) => format!("execution {} is {queued} in execution_queue, but {status}", row.id),
        None => format!(
            "execution {} is {queued} in execution_queue, but does not exist",
            row.id
        ),
    }
}

fn retention(partitions: &upkeep::Partitions) {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    metrics::counter!("attune_retention_removed_partitions_total").absolute(count(partitions.removed_partitions));
    metrics::counter!("attune_retention_removed_rows_total").absolute(count(partitions.removed_rows));
    if let Some(at) = partitions.expired_at {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of seconds")]
        metrics::gauge!("attune_retention_last_run_timestamp_seconds").set(at.timestamp() as f64);
    }
}
