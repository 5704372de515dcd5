//! T5: work whose owner is gone is resolved, within a lease and a little patience.
//!
//! The tricky thing is a database that was away: afterwards every lease looks expired, although the workers live. So
//! when this executor's own looks failed, or the database was started anew, it waits one more lease before it rescues
//! anything. The number of expired leases never decides: those of one dead worker all expire together.

use crate::status::Status;
use attune_common::{
    bus::{Control, Feed, FeedKind, Wake},
    clock,
    service::{Context, jittered},
    store::{
        self, Error,
        execution_queue::Held,
        rescue::{self, Expired, Rescue},
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

/// Rescues until the process stops.
pub async fn run(context: Context, status: Status) -> anyhow::Result<()> {
    let mut reaper = Reaper::new(&context);
    while !context.stopping().is_cancelled() {
        match reaper.round(&context).await {
            Ok(0) => {}
            Ok(rescued) => status.rescued(rescued, clock::now()),
            Err(error) => {
                tracing::warn!(%error, "lost work cannot be looked for; leases get one more term when the database is back");
                reaper.grant_amnesty(&context);
            }
        }
        tokio::select! {
            () = context.stopping().cancelled() => break,
            () = tokio::time::sleep(jittered(reaper.patience)) => {}
        }
    }
    Ok(())
}

#[derive(Debug)]
pub struct Reaper {
    patience: Duration,
    amnesty_until: Option<Instant>,
    postmaster: Option<DateTime<Utc>>,
}

impl Reaper {
    pub fn new(context: &Context) -> Self {
        Self {
            patience: Duration::from_secs(context.config.executor.reap_seconds.max(1)),
            amnesty_until: None,
            postmaster: None,
        }
    }

    fn grant_amnesty(&mut self, context: &Context) {
        self.amnesty_until = Some(Instant::now() + context.config.worker.lease());
    }

    /// One look. Returns how many executions were resolved.
    pub async fn round(&mut self, context: &Context) -> Result<usize, Error> {
        let started = store::db::started_at(&context.pool).await?;
        if self.postmaster.replace(started).is_some_and(|before| before != started) {
            tracing::info!("the database was started anew: leases get one more term");
            self.grant_amnesty(context);
        }
        if self.amnesty_until.is_some_and(|until| Instant::now() < until) {
            return Ok(0);
        }
        let expired = rescue::find(&context.pool, self.patience, BATCH).await?;
        if expired.is_empty() {
            return Ok(0);
        }
        let wanted: Vec<Rescue> = expired.iter().map(resolve).collect();
        let rescued = match rescue::resolve(&context.pool, &wanted, self.patience).await {
            Ok(rescued) => rescued,
            Err(error) if error.as_database_error().is_some() => self.one_by_one(context, &wanted, &error).await?,
            Err(error) => return Err(error),
        };
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
        &self,
        context: &Context,
        rescues: &[Rescue],
        error: &Error,
    ) -> Result<Vec<ExecutionId>, Error> {
        tracing::warn!(%error, "a rescue failed as a whole; going on one by one");
        let mut done = Vec::new();
        for rescue in rescues {
            match rescue::resolve(&context.pool, std::slice::from_ref(rescue), self.patience).await {
                Ok(one) => done.extend(one),
                Err(error) if error.as_database_error().is_some() => {
                    tracing::error!(%error, execution_id = %rescue.held.id, "this execution cannot be rescued");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

/// What becomes of one execution whose worker is gone.
fn resolve(expired: &Expired) -> Rescue {
    let to = after_loss(
        expired.on_lost,
        expired.attempt,
        expired.attempts_max,
        expired.cancel_requested,
    );
    let reason = match to {
        ExecutionStatus::Scheduled => format!("its worker vanished during attempt {}; started again", expired.attempt),
        ExecutionStatus::Canceled => "canceled; its worker vanished before it could confirm".to_owned(),
        _ => format!(
            "its worker vanished during attempt {}, and the action does not allow another start (on_lost, max_attempts)",
            expired.attempt
        ),
    };
    Rescue {
        held: Held {
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
