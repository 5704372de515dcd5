//! The worker acts: it claims executions, runs their actions, and reports how they ended. It decides nothing about rules.
//!
//! The pipeline reads aloud: [`claim`] takes as many executions as there are free slots, [`prepare`] turns each into an
//! invocation, [`runner`] runs it, [`finish`] reports the results in batches ([`spool`] keeps them while the database is
//! away), and [`lease`] keeps what is held alive. What an action writes is told while it runs (`log`).

pub mod claim;
mod deliver;
mod due;
pub mod finish;
mod held;
pub mod lease;
mod log;
pub mod prepare;
mod report;
pub mod runner;
mod settings;
pub mod spool;

pub use runner::supervisor;

use anyhow::Context as _;
use attune_common::service::Context;
use runner::Runner;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Runs the worker until the process stops, and then until its actions have ended.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let runner_tasks = TaskTracker::new();
    let (settings, isolation) = settings::of(&context)?;
    let runner = Runner::start(settings, &runner_tasks)
        .await
        .context("failed to start the worker's action supervisor")?;
    let spool = open_spool(&context).await?;
    let spooled = spool.depth();
    let leases = lease::Leases::new(&context);
    let (finisher, finishing) = finish::start(&context, leases.clone(), spool);
    context.spawn("leases", leases.clone().run());

    let logs = log::start(&context);
    let worker = claim::Worker::new(&context, runner.clone(), leases.clone(), finisher, logs);
    context.spawn(
        "worker health",
        report::run(context.clone(), worker.clone(), spooled, isolation),
    );
    let claimed = worker.clone().run().await;

    drain(&context, &worker, &leases).await;
    drop(worker);
    // The last results are reported before the leases end.
    finishing.await;
    leases.end();
    runner.stop();
    runner_tasks.close();
    runner_tasks.wait().await;
    claimed
}

/// Takes over from a predecessor that is certainly dead: ends the actions that it left, delivers the results that it left
/// on disk, and then lets its leases run out at once. Before anything of this process holds a lease.
pub async fn take_over(context: &Context) -> anyhow::Result<()> {
    runner::clear_up_after_predecessors(&settings::place(context)).await;
    let spool = open_spool(context).await?;
    finish::deliver_leftovers(context, spool)
        .await
        .context("failed to deliver the results of the run before")?;
    attune_common::store::rescue::expire_leases(&context.pool)
        .await
        .context("failed to release the work of the run before")?;
    Ok(())
}

async fn open_spool(context: &Context) -> anyhow::Result<spool::Spool> {
    let folder = spool::folder(&context.config.worker);
    tokio::task::spawn_blocking(move || spool::Spool::open(folder)).await?
}

/// Lets running actions end by themselves for a while, and then stops them. All is over when the time is.
async fn drain(context: &Context, worker: &claim::Worker, leases: &lease::Leases) {
    let running = worker.running();
    if running == 0 {
        return;
    }
    let patience = Duration::from_secs(context.config.worker.drain_seconds);
    let grace = Duration::from_secs(context.config.worker.kill_grace_seconds).min(patience / 5);
    tracing::info!(
        running,
        patience_seconds = patience.as_secs(),
        "waiting for running actions to end"
    );
    if tokio::time::timeout(patience.saturating_sub(grace), worker.idle())
        .await
        .is_ok()
    {
        return;
    }
    tracing::warn!(
        running = worker.running(),
        "stopping the actions that are still running"
    );
    leases.stop_all();
    if tokio::time::timeout(grace, worker.idle()).await.is_err() {
        leases.kill_all();
        worker.idle().await;
    }
}
