//! The worker claims executions, runs their actions, and writes their results. It does not evaluate rules.
//!
//! The pipeline: [`claim`] claims as many executions as there are free slots, [`prepare`] builds an invocation for each,
//! [`runner`] runs it, [`conclude`] turns its end into a result or a retry, and [`finish`] writes results in batches, or to
//! the [`spool`] while the database is unavailable. After a crash, the next worker resolves what the `journal` of its
//! predecessor shows. Meanwhile [`lease`] renews the leases, and `log` writes the output of
//! actions that still run.

mod actions;
pub mod claim;
mod code;
pub mod conclude;
mod due;
pub mod finish;
mod health;
mod journal;
pub mod language;
pub mod lease;
mod leased;
mod log;
mod native;
mod pace;
pub mod prepare;
mod recovery;
pub mod redact;
mod result_batch;
pub mod runner;
pub mod secrets;
mod settings;
pub mod spool;

pub use runner::supervisor;

use anyhow::Context as _;
use attune_common::{
    pool_key::PoolKeys,
    service::{Context, error_chain, every},
    store::{rescue, with_default_timeout},
};
use conclude::AttemptResult;
use journal::{Journal, Owner};
use runner::Runner;
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio_util::task::TaskTracker;

/// Runs the worker until the process stops, and then until its actions have ended and their results are written.
pub async fn run(context: Context) -> anyhow::Result<()> {
    let runner_tasks = TaskTracker::new();
    let (settings, isolation) = settings::load(&context)?;
    // Before the first supervisor, which opens its folder.
    let code = code::Code::open(&context.config.worker).await?;
    let runner = Runner::start(settings, &runner_tasks)
        .await
        .context("failed to start the worker's action supervisor")?;
    let spool = open_spool(&context).await?;
    // Its results stay on disk, and the leases of its executions expire.
    if let Err(error) = recover(&context).await {
        tracing::warn!(
            error = error_chain(&error),
            "failed to resolve the work of a dead worker"
        );
    }
    let journal = Journal::create(&spool::folder(&context.config.worker), owner(&context));
    let journal = journal.unwrap_or_else(|error| {
        tracing::warn!(%error, "failed to create the journal; after a crash, executions are resolved when their leases end");
        Journal::default()
    });
    let spooled = spool.depth();
    let leases = lease::Leases::new(&context);
    let (results, results_written) = finish::start(&context, leases.clone(), spool, journal.clone());
    context.spawn("leases", leases.clone().run());

    let logs = log::start(&context);
    let keys = secrets::keys(&context)?.map(Arc::new);
    let key_state = register_key(&context, keys.clone());
    let equipment = prepare::Equipment::new(&context, code, keys);
    let worker = claim::Worker::new(&context, runner.clone(), equipment, leases.clone(), results, logs);
    let reported = worker.clone();
    every(&context, "worker health", health::PERIOD, move |context| {
        health::report(&context, &reported, &spooled, &isolation, &key_state);
        std::future::ready(())
    });
    let handovers = worker.offer_slots();
    let joint_claims = context.tracker().spawn(worker.clone().start_joint_claims(handovers));
    let claimed = worker.clone().run().await;

    // What is claimed by a commit in flight is still started, and ends in the drain.
    context.joint.close(context.instance);
    let _ = joint_claims.await;
    drain(&context, &worker, &leases).await;
    drop(worker);
    // The last results are written before the leases end.
    results_written.await;
    journal.remove();
    leases.end();
    runner.stop();
    runner_tasks.close();
    runner_tasks.wait().await;
    claimed
}

/// Registers the public key of the pool, and checks again that it is the registered one. False: another worker of the pool has
/// another key.
fn register_key(context: &Context, keys: Option<Arc<PoolKeys>>) -> Arc<AtomicBool> {
    let agrees = Arc::new(AtomicBool::new(true));
    let Some(keys) = keys else {
        return agrees;
    };
    let state = Arc::clone(&agrees);
    every(context, "pool key", secrets::REGISTER_PERIOD, move |context| {
        let (keys, state) = (Arc::clone(&keys), Arc::clone(&state));
        async move {
            match with_default_timeout(secrets::register(&context, &keys)).await {
                Ok(true) => state.store(true, Ordering::Relaxed),
                Ok(false) => {
                    state.store(false, Ordering::Relaxed);
                    tracing::error!(
                        pool = context.config.worker.pool,
                        "the pool has another key: workers of one pool must have the same worker.pool_key"
                    );
                }
                Err(error) => tracing::warn!(%error, "failed to register the key of the pool; retrying in 60 s"),
            }
        }
    });
    agrees
}

/// Takes over from a predecessor that is known to be dead: kills the actions that it left behind, writes the results that it
/// left on disk, and then expires its leases. Must run before this process holds a lease.
pub async fn take_over(context: &Context) -> anyhow::Result<()> {
    runner::clean_up_after_predecessors(&settings::base(context)).await;
    let spool = open_spool(context).await?;
    finish::write_leftovers(context, spool)
        .await
        .context("failed to write the results of the previous run")?;
    recover(context).await?;
    rescue::expire_leases(&context.pool, None)
        .await
        .context("failed to release the executions of the previous run")?;
    Ok(())
}

fn owner(context: &Context) -> Owner {
    let settings = settings::base(context);
    Owner::new(context.instance, &settings.installation, &settings.scratch_directory)
}

/// Resolves what dead workers with the same folders, database and boot left behind: writes their results, starts again what
/// never started, and expires the leases of the rest. Their actions must have been killed before.
async fn recover(context: &Context) -> anyhow::Result<()> {
    let (folder, me) = (spool::folder(&context.config.worker), owner(context));
    let dead = tokio::task::spawn_blocking(move || journal::find_dead(&folder, &me)).await??;
    for dead in dead {
        let left = rescue::left_by(&context.pool, dead.worker)
            .await
            .context("failed to read the executions of a dead worker")?;
        let marked: HashSet<_> = dead
            .ended
            .iter()
            .map(AttemptResult::key)
            .chain(dead.started.iter().copied())
            .collect();
        let unstarted = left
            .into_iter()
            .filter(|left| left.is_process && !marked.contains(&left.held));
        let unstarted: Vec<_> = unstarted.map(|left| AttemptResult::never_started(left.held)).collect();
        tracing::info!(
            worker = %dead.worker, results = dead.ended.len(), unstarted = unstarted.len(), running = dead.started.len(),
            "resolving the work of a dead worker"
        );
        open_spool(context)
            .await?
            .store(dead.ended.iter().chain(&unstarted))
            .await?;
        finish::write_leftovers(context, open_spool(context).await?)
            .await
            .context("failed to write the results of a dead worker")?;
        rescue::expire_leases(&context.pool, Some(dead.worker))
            .await
            .context("failed to release the executions of a dead worker")?;
        dead.remove();
    }
    Ok(())
}

async fn open_spool(context: &Context) -> anyhow::Result<spool::Spool> {
    let folder = spool::folder(&context.config.worker);
    tokio::task::spawn_blocking(move || spool::Spool::open(folder)).await?
}

/// Waits for running actions to end, then stops them: with SIGTERM near the end of the drain period, with SIGKILL at its end.
async fn drain(context: &Context, worker: &claim::Worker, leases: &lease::Leases) {
    let running = worker.running();
    if running == 0 {
        return;
    }
    let period = Duration::from_secs(context.config.worker.drain_seconds);
    let grace = Duration::from_secs(context.config.worker.kill_grace_seconds).min(period / 5);
    tracing::info!(
        running,
        drain_seconds = period.as_secs(),
        "waiting for running actions to end"
    );
    if tokio::time::timeout(period.saturating_sub(grace), worker.idle())
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
