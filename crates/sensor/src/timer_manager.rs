//! Sleeps until the earliest timer is due, and lets [`tick`] do the rest.
//!
//! It holds no truth: the rows of timers do. Losing this process loses nothing, and any number of them may run. It never
//! sleeps for more than a second without looking at the database's clock, so suspension and clock jumps heal by
//! themselves; changes of definitions wake it early.

use crate::{
    alarm::Alarm,
    tick::{self, Ticked},
};
use anyhow::Context as _;
use attune_common::{
    bus::{Control, Controls, Feed, FeedKind, Wake},
    clock,
    health::Status,
    service::{Context, jittered},
    store::{Error, PgPool, Transaction, db, timer, trigger, with_default_timeout},
};
use attune_domain::TriggerId;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// How far back `max_lateness_ms_1m` looks.
const LATENESS_WINDOW: Duration = Duration::from_secs(60);
/// Unplanned timers are looked for at the start and then so often: restored dumps, triggers switched off by hand.
const SEARCH_EVERY: Duration = Duration::from_secs(60);
const SEARCH_MAX: i64 = 10_000;
/// Counting a million timers takes a while, so it is not done at each look.
const COUNT_EVERY: Duration = Duration::from_secs(3);

/// What is changed by SQL, without a word on the bus, takes effect within a second.
const LOOK_EVERY: Duration = Duration::from_millis(800);
/// How long a due timer that another sensor holds is left alone.
const TAKEN: Duration = Duration::from_millis(20);
/// A transaction is begun so long before something is due, so that nobody waits for its beginning.
const AHEAD: Duration = Duration::from_millis(2);

/// What comes next, by this process's clock.
#[derive(Debug, Clone, Copy)]
enum Next {
    Look(Instant),
    Due(Instant),
}

#[derive(Debug, Clone)]
pub struct TimerManager {
    context: Context,
    stop: CancellationToken,
}

impl TimerManager {
    pub fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            stop: context.stopping().child_token(),
        }
    }

    /// Lets a stopped timer run again, as if its trigger had just been enabled. Tells whether it was stopped.
    pub async fn start_timer(&self, trigger: TriggerId) -> Result<bool, Error> {
        let armed = timer::arm(&self.context.pool, trigger).await?;
        self.context.bus.control(Control::DefinitionsChanged);
        Ok(armed)
    }

    /// Disarms a timer's row until its trigger is edited or enabled. Tells whether it was armed.
    pub async fn stop_timer(&self, trigger: TriggerId) -> Result<bool, Error> {
        let stopped = timer::disarm(&self.context.pool, trigger).await?;
        self.context.bus.control(Control::DefinitionsChanged);
        Ok(stopped)
    }

    /// Ends this process's loop. Other sensors go on with the same timers.
    pub fn stop_all(&self) {
        self.stop.cancel();
    }

    /// How many timers are armed, in all.
    pub async fn timer_count(&self) -> Result<i64, Error> {
        timer::count_armed(&self.context.pool).await
    }

    /// Fires timers until the process stops. Errors of the database are reported and tried again.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut controls = self.context.bus.controls();
        let mut report = Report::default();
        let alarm = Alarm::new().context("the kernel gave no timer")?;
        let line = db::single_connection_pool(&self.context.pool);
        while !self.stop.is_cancelled() {
            if let Err(error) = self.round(&line, &mut report, &alarm, &mut controls).await {
                tracing::warn!(%error, "timers cannot be looked at; trying again");
                self.context.health.report(
                    "sensor",
                    Status::Failing,
                    json!({"error": "the database does not answer"}),
                );
                self.wait(&alarm, &mut controls, Instant::now() + jittered(LOOK_EVERY))
                    .await;
            }
        }
        db::close(&line).await;
        Ok(())
    }

    /// Does everything that is due, and then waits for what comes next. When that is a timer, it is taken at its instant
    /// without another look before.
    async fn round(
        &self,
        line: &PgPool,
        report: &mut Report,
        alarm: &Alarm,
        controls: &mut Controls,
    ) -> Result<(), Error> {
        match self.settle(line, report).await? {
            Next::Look(at) => {
                self.wait(alarm, controls, at).await;
            }
            Next::Due(at) => {
                let ahead = at.checked_sub(AHEAD).unwrap_or(at);
                if self.wait(alarm, controls, ahead).await {
                    let tx = with_default_timeout(Transaction::begin(line)).await?;
                    alarm.until(at).await.map_err(Error::Io)?;
                    self.told(&with_default_timeout(tick::due(tx)).await?, report);
                }
            }
        }
        Ok(())
    }

    /// False when it has to be looked at before: something changed, or the process stops.
    async fn wait(&self, alarm: &Alarm, controls: &mut Controls, at: Instant) -> bool {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return false,
                waited = alarm.until(at) => return waited.is_ok(),
                control = controls.recv() => if matches!(control, Control::DefinitionsChanged) { return false },
            }
        }
    }

    /// Does everything that is due, and tells when something will be.
    async fn settle(&self, line: &PgPool, report: &mut Report) -> Result<Next, Error> {
        if report.search_due() {
            with_default_timeout(timer::find_unplanned(&self.context.pool, SEARCH_MAX)).await?;
        }
        loop {
            let asked = Instant::now();
            let look = with_default_timeout(timer::look(line)).await?;
            let answered = Instant::now();
            let due = look.next_fire_at.is_some_and(|next| next <= look.now);
            let mut worked = false;
            if look.changes {
                worked |= self.told(&with_default_timeout(tick::changed(line)).await?, report);
            }
            if due {
                let tx = with_default_timeout(Transaction::begin(line)).await?;
                worked |= self.told(&with_default_timeout(tick::due(tx)).await?, report);
            }
            self.say(report, &look).await?;
            if worked {
                continue;
            }
            if due {
                // Another sensor is working on it: look again soon, in case it dies.
                return Ok(Next::Look(answered + TAKEN));
            }
            // The database told its clock about midway. When that was wrong, it finds nothing due, and is asked again.
            let told = asked + (answered - asked) / 2;
            let look_at = answered + jittered(LOOK_EVERY);
            let left = look.next_fire_at.and_then(|next| (next - look.now).to_std().ok());
            let due_at = left.and_then(|left| told.checked_add(left)).filter(|at| *at < look_at);
            return Ok(due_at.map_or(Next::Look(look_at), Next::Due));
        }
    }

    /// Wakes an executor for what fired. True when it was anything at all.
    fn told(&self, ticked: &Ticked, report: &mut Report) -> bool {
        if !ticked.events.is_empty() {
            self.context.bus.wake(Wake::Events);
            metrics::counter!("attune_events_total", "source" => "timer").increment(ticked.events.len() as u64);
        }
        for event in &ticked.events {
            self.context.bus.feed(Feed {
                event_id: Some(event.id),
                trigger_ref: event.trigger_ref.parse().ok(),
                ..Feed::new(FeedKind::event_created())
            });
        }
        let lateness = metrics::histogram!("attune_timer_lateness_seconds");
        for late in &ticked.late {
            lateness.record(late.as_secs_f64());
            report.late(*late);
        }
        for (reason, missed) in &ticked.missed {
            metrics::counter!("attune_timer_missed_total", "reason" => reason.clone())
                .increment(u64::try_from(*missed).unwrap_or(0));
            tracing::info!(reason, missed, "occurrences were missed");
        }
        ticked.timers > 0
    }

    async fn say(&self, report: &mut Report, look: &timer::Look) -> Result<(), Error> {
        let due_for_counting = report
            .counted
            .is_none_or(|at| at.elapsed() > COUNT_EVERY.max(report.counting * 50));
        if due_for_counting {
            let started = Instant::now();
            let counts = with_default_timeout(timer::counts(&self.context.pool)).await?;
            report.counting = started.elapsed();
            report.counted = Some(Instant::now());
            for (state, count) in [
                ("active", counts.active),
                ("disabled", counts.disabled),
                ("error", counts.error),
                ("overdue", counts.overdue),
            ] {
                #[expect(clippy::cast_precision_loss, reason = "a gauge of a count")]
                metrics::gauge!("attune_timers", "state" => state).set(count as f64);
            }
            report.counts = json!({
                "active": counts.active, "disabled": counts.disabled, "error": counts.error, "overdue": counts.overdue,
            });
            report.in_error = counts.error > 0;
            report.unobserved = with_default_timeout(trigger::unobserved(&self.context.pool)).await?;
        }
        let skew = (clock::now() - look.now).num_milliseconds();
        let mut timers = report.counts.clone();
        timers["next_fire_at"] = json!(look.next_fire_at);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a minute")]
        let lateness = report.max_lateness().as_micros() as f64 / 1000.0;
        timers["max_lateness_ms_1m"] = json!(lateness);
        let status = if report.in_error || report.unobserved > 0 || skew.abs() > 60_000 {
            Status::Degraded
        } else {
            Status::Ok
        };
        let mut detail = json!({"timers": timers, "clock_skew_ms": skew});
        if report.unobserved > 0 {
            let says = format!("{} enabled, and nothing observes files yet", report.unobserved);
            detail["file_watches"] = json!(says);
        }
        self.context.health.report("sensor", status, detail);
        Ok(())
    }
}

/// What health tells, kept between looks.
#[derive(Debug, Default)]
struct Report {
    lateness: VecDeque<(Instant, Duration)>,
    counts: Value,
    counted: Option<Instant>,
    counting: Duration,
    in_error: bool,
    /// Triggers that wait for files, which nothing watches.
    unobserved: i64,
    searched: Option<Instant>,
}

impl Report {
    fn search_due(&mut self) -> bool {
        let due = self.searched.is_none_or(|at| at.elapsed() > SEARCH_EVERY);
        if due {
            self.searched = Some(Instant::now());
        }
        due
    }

    /// Keeps the maximum of each second.
    fn late(&mut self, lateness: Duration) {
        let now = Instant::now();
        match self.lateness.back_mut() {
            Some((at, max)) if now.duration_since(*at) < Duration::from_secs(1) => *max = lateness.max(*max),
            _ => self.lateness.push_back((now, lateness)),
        }
        while self
            .lateness
            .front()
            .is_some_and(|(at, _)| at.elapsed() > LATENESS_WINDOW)
        {
            self.lateness.pop_front();
        }
    }

    fn max_lateness(&self) -> Duration {
        let recent = self.lateness.iter().filter(|(at, _)| at.elapsed() <= LATENESS_WINDOW);
        recent.map(|(_, max)| *max).max().unwrap_or_default()
    }
}
