//! Reports the state of the timers to health and to the metrics.

use crate::{TimerManager, tick::TickSummary};
use attune_common::{
    clock, health,
    service::Context,
    store::{
        Error,
        timer::{Counts, Upcoming},
    },
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The window of `max_lateness_ms_1m`.
const LATENESS_WINDOW: Duration = Duration::from_secs(60);
/// Counting a million timers takes a while, so it does not happen at each poll.
const COUNT_PERIOD: Duration = Duration::from_secs(3);
const CLOCK_SKEW_MAX_MS: i64 = 60_000;

pub struct Health {
    context: Context,
    timers: TimerManager,
    /// The maximum of each second.
    lateness: VecDeque<(Instant, Duration)>,
    counts: Value,
    counted_at: Option<Instant>,
    counting_took: Duration,
    any_in_error: bool,
}

impl Health {
    pub fn new(context: &Context, timers: TimerManager) -> Self {
        Self {
            context: context.clone(),
            timers,
            lateness: VecDeque::new(),
            counts: Value::Null,
            counted_at: None,
            counting_took: Duration::ZERO,
            any_in_error: false,
        }
    }

    /// Records how late the events of a tick were, and what was missed.
    pub fn record(&mut self, summary: &TickSummary) {
        let lateness = metrics::histogram!("attune_timer_lateness_seconds");
        for late in &summary.late {
            lateness.record(late.as_secs_f64());
            self.record_lateness(*late);
        }
        for (reason, missed) in &summary.missed {
            metrics::counter!("attune_timer_missed_total", "reason" => reason.clone())
                .increment(u64::try_from(*missed).unwrap_or(0));
            tracing::info!(reason, missed, "missed occurrences");
        }
    }

    pub fn report_unavailable(&self) {
        let detail = json!({"error": "the database does not respond"});
        self.context.health.report("sensor", health::Status::Failing, detail);
    }

    pub async fn report(&mut self, upcoming: &Upcoming) -> Result<(), Error> {
        if self.count_is_due() {
            self.count().await?;
        }
        let skew_ms = (clock::now() - upcoming.now).num_milliseconds();
        let mut timers = self.counts.clone();
        timers["next_fire_at"] = json!(upcoming.next_fire_at);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a minute")]
        let lateness_ms = self.max_lateness().as_micros() as f64 / 1000.0;
        timers["max_lateness_ms_1m"] = json!(lateness_ms);
        let degraded = self.any_in_error || skew_ms.abs() > CLOCK_SKEW_MAX_MS;
        let status = if degraded {
            health::Status::Degraded
        } else {
            health::Status::Ok
        };
        let detail = json!({"timers": timers, "clock_skew_ms": skew_ms});
        self.context.health.report("sensor", status, detail);
        Ok(())
    }

    /// At most 2 % of the time goes into counting.
    fn count_is_due(&self) -> bool {
        let period = COUNT_PERIOD.max(self.counting_took * 50);
        self.counted_at.is_none_or(|at| at.elapsed() > period)
    }

    async fn count(&mut self) -> Result<(), Error> {
        let started = Instant::now();
        let counts = self.timers.timer_count().await?;
        self.counting_took = started.elapsed();
        self.counted_at = Some(Instant::now());
        set_gauges(&counts);
        self.counts = json!({
            "active": counts.active, "disabled": counts.disabled, "error": counts.error, "overdue": counts.overdue,
        });
        self.any_in_error = counts.error > 0;
        Ok(())
    }

    fn record_lateness(&mut self, lateness: Duration) {
        let now = Instant::now();
        match self.lateness.back_mut() {
            Some((at, max)) if now.duration_since(*at) < Duration::from_secs(1) => *max = lateness.max(*max),
            _ => self.lateness.push_back((now, lateness)),
        }
        let expired = |(at, _): &(Instant, Duration)| at.elapsed() > LATENESS_WINDOW;
        while self.lateness.front().is_some_and(expired) {
            self.lateness.pop_front();
        }
    }

    fn max_lateness(&self) -> Duration {
        let recent = self.lateness.iter().filter(|(at, _)| at.elapsed() <= LATENESS_WINDOW);
        recent.map(|(_, max)| *max).max().unwrap_or_default()
    }
}

fn set_gauges(counts: &Counts) {
    for (state, count) in [
        ("active", counts.active),
        ("disabled", counts.disabled),
        ("error", counts.error),
        ("overdue", counts.overdue),
    ] {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of a count")]
        metrics::gauge!("attune_timers", "state" => state).set(count as f64);
    }
}
