//! Start and stop of services.
//!
//! A service is `async fn run(Context) -> anyhow::Result<()>`: it works until [`Context::stopping`], finishes what it has
//! begun, and returns. [`main`] is the whole of a service's `main.rs`; `attune up` runs the same functions in one process.
//! The first signal stops gracefully, the second exits at once. A background task that ends early stops the process.

pub use crate::context::{Context, Kind, Tasks, error_chain, host};

use crate::{
    bus,
    config::{Config, Security},
    health, store, telemetry,
};
use anyhow::Context as _;
use clap::Parser;
use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file. Every key can also be set as `ATTUNE__SECTION__KEY`.
    #[arg(long, env = "ATTUNE_CONFIG")]
    config: Option<PathBuf>,
}

/// Protects this process from other processes of the same user, such as actions: they can no longer read its memory and
/// environment, which hold secrets. Other users cannot read the files that it creates.
pub fn close_to_others() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    // Fails only for a value that the kernel does not support.
    let _ = nix::sys::prctl::set_dumpable(false);
}

/// The whole of a service's `main`.
pub fn main<F, R>(kind: Kind, run: F) -> ExitCode
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let arguments = Arguments::parse();
    close_to_others();
    match start(kind, &arguments, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attune-{kind}: {}", error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn start<F, R>(kind: Kind, arguments: &Arguments, run: F) -> anyhow::Result<()>
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut config = Config::load(arguments.config.as_deref())?;
    telemetry::init(&config.log)?;
    if kind == Kind::Worker {
        drop_master_keys(&mut config);
    }
    let config = Arc::new(config);
    // Before the runtime, so that it goes after it.
    let _exporting = telemetry::export(&config.telemetry, &format!("attune-{kind}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(async {
        let tasks = Tasks::default();
        tasks.stop_on_signals()?;
        let name = format!("attune-{kind}");
        let pool = store::db::pool(config.database_url()?, &name, config.database.connections_max)?;
        let (bus_tasks, bus_stop) = (TaskTracker::new(), CancellationToken::new());
        let bus = bus::connect(&config.message_queue, &name, &bus_tasks, bus_stop.clone())?;
        let context = Context::new(config, pool, bus, &tasks);
        wait_for_schema(&context).await?;
        serve(kind, &context, listen(kind, &context.config));
        let ended = run(context.clone()).await;
        tasks.finish().await;
        bus_stop.cancel();
        bus_tasks.close();
        bus_tasks.wait().await;
        store::db::close(&context.pool).await;
        anyhow::ensure!(!tasks.failed(), "a background task failed; see the log above");
        ended
    })
}

/// A worker runs the code of others and never needs the keys of the installation.
fn drop_master_keys(config: &mut Config) {
    if config.security.encryption_key.is_some() || config.security.jwt_secret.is_some() {
        tracing::warn!(
            "a worker does not need security.encryption_key and security.jwt_secret: remove them from its configuration"
        );
    }
    config.security = Security::default();
}

/// Starts what every service has: heartbeats, the health probe, and a health endpoint unless the service has its own.
pub fn serve(kind: Kind, context: &Context, listen: Option<SocketAddr>) {
    context.spawn("heartbeat", crate::heartbeat::run(kind, context.clone()));
    every(context, "health", health::PROBE_PERIOD, health::probe);
    if let Some(listen) = listen {
        context.spawn("health endpoint", health::serve(context.clone(), listen));
    }
}

fn listen(kind: Kind, config: &Config) -> Option<SocketAddr> {
    match kind {
        Kind::Sensor => config.sensor.listen,
        Kind::Executor => config.executor.listen,
        Kind::Worker => config.worker.listen,
        Kind::Api => None,
    }
}

/// Waits for the database to be up and migrated, and logs what is missing. Services may start in any order.
async fn wait_for_schema(context: &Context) -> anyhow::Result<()> {
    loop {
        let check = async {
            store::reach(&context.pool).await?;
            anyhow::Ok(store::with_timeout(Duration::from_secs(5), store::db::schema_accepted(&context.pool)).await?)
        };
        let accepted = tokio::select! {
            () = context.stopping().cancelled() => anyhow::bail!("stopped while waiting for the database"),
            accepted = check => accepted,
        };
        match accepted {
            Ok(true) => return Ok(()),
            Ok(false) => {
                tracing::warn!("the database schema is older than this program; waiting for `attune migrate`");
            }
            Err(error) => tracing::warn!(error = error_chain(&error), "waiting for the database"),
        }
        tokio::select! {
            () = context.stopping().cancelled() => anyhow::bail!("stopped while waiting for the database"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// Starts a background task that runs `work` at once and then again and again, with a pause of `period` in between.
/// When the process stops, a run in progress is dropped.
pub fn every<W, R>(context: &Context, name: &'static str, period: Duration, mut work: W)
where
    W: FnMut(Context) -> R + Send + 'static,
    R: Future<Output = ()> + Send,
{
    let own = context.clone();
    context.spawn(name, async move {
        let rounds = async {
            loop {
                work(own.clone()).await;
                tokio::time::sleep(period).await;
            }
        };
        own.stopping().run_until_cancelled(rounds).await;
        Ok(())
    });
}

/// A poll interval of 1 s ± 20 %.
pub fn poll_interval() -> Duration {
    jittered(Duration::from_secs(1))
}

/// The span ± 20 %, so that many processes do not poll at the same instant.
pub fn jittered(span: Duration) -> Duration {
    span.mul_f64(rand::random_range(0.8..=1.2))
}
