//! T5: rescues executions whose worker is gone, a little after their lease has expired.
//!
//! Each round also finds out when the next lease is due, and the next round runs then instead of after the usual pause.
//!
//! Slots of a concurrency key may outlive the rescue (`store::rescue::resolve`). Each round frees those of dead workers.
//!
//! The tricky thing is an outage of the database: afterwards every lease seems expired, although the workers are alive. So
//! when a round of this executor failed or hung, or the database was started within the last lease, a grace period of one
//! lease begins. Until it ends, only the work of workers that are certainly dead is rescued. The number of expired leases
//! is not a criterion, because all leases of one dead worker expire together.

use crate::status::Status;
use attune_common::{
    announce,
    bus::{Control, Wake},
    clock, failpoint,
    service::{Context, jittered},
    store::{
        DedicatedConnection, Error, PgConnection, db,
        execution_queue::AttemptKey,
        rescue::{self, Expired, Rescue, Scope},
        service_instance, slot,
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
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A round starts this long after a lease is due, so that the lease is due for certain.
const DUE_MARGIN: Duration = Duration::from_millis(20);

/// Rescues until the process stops.
pub async fn run(context: Context, status: Status) -> anyhow::Result<()> {
    let mut reaper = LeaseReaper::new(&context);
    let pulse = context.health.pulse("executor", "rescue");
    while !context.stopping().is_cancelled() {
        pulse.beat();
        match reaper.round(&context).await {
            Ok(0) => {}
            Ok(rescued) => {
                status.rescued(rescued, clock::now());
                if i64::try_from(rescued).is_ok_and(|rescued| rescued >= BATCH) {
                    // There may be more than fits into one round.
                    continue;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "failed to query expired leases; every lease gets a grace period when the database is back");
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
pub struct LeaseReaper {
    /// Not from the pool, because an exhausted pool must not be mistaken for an unavailable database.
    connection: DedicatedConnection,
    grace: GracePeriod,
    /// How long after the last round the next lease is due for a rescue.
    next_due: Option<Duration>,
}

/// The time after an outage of the database in which leases are not trusted to be expired.
#[derive(Debug)]
struct GracePeriod {
    /// The duration of a lease.
    lease: Duration,
    /// How long a lease must have been expired before it is rescued.
    patience: Duration,
    last_round_failed: bool,
    until: Option<Instant>,
    server_started_at: Option<DateTime<Utc>>,
}

impl LeaseReaper {
    pub fn new(context: &Context) -> Self {
        Self {
            connection: DedicatedConnection::for_pool(&context.pool),
            grace: GracePeriod {
                lease: context.config.worker.lease(),
                patience: Duration::from_secs(context.config.executor.reap_seconds.max(1)),
                last_round_failed: false,
                until: None,
                server_started_at: None,
            },
            next_due: None,
        }
    }

    /// The time until the next round: usually the patience, less when a lease is due earlier.
    fn pause(&self) -> Duration {
        let usual = jittered(self.grace.patience);
        self.next_due.map_or(usual, |due| usual.min(due + DUE_MARGIN))
    }

    /// Resolves what is due, and returns how many executions that were.
    ///
    /// A round that hangs counts as failed: a frozen database responds when it wakes up, and then every lease has expired.
    /// A shorter freeze does no harm, because every worker renews within a third of its lease.
    pub async fn round(&mut self, context: &Context) -> Result<usize, Error> {
        let done = self.find_and_resolve(context).await;
        self.grace.last_round_failed = done.is_err();
        done
    }

    async fn find_and_resolve(&mut self, context: &Context) -> Result<usize, Error> {
        let grace = &mut self.grace;
        let (lease, patience) = (grace.lease, grace.patience);
        // Jitter makes the usual pause longer than the patience.
        let horizon = patience * 2;
        let find = async |connection: &mut PgConnection| {
            let scope = grace.scope(db::server(&mut *connection).await?);
            // After an outage, living workers have lost their connections as well, for a moment.
            let freed = match scope {
                Scope::All => {
                    let lost = service_instance::mark_lost(&mut *connection, lease).await?;
                    if lost > 0 {
                        tracing::warn!(count = lost, "workers disappeared without shutting down");
                    }
                    slot::end_orphaned_holds(&mut *connection).await?
                }
                Scope::Dead => Vec::new(),
            };
            Ok((freed, rescue::find(connection, scope, patience, horizon, BATCH).await?))
        };
        let (freed, mut expired) = self.connection.with_timeout(lease / 3, find).await?;
        for pool in freed {
            tracing::info!(pool, "freed a slot whose worker died after its execution was rescued");
            context.bus.wake(Wake::executions(pool));
        }
        let next = expired.iter().map(|one| one.due_seconds).find(|due| *due > 0.0);
        self.next_due = next.and_then(|due| Duration::try_from_secs_f64(due).ok());
        expired.retain(|one| one.due_seconds <= 0.0);
        if expired.is_empty() {
            return Ok(0);
        }
        let server_started_at = self.grace.server_started_at;
        let resolve = async |connection: &mut PgConnection| {
            // Leases that were found before a restart are not resolved after it. The next round decides.
            if Some(db::server(&mut *connection).await?.started_at) != server_started_at {
                return Ok(0);
            }
            resolve(context, connection, &expired, patience).await
        };
        self.connection.with_timeout(RESOLVE_TIMEOUT, resolve).await
    }
}

impl GracePeriod {
    /// Whose work may be rescued now.
    fn scope(&mut self, server: db::Server) -> Scope {
        let restarted = self.server_started_at.replace(server.started_at) != Some(server.started_at);
        // A server that has been up for long did not restart; this executor did.
        let up = Duration::try_from_secs_f64(server.up_seconds).unwrap_or_default();
        if self.last_round_failed || (restarted && up < self.lease + self.patience) {
            tracing::info!("the database was unavailable; every lease gets a grace period");
            self.until = Some(Instant::now() + self.lease);
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
    let planned: Vec<Rescue> = expired.iter().map(rescue_of).collect();
    failpoint::hit("t5.selected").await;
    let rescued = match rescue::resolve(&mut *connection, &planned, patience).await {
        Ok(rescued) => rescued,
        Err(error) if error.as_database_error().is_some() => one_by_one(connection, &planned, patience, &error).await?,
        Err(error) => return Err(error),
    };
    failpoint::hit("t5.after_commit").await;
    announce_rescued(context, &planned, &rescued);
    let again = expired
        .iter()
        .filter(|expired| rescued.contains(&expired.id) && expired.on_lost == OnLost::Requeue);
    for pool in again.map(|expired| &expired.pool).collect::<BTreeSet<_>>() {
        context.bus.wake(Wake::executions(pool.as_str()));
    }
    Ok(rescued.len())
}

/// One bad row must not keep the others from being rescued.
async fn one_by_one(
    connection: &mut PgConnection,
    planned: &[Rescue],
    patience: Duration,
    error: &Error,
) -> Result<Vec<ExecutionId>, Error> {
    tracing::warn!(%error, "failed to rescue a batch; rescuing one execution at a time");
    let mut done = Vec::new();
    for rescue in planned {
        match rescue::resolve(&mut *connection, std::slice::from_ref(rescue), patience).await {
            Ok(one) => done.extend(one),
            Err(error) if error.as_database_error().is_some() => {
                tracing::error!(%error, execution_id = %rescue.held.id, "failed to rescue an execution");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The new status of an execution whose worker is gone, and the reason.
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

fn announce_rescued(context: &Context, planned: &[Rescue], rescued: &[ExecutionId]) {
    for rescue in planned.iter().filter(|rescue| rescued.contains(&rescue.held.id)) {
        tracing::warn!(execution_id = %rescue.held.id, attempt = rescue.held.attempt, to = rescue.to.as_str(), "rescued lost work");
        metrics::counter!("attune_rescued_total", "outcome" => rescue.to.as_str()).increment(1);
        // If its worker is alive after all, it must stop.
        context.bus.control(Control::Cancel {
            execution_id: rescue.held.id,
        });
        announce::execution(&*context.bus, rescue.held.id, None, rescue.to);
    }
}
