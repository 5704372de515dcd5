//! The worker acts: it claims executions, runs their actions, and reports how they ended. It decides nothing about rules.
//!
//! The pipeline reads aloud: [`claim`] takes as many executions as there are free slots, [`prepare`] turns each into an
//! invocation, [`runner`] runs it, [`finish`] reports the results in batches, and [`lease`] keeps what is held alive.

pub mod claim;
pub mod finish;
pub mod lease;
pub mod prepare;
mod report;
pub mod runner;

pub use runner::supervisor;

use anyhow::Context as _;
use attune_common::service::Context;
use runner::Runner;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// Runs the worker until the process stops, and then until its actions have ended.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let runner_tasks = TaskTracker::new();
    let mut settings = runner::Settings::default();
    if let Some(directory) = &context.config.worker.work_dir {
        settings.scratch_directory.clone_from(directory);
    }
    let runner = Runner::start(settings, &runner_tasks)
        .await
        .context("failed to start the worker's action supervisor")?;
    let leases = lease::Leases::new(&context);
    let (finisher, finishing) = finish::start(&context, leases.clone());
    context.spawn("leases", leases.clone().run());

    let worker = claim::Worker::new(&context, runner.clone(), leases.clone(), finisher);
    context.spawn("worker health", report::run(context.clone(), worker.clone()));
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

/// Lets running actions end by themselves for a while, and then stops them.
async fn drain(context: &Context, worker: &claim::Worker, leases: &lease::Leases) {
    let running = worker.running();
    if running == 0 {
        return;
    }
    let patience = Duration::from_secs(context.config.worker.drain_seconds);
    tracing::info!(
        running,
        patience_seconds = patience.as_secs(),
        "waiting for running actions to end"
    );
    if tokio::time::timeout(patience, worker.idle()).await.is_err() {
        tracing::warn!(
            running = worker.running(),
            "stopping the actions that are still running"
        );
        leases.stop_all();
        worker.idle().await;
    }
}
