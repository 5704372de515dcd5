//! T4: one batch of results and requests for another attempt, told to the database.

use crate::{due, prepare::Report};
use attune_common::{
    bus::{Feed, FeedKind, Wake},
    failpoint,
    service::Context,
    store::{
        DedicatedConnection, Error, PgConnection,
        execution_attempt::{self, Lived},
        execution_queue::{self, Accepted, AttemptKey, Finished, Late, Requeued},
        is_unstorable, violation,
    },
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use std::{collections::HashSet, time::Duration};

/// A database that does not answer in this time is away. It may still have taken the results; offering them again does
/// no harm.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);

/// Tells the database. When it has answered, the attempts that it knows nothing of are returned.
pub async fn deliver(
    context: &Context,
    line: &mut DedicatedConnection,
    batch: &[Report],
) -> Result<HashSet<AttemptKey>, Error> {
    let tell = async |connection: &mut PgConnection| write(context, connection, batch).await;
    line.with_timeout(ANSWERED_WITHIN, tell).await
}

/// The database has looked at the values and does not take them: another try would end the same way.
pub fn is_refused(error: &Error) -> bool {
    is_unstorable(error) || violation(error).is_some() || matches!(error, Error::Encode(_))
}

async fn write(
    context: &Context,
    connection: &mut PgConnection,
    batch: &[Report],
) -> Result<HashSet<AttemptKey>, Error> {
    let back = requeue(context, connection, batch).await?;
    let mut finished: Vec<Finished> = Vec::with_capacity(batch.len());
    finished.extend(
        batch
            .iter()
            .filter(|report| !back.contains(&report.held()))
            .map(|report| report.end.clone()),
    );
    if finished.is_empty() {
        return Ok(HashSet::new());
    }
    failpoint::hit("t4.before_commit").await;
    let accepted = execution_queue::finish(&mut *connection, &finished).await?;
    failpoint::hit("t4.after_commit").await;
    if accepted.iter().any(|accepted| accepted.had_slot) {
        // Whoever waited for it is ready now.
        context.bus.wake(Wake::executions(context.config.worker.pool.as_str()));
    }
    let accepted: HashSet<AttemptKey> = accepted.into_iter().map(Accepted::held).collect();
    record_lives(connection, batch, &accepted).await;
    for end in finished.iter().filter(|end| accepted.contains(&end.held)) {
        metrics::counter!("attune_executions_total", "status" => end.status.as_str()).increment(1);
        tell(context, end.held.id, end.status);
    }
    let refused = |report: &&Report| !accepted.contains(&report.held()) && !back.contains(&report.held());
    keep_late(connection, &batch.iter().filter(refused).collect::<Vec<_>>()).await
}

/// Only of what held a slot. The results are stored whether this succeeds or not.
async fn record_lives(connection: &mut PgConnection, batch: &[Report], accepted: &HashSet<AttemptKey>) {
    let lived = |report: &Report| report.end.life.filter(|_| accepted.contains(&report.held()));
    let recorded: Vec<Lived<'_>> = batch
        .iter()
        .filter_map(|report| {
            Some(Lived {
                held: report.held(),
                keys: &report.slot_keys,
                life: lived(report)?,
            })
        })
        .collect();
    if recorded.is_empty() {
        return;
    }
    if let Err(error) = execution_attempt::record_lives(connection, &recorded).await {
        tracing::warn!(%error, "when actions that held slots began and ended is not recorded");
    }
}

/// Puts back what is to be tried again. What somebody asked to cancel meanwhile is not put back: it ends.
async fn requeue(
    context: &Context,
    connection: &mut PgConnection,
    batch: &[Report],
) -> Result<HashSet<AttemptKey>, Error> {
    let mut requeued: Vec<Requeued> = batch.iter().filter_map(|report| report.again.clone()).collect();
    requeued.sort_unstable_by_key(|requeued| requeued.held.id);
    if requeued.is_empty() {
        return Ok(HashSet::new());
    }
    failpoint::hit("t4.retry.before_commit").await;
    let back = execution_queue::requeue(&mut *connection, &requeued).await?;
    failpoint::hit("t4.retry.after_commit").await;
    for held in &back {
        tell(context, held.id, ExecutionStatus::Scheduled);
    }
    let accepted: HashSet<AttemptKey> = back.into_iter().collect();
    let delays = requeued
        .iter()
        .filter(|one| accepted.contains(&one.held))
        .map(|one| one.delay);
    if let Some(soonest) = delays.min() {
        wake_after(context, soonest);
    }
    Ok(accepted)
}

/// Wakes the pool when the first of these retries is due. Later ones are found by the look ahead of a worker that polls.
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

/// Results of attempts that were given up, or that were accepted before and reported again.
async fn keep_late(connection: &mut PgConnection, reports: &[&Report]) -> Result<HashSet<AttemptKey>, Error> {
    if reports.is_empty() {
        return Ok(HashSet::new());
    }
    let late: Vec<Late<'_>> = reports
        .iter()
        .map(|report| Late {
            finished: &report.end,
            requeued: report.again.as_ref(),
        })
        .collect();
    let answered = execution_queue::keep_late(connection, &late).await?;
    let kept = answered.iter().filter(|answer| answer.late).count();
    if kept > 0 {
        tracing::warn!(kept, "results came after their attempts had been given up");
        metrics::counter!("attune_fenced_results_total").increment(kept as u64);
    }
    let known: HashSet<AttemptKey> = answered
        .iter()
        .map(|answer| AttemptKey {
            id: answer.id,
            attempt: answer.attempt,
        })
        .collect();
    Ok(reports
        .iter()
        .map(|report| report.held())
        .filter(|held| !known.contains(held))
        .collect())
}

fn tell(context: &Context, id: ExecutionId, status: ExecutionStatus) {
    tracing::debug!(execution_id = %id, status = status.as_str(), "execution ended");
    context.bus.feed(Feed {
        execution_id: Some(id),
        ..Feed::new(FeedKind::execution(status))
    });
}
