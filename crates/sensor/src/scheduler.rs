//! Sleeps until the earliest timer is due, lets [`tick`] fire it, and announces the events.
//!
//! It holds no truth: the rows of timers do. Losing this process loses nothing, and any number of them may run. It polls
//! the database's clock at least once a second, so it recovers from suspension and clock jumps by itself. Changed
//! definitions wake it early.

use crate::{
    TimerManager,
    alarm::Alarm,
    health::Health,
    tick::{self, TickSummary},
};
use anyhow::Context as _;
use attune_common::{
    announce,
    bus::{Control, Controls},
    service::{Context, jittered},
    store::{Error, PgPool, Transaction, db, is_unavailable, timer, with_default_timeout},
};
use std::time::{Duration, Instant};

/// Timers without a plan are searched for at the start and then in this period: restored dumps, triggers disabled by SQL.
const SEARCH_PERIOD: Duration = Duration::from_secs(60);
const SEARCH_MAX: i64 = 10_000;
/// A change made by SQL, without a message on the bus, takes effect within a second.
const POLL_PERIOD: Duration = Duration::from_millis(800);
/// How long a due timer is left alone that another sensor has locked.
const LOCKED_PAUSE: Duration = Duration::from_millis(20);
/// A transaction begins this long before a timer is due, so that the tick does not wait for its beginning.
const AHEAD: Duration = Duration::from_millis(2);

/// What comes next, by this process's clock.
#[derive(Debug, Clone, Copy)]
enum Next {
    Poll(Instant),
    Due(Instant),
}

pub struct Scheduler {
    context: Context,
    timers: TimerManager,
    /// Of one connection, for ticks.
    pool: PgPool,
    alarm: Alarm,
    controls: Controls,
    health: Health,
    searched_at: Option<Instant>,
}

impl Scheduler {
    pub fn new(context: &Context, timers: TimerManager) -> anyhow::Result<Self> {
        Ok(Self {
            context: context.clone(),
            pool: db::single_connection_pool(&context.pool),
            alarm: Alarm::new().context("failed to create a timer of the kernel")?,
            controls: context.bus.controls(),
            health: Health::new(context, timers.clone()),
            timers,
            searched_at: None,
        })
    }

    /// Fires timers until [`TimerManager::stop_all`]. Reports errors of the database and retries.
    pub async fn run(mut self) {
        while !self.timers.stopped().is_cancelled() {
            if let Err(error) = self.round().await {
                tracing::warn!(%error, "failed to query timers; retrying");
                self.health.report_unavailable();
                self.wait_until(Instant::now() + jittered(POLL_PERIOD)).await;
            }
        }
        db::close(&self.pool).await;
    }

    /// Fires everything that is due, and waits for what comes next. A timer that is due next fires at its instant, without
    /// another poll in between.
    async fn round(&mut self) -> Result<(), Error> {
        match self.fire_due().await? {
            Next::Poll(at) => {
                self.wait_until(at).await;
            }
            Next::Due(at) => {
                let ahead = at.checked_sub(AHEAD).unwrap_or(at);
                if self.wait_until(ahead).await {
                    let tx = with_default_timeout(Transaction::begin(&self.pool)).await?;
                    self.alarm.until(at).await.map_err(Error::Io)?;
                    let summary = self.fire(tx).await?;
                    self.announce(summary);
                }
            }
        }
        Ok(())
    }

    /// Fires everything that is due, and returns what comes next.
    async fn fire_due(&mut self) -> Result<Next, Error> {
        self.search_unplanned().await?;
        loop {
            let queried = Instant::now();
            let upcoming = with_default_timeout(timer::upcoming(&self.pool)).await?;
            let responded = Instant::now();
            let due = upcoming.next_fire_at.is_some_and(|next| next <= upcoming.now);
            let mut worked = false;
            if upcoming.changes {
                let summary = with_default_timeout(tick::changed(&self.pool)).await?;
                worked |= self.announce(summary);
            }
            if due {
                let tx = with_default_timeout(Transaction::begin(&self.pool)).await?;
                let summary = self.fire(tx).await?;
                worked |= self.announce(summary);
            }
            self.health.report(&upcoming).await?;
            if worked {
                continue;
            }
            if due {
                // Another sensor has locked it. Poll again soon, in case that one dies.
                return Ok(Next::Poll(responded + LOCKED_PAUSE));
            }
            // The database read its clock about midway. If that is wrong, the tick finds nothing due, and this polls again.
            let clock_read_at = queried + (responded - queried) / 2;
            let poll_at = responded + jittered(POLL_PERIOD);
            let left = upcoming
                .next_fire_at
                .and_then(|next| (next - upcoming.now).to_std().ok());
            let due_at = left.and_then(|left| clock_read_at.checked_add(left));
            return Ok(due_at.filter(|at| *at < poll_at).map_or(Next::Poll(poll_at), Next::Due));
        }
    }

    /// Fires what is due, together with what follows from it. If the database refuses that, without: what a rule makes of an event
    /// must not stop a timer.
    async fn fire(&self, tx: Transaction) -> Result<TickSummary, Error> {
        match with_default_timeout(tick::due(tx, Some(&self.context.joint))).await {
            Err(error) if error.as_database_error().is_some() && !is_unavailable(&error) => {
                tracing::warn!(%error, "failed to fire timers; retrying without decisions");
                let tx = with_default_timeout(Transaction::begin(&self.pool)).await?;
                with_default_timeout(tick::due(tx, None)).await
            }
            fired => fired,
        }
    }

    async fn search_unplanned(&mut self) -> Result<(), Error> {
        if self.searched_at.is_none_or(|at| at.elapsed() > SEARCH_PERIOD) {
            self.searched_at = Some(Instant::now());
            with_default_timeout(timer::find_unplanned(&self.context.pool, SEARCH_MAX)).await?;
        }
        Ok(())
    }

    /// Returns false when it ends early, because definitions changed or the scheduler stops.
    async fn wait_until(&mut self, at: Instant) -> bool {
        loop {
            tokio::select! {
                () = self.timers.stopped().cancelled() => return false,
                waited = self.alarm.until(at) => return waited.is_ok(),
                control = self.controls.recv() => if matches!(control, Control::DefinitionsChanged) { return false },
            }
        }
    }

    /// Announces the events of a tick and records its figures. Returns whether the tick processed any timer.
    fn announce(&mut self, mut summary: TickSummary) -> bool {
        let joint = summary.joint.take();
        let undecided = joint
            .as_ref()
            .is_none_or(|(written, _)| written.left_undecided(&written.accepted));
        announce::events(&*self.context.bus, &summary.events, undecided);
        if let Some((written, pending)) = joint {
            pending.committed(&*self.context.bus, &written);
        }
        self.health.record(&summary);
        summary.timers > 0
    }
}
