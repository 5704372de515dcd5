//! T4: writes one batch of results and retries to the database.

use crate::{conclude::AttemptResult, due};
use attune_common::{
    announce,
    bus::Wake,
    failpoint,
    service::Context,
    store::{
        DedicatedConnection, Error, PgConnection,
        execution_attempt::{self, AttemptLifetime},
        execution_queue::{self, Accepted, AttemptKey, Finished, Late, Requeued},
        is_unstorable, violation,
    },
};
use attune_domain::execution::ExecutionStatus;
use std::{collections::HashSet, time::Duration};

/// A database that does not answer within this time is considered unavailable. It may still have committed the results;
/// writing them again is harmless.
const QUERY_TIMEOUT: Duration = Duration::from_secs(8);

/// Writes the batch. Once the database has answered, returns the attempts that it has no row of.
pub async fn write(
    context: &Context,
    connection: &mut DedicatedConnection,
    batch: &[AttemptResult],
) -> Result<HashSet<AttemptKey>, Error> {
    let query = async |connection: &mut PgConnection| write_on(context, connection, batch).await;
    connection.with_timeout(QUERY_TIMEOUT, query).await
}

/// The database has examined the values and refuses them: another try would fail the same way.
pub fn is_refused(error: &Error) -> bool {
    is_unstorable(error) || violation(error).is_some() || matches!(error, Error::Encode(_))
}

async fn write_on(
    context: &Context,
    connection: &mut PgConnection,
    batch: &[AttemptResult],
) -> Result<HashSet<AttemptKey>, Error> {
    let requeued = requeue(context, connection, batch).await?;
    let mut finished: Vec<Finished> = Vec::with_capacity(batch.len());
    finished.extend(
        batch
            .iter()
            .filter(|result| !requeued.contains(&result.key()))
            .map(|result| result.finished.clone()),
    );
    if finished.is_empty() {
        return Ok(HashSet::new());
    }
    failpoint::hit("t4.before_commit").await;
    let accepted = execution_queue::finish(&mut *connection, &finished).await?;
    failpoint::hit("t4.after_commit").await;
    if accepted.iter().any(|accepted| accepted.had_slot) {
        // The next execution of the concurrency key is ready now.
        context.bus.wake(Wake::executions(context.config.worker.pool.as_str()));
    }
    if accepted.iter().any(|accepted| accepted.has_event) {
        context.bus.wake(Wake::Events);
    }
    let accepted: HashSet<AttemptKey> = accepted.into_iter().map(Accepted::held).collect();
    record_lifetimes(connection, batch, &accepted).await;
    for end in finished.iter().filter(|end| accepted.contains(&end.held)) {
        tracing::debug!(execution_id = %end.held.id, status = end.status.as_str(), "execution ended");
        announce::finished_execution(&*context.bus, end.held.id, end.status);
    }
    let refused = |result: &&AttemptResult| !accepted.contains(&result.key()) && !requeued.contains(&result.key());
    store_late(connection, &batch.iter().filter(refused).collect::<Vec<_>>()).await
}

/// Records the lifetimes of attempts that held a slot. A failure is logged only: the results are stored already.
async fn record_lifetimes(connection: &mut PgConnection, batch: &[AttemptResult], accepted: &HashSet<AttemptKey>) {
    let lived = |result: &AttemptResult| result.finished.life.filter(|_| accepted.contains(&result.key()));
    let recorded: Vec<AttemptLifetime<'_>> = batch
        .iter()
        .filter_map(|result| {
            Some(AttemptLifetime {
                held: result.key(),
                keys: &result.slot_keys,
                life: lived(result)?,
            })
        })
        .collect();
    if recorded.is_empty() {
        return;
    }
    if let Err(error) = execution_attempt::record_lifetimes(connection, &recorded).await {
        tracing::warn!(%error, "failed to record the lifetimes of actions that held slots");
    }
}

/// Requeues the attempts to be retried, except those whose cancel was requested meanwhile: they end.
async fn requeue(
    context: &Context,
    connection: &mut PgConnection,
    batch: &[AttemptResult],
) -> Result<HashSet<AttemptKey>, Error> {
    let mut retries: Vec<Requeued> = batch.iter().filter_map(|result| result.retry.clone()).collect();
    retries.sort_unstable_by_key(|retry| retry.held.id);
    if retries.is_empty() {
        return Ok(HashSet::new());
    }
    failpoint::hit("t4.retry.before_commit").await;
    let accepted = execution_queue::requeue(&mut *connection, &retries).await?;
    failpoint::hit("t4.retry.after_commit").await;
    for key in &accepted {
        announce::execution(&*context.bus, key.id, None, ExecutionStatus::Scheduled);
    }
    let accepted: HashSet<AttemptKey> = accepted.into_iter().collect();
    let delays = retries
        .iter()
        .filter(|retry| accepted.contains(&retry.held))
        .map(|retry| retry.delay);
    if let Some(soonest) = delays.min() {
        wake_after(context, soonest);
    }
    Ok(accepted)
}

/// Wakes the pool when the first of these retries is due. Polling workers find later ones (see [`due`]).
fn wake_after(context: &Context, delay: Duration) {
    let wake = Wake::executions(context.config.worker.pool.as_str());
    if delay.is_zero() {
        return context.bus.wake(wake);
    }
    if delay > due::HORIZON {
        return;
    }
    let context = context.clone();
    context.clone().tracker().spawn(async move {
        tokio::select! {
            () = context.stopping().cancelled() => {}
            () = tokio::time::sleep(delay) => context.bus.wake(wake),
        }
    });
}

/// Stores results of attempts that were rescued meanwhile, or that were accepted before and are written again.
async fn store_late(connection: &mut PgConnection, results: &[&AttemptResult]) -> Result<HashSet<AttemptKey>, Error> {
    if results.is_empty() {
        return Ok(HashSet::new());
    }
    let late: Vec<Late<'_>> = results
        .iter()
        .map(|result| Late {
            finished: &result.finished,
            requeued: result.retry.as_ref(),
        })
        .collect();
    let answered = execution_queue::keep_late(connection, &late).await?;
    let count = answered.iter().filter(|answer| answer.late).count();
    if count > 0 {
        tracing::warn!(
            count,
            "results arrived after their attempts had been rescued; storing them as late"
        );
        metrics::counter!("attune_fenced_results_total").increment(count as u64);
    }
    let found: HashSet<AttemptKey> = answered
        .iter()
        .map(|answer| AttemptKey {
            id: answer.id,
            attempt: answer.attempt,
        })
        .collect();
    Ok(results
        .iter()
        .map(|result| result.key())
        .filter(|key| !found.contains(key))
        .collect())
}
