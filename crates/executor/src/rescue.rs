//! T5: work whose owner is gone is resolved, within a lease and a little patience.
//!
//! Each look also learns which lease is the next to be over for so long, and the next look comes then, not at the end of the
//! usual pause.
//!
//! Slots of a concurrency key may outlive the rescue (`store::rescue::resolve`); each look ends those holds whose worker is dead.
//!
//! The tricky thing is a database that was away: afterwards every lease looks expired, although the workers live. So
//! when this executor's own looks failed or hung, or the database was started within the last lease, it waits one more
//! lease before it rescues anything but the work of workers that are certainly dead. The number of expired leases never
//! decides: those of one dead worker all expire together.

use crate::status::Status;
use attune_common::{
    bus::{Control, Feed, FeedKind, Wake},
    clock, failpoint,
    service::{Context, jittered},
    store::{
        DedicatedConnection, Error, PgConnection, db,
        execution_queue::AttemptKey,
        rescue::{self, Expired, Rescue, Scope},
        slot,
    },
};
use attune_domain::{
    ExecutionId,
    definition::OnLost,
    execution::{ExecutionStatus, after_loss},
};
use chrono::{DateTime, Utc};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

const BATCH: i64 = 500;
const RESOLVED_WITHIN: Duration = Duration::from_secs(10);
/// A look comes so long after something became due, so that it is due for certain.
const LATER: Duration = Duration::from_millis(20);

/// Rescues until the process stops.
pub async fn run(context: Context, status: Status) -> anyhow::Result<()> {
    let mut reaper = Reaper::new(&context);
    let pulse = context.health.pulse("executor", "rescue");
    while !context.stopping().is_cancelled() {
        pulse.beat();
        match reaper.round(&context).await {
            Ok(0) => {}
            Ok(rescued) => {
                status.rescued(rescued, clock::now());
                if i64::try_from(rescued).is_ok_and(|rescued| rescued >= BATCH) {
                    // There may be more than one look takes.
                    continue;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "lost work cannot be looked for; leases get one more term when the database is back");
            }
        }
        tokio::select! {
            () = context.stopping().cancelled() => break,
            () = pulse.idle(tokio::time::sleep(reaper.pause())) => {}
        }
    }
    Ok(())
}

#[derive(Debug)]
pub struct Reaper {
    /// An exhausted pool must not look like a database that is away.
    line: DedicatedConnection,
    amnesty: Amnesty,
    /// How long after the last look something will be due for a rescue.
    next_due: Option<Duration>,
}

/// What is known of outages of the database.
#[derive(Debug)]
struct Amnesty {
    /// A lease.
    term: Duration,
    /// So long a lease has to be over.
    patience: Duration,
    /// The last look failed.
    blind: bool,
    until: Option<Instant>,
    postmaster: Option<DateTime<Utc>>,
}

impl Reaper {
    pub fn new(context: &Context) -> Self {
        Self {
            line: DedicatedConnection::for_pool(&context.pool),
            amnesty: Amnesty {
                term: context.config.worker.lease(),
                patience: Duration::from_secs(context.config.executor.reap_seconds.max(1)),
                blind: false,
                until: None,
                postmaster: None,
            },
            next_due: None,
        }
    }

    /// Until the next look: usually the patience; less when something will be due before.
    fn pause(&self) -> Duration {
        let usual = jittered(self.amnesty.patience);
        self.next_due.map_or(usual, |due| usual.min(due + LATER))
    }

    /// One look. Returns how many executions were resolved.
    ///
    /// A look that hangs counts as one that failed: a frozen database answers when it wakes up, and then every lease is
    /// over. No worker lets more than a third of its lease go by between two renewals, so a shorter pause harms nobody.
    pub async fn round(&mut self, context: &Context) -> Result<usize, Error> {
        let done = self.look_and_resolve(context).await;
        self.amnesty.blind = done.is_err();
        done
    }

    async fn look_and_resolve(&mut self, context: &Context) -> Result<usize, Error> {
        let amnesty = &mut self.amnesty;
        let (term, patience) = (amnesty.term, amnesty.patience);
        // Jitter makes the usual pause longer than the patience.
        let horizon = patience * 2;
        let look = async |connection: &mut PgConnection| {
            let scope = amnesty.scope(db::server(&mut *connection).await?);
            // After an outage also the connections of living workers are gone for a moment.
            let freed = match scope {
                Scope::All => slot::end_orphaned_holds(&mut *connection).await?,
                Scope::Dead => Vec::new(),
            };
            Ok((freed, rescue::find(connection, scope, patience, horizon, BATCH).await?))
        };
        let (freed, mut expired) = self.line.with_timeout(term / 3, look).await?;
        for pool in freed {
            tracing::info!(
                pool,
                "the worker of a slot that outlived a rescue is dead: the slot is free"
            );
            context.bus.wake(Wake::executions(pool));
        }
        let next = expired.iter().map(|one| one.due_seconds).find(|due| *due > 0.0);
        self.next_due = next.and_then(|due| Duration::try_from_secs_f64(due).ok());
        expired.retain(|one| one.due_seconds <= 0.0);
        if expired.is_empty() {
            return Ok(0);
        }
        let postmaster = self.amnesty.postmaster;
        let resolve = async |connection: &mut PgConnection| {
            // What was found before a restart is not resolved after it: the next look decides.
            if Some(db::server(&mut *connection).await?.started_at) != postmaster {
                return Ok(0);
            }
            resolve(context, connection, &expired, patience).await
        };
        self.line.with_timeout(RESOLVED_WITHIN, resolve).await
    }
}

impl Amnesty {
    /// Whose work may be rescued now.
    fn scope(&mut self, server: db::Server) -> Scope {
        let restarted = self.postmaster.replace(server.started_at) != Some(server.started_at);
        // One that was started long before this executor is not news.
        let up = Duration::try_from_secs_f64(server.up_seconds).unwrap_or_default();
        if self.blind || (restarted && up < self.term + self.patience) {
            tracing::info!("the database was away: leases get one more term");
            self.until = Some(Instant::now() + self.term);
        }
        match self.until {
            Some(until) if Instant::now() < until => Scope::Dead,
            _ => Scope::All,
        }
    }
}

async fn resolve(
    context: &Context,
    connection: &mut PgConnection,
    expired: &[Expired],
    patience: Duration,
) -> Result<usize, Error> {
    let wanted: Vec<Rescue> = expired.iter().map(rescue_of).collect();
    failpoint::hit("t5.selected").await;
    let rescued = match rescue::resolve(&mut *connection, &wanted, patience).await {
        Ok(rescued) => rescued,
        Err(error) if error.as_database_error().is_some() => one_by_one(connection, &wanted, patience, &error).await?,
        Err(error) => return Err(error),
    };
    failpoint::hit("t5.after_commit").await;
    tell(context, &wanted, &rescued);
    let again = expired
        .iter()
        .filter(|expired| rescued.contains(&expired.id) && expired.on_lost == OnLost::Requeue);
    for pool in again.map(|expired| &expired.pool).collect::<BTreeSet<_>>() {
        context.bus.wake(Wake::executions(pool.as_str()));
    }
    Ok(rescued.len())
}

/// One bad row must never keep the others from being rescued.
async fn one_by_one(
    connection: &mut PgConnection,
    rescues: &[Rescue],
    patience: Duration,
    error: &Error,
) -> Result<Vec<ExecutionId>, Error> {
    tracing::warn!(%error, "a rescue failed as a whole; going on one by one");
    let mut done = Vec::new();
    for rescue in rescues {
        match rescue::resolve(&mut *connection, std::slice::from_ref(rescue), patience).await {
            Ok(one) => done.extend(one),
            Err(error) if error.as_database_error().is_some() => {
                tracing::error!(%error, execution_id = %rescue.held.id, "this execution cannot be rescued");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// What becomes of one execution whose worker is gone.
fn rescue_of(expired: &Expired) -> Rescue {
    let to = match after_loss(
        expired.on_lost,
        expired.attempt,
        expired.attempts_max,
        expired.cancel_requested,
    ) {
        ExecutionStatus::Scheduled if expired.overdue => ExecutionStatus::Lost,
        to => to,
    };
    let reason = match to {
        ExecutionStatus::Scheduled => format!("its worker vanished during attempt {}; started again", expired.attempt),
        ExecutionStatus::Canceled => "canceled; its worker vanished before it could confirm".to_owned(),
        _ if expired.overdue => format!(
            "attempt {} was not ended by its worker a minute after its deadline",
            expired.attempt
        ),
        _ => format!(
            "its worker vanished during attempt {}, and the action does not allow another start (on_lost, max_attempts)",
            expired.attempt
        ),
    };
    Rescue {
        held: AttemptKey {
            id: expired.id,
            attempt: expired.attempt,
        },
        to,
        reason,
    }
}

fn tell(context: &Context, wanted: &[Rescue], rescued: &[ExecutionId]) {
    for rescue in wanted.iter().filter(|rescue| rescued.contains(&rescue.held.id)) {
        tracing::warn!(execution_id = %rescue.held.id, attempt = rescue.held.attempt, to = rescue.to.as_str(), "rescued lost work");
        metrics::counter!("attune_rescued_total", "outcome" => rescue.to.as_str()).increment(1);
        // Should its worker live after all, it must stop.
        context.bus.control(Control::Cancel {
            execution_id: rescue.held.id,
        });
        context.bus.feed(Feed {
            execution_id: Some(rescue.held.id),
            ..Feed::new(FeedKind::execution(rescue.to))
        });
    }
}
