//! T4: results are reported in batches, and kept until the database has answered.
//!
//! A batch is whatever came together while the one before was written: nothing waits when little happens, and under load
//! one flush serves many.

use crate::{lease::Leases, prepare::Report};
use attune_common::{
    bus::{Feed, FeedKind, Wake},
    service::{Context, jittered},
    store::{
        Error,
        execution_queue::{self, Finished, Held, Requeued},
        is_retryable,
    },
};
use attune_domain::{ExecutionId, execution::ExecutionStatus};
use std::{collections::HashSet, time::Duration};
use tokio::sync::mpsc;

const BATCH: usize = 50;
const PAUSE_LEAST: Duration = Duration::from_millis(20);
const PAUSE_MOST: Duration = Duration::from_secs(2);

/// Where results are handed in.
#[derive(Debug, Clone)]
pub struct Finisher(mpsc::Sender<Report>);

impl Finisher {
    pub async fn report(&self, report: Report) {
        if self.0.send(report).await.is_err() {
            tracing::error!("a result could not be handed in: the worker's finisher has ended");
        }
    }
}

/// Starts reporting. The second value resolves when every [`Finisher`] is gone and the last result was answered.
pub fn start(context: &Context, leases: Leases) -> (Finisher, impl Future<Output = ()> + use<>) {
    let (sender, receiver) = mpsc::channel(BATCH * 4);
    let task = context.tracker().spawn(run(context.clone(), leases, receiver));
    let ended = async move {
        if let Err(error) = task.await {
            tracing::error!(%error, "the worker's finisher crashed");
        }
    };
    (Finisher(sender), ended)
}

async fn run(context: Context, leases: Leases, mut reports: mpsc::Receiver<Report>) {
    let mut batch = Vec::with_capacity(BATCH);
    while reports.recv_many(&mut batch, BATCH).await > 0 {
        let answered: Vec<Held> = batch.iter().map(held).collect();
        deliver(&context, std::mem::take(&mut batch)).await;
        for held in answered {
            leases.release(held);
        }
    }
}

fn held(report: &Report) -> Held {
    match report {
        Report::Finished(finished) => finished.held,
        Report::Requeued(requeued, _) => requeued.held,
    }
}

/// Tries until the database has answered. A result is never dropped because the database is away.
async fn deliver(context: &Context, mut batch: Vec<Report>) {
    let mut pause = PAUSE_LEAST;
    while let Err(error) = write(context, &batch).await {
        if error.as_database_error().is_some() && !is_retryable(&error) {
            if batch.len() > 1 {
                tracing::warn!(%error, "a batch of results was refused; going on one by one");
                for report in batch {
                    Box::pin(deliver(context, vec![report])).await;
                }
                return;
            }
            tracing::error!(%error, "a result was refused; the execution ends without it");
            batch = batch.into_iter().map(|report| without_result(report, &error)).collect();
        } else {
            tracing::warn!(%error, results = batch.len(), "results wait for the database");
        }
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(PAUSE_MOST);
    }
}

fn without_result(report: Report, error: &Error) -> Report {
    let (Report::Finished(finished) | Report::Requeued(_, finished)) = report;
    Report::Finished(Finished {
        status: ExecutionStatus::Failed,
        result: None,
        error: Some(format!("its result could not be stored: {error}")),
        ..finished
    })
}

async fn write(context: &Context, batch: &[Report]) -> Result<(), Error> {
    let mut finished: Vec<Finished> = Vec::with_capacity(batch.len());
    let mut requeued: Vec<Requeued> = Vec::new();
    for report in batch {
        match report {
            Report::Finished(end) => finished.push(end.clone()),
            Report::Requeued(again, _) => requeued.push(again.clone()),
        }
    }
    if !requeued.is_empty() {
        let accepted: HashSet<ExecutionId> = execution_queue::requeue(&context.pool, &requeued)
            .await?
            .into_iter()
            .collect();
        for report in batch {
            match report {
                Report::Requeued(again, end) if !accepted.contains(&again.held.id) => finished.push(end.clone()),
                Report::Requeued(again, _) => tell(context, again.held.id, ExecutionStatus::Scheduled),
                Report::Finished(_) => {}
            }
        }
        context.bus.wake(Wake::executions(context.config.worker.pool.as_str()));
    }
    if finished.is_empty() {
        return Ok(());
    }
    let accepted = execution_queue::finish(&context.pool, &finished).await?;
    if accepted.iter().any(|accepted| accepted.had_slot) {
        // Whoever waited for it is ready now.
        context.bus.wake(Wake::executions(context.config.worker.pool.as_str()));
    }
    let accepted: HashSet<ExecutionId> = accepted.into_iter().map(|accepted| accepted.id).collect();
    let (accepted, late): (Vec<_>, Vec<_>) = finished.into_iter().partition(|end| accepted.contains(&end.held.id));
    for end in &accepted {
        metrics::counter!("attune_executions_total", "status" => end.status.as_str()).increment(1);
        tell(context, end.held.id, end.status);
    }
    if late.is_empty() {
        Ok(())
    } else {
        keep_late(context, &late).await
    }
}

/// Results of attempts that were given up, or that were accepted before and reported again.
async fn keep_late(context: &Context, late: &[Finished]) -> Result<(), Error> {
    let kept = execution_queue::keep_late(&context.pool, late).await?;
    if kept > 0 {
        tracing::warn!(kept, "results came after their attempts had been given up");
        metrics::counter!("attune_fenced_results_total").increment(kept);
    }
    Ok(())
}

fn tell(context: &Context, id: ExecutionId, status: ExecutionStatus) {
    tracing::debug!(execution_id = %id, status = status.as_str(), "execution ended");
    context.bus.feed(Feed {
        execution_id: Some(id),
        ..Feed::new(FeedKind::execution(status))
    });
}
