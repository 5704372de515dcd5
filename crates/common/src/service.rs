//! Start and stop of services.
//!
//! A service is `async fn run(Context) -> anyhow::Result<()>`: it works until [`Context::stopping`] and returns when it
//! has put everything down. [`main`] is the whole of a service's `main.rs`; `attune up` runs the same functions in one
//! process. The first signal stops softly, the second at once. A background task that ends early ends the process.

pub use crate::context::{Context, Kind, Tasks, error_chain, host};

use crate::{bus, config::Config, health, store, telemetry};
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

/// From here on, other processes of the same user, such as actions, cannot look into this one: its memory and its
/// environment hold secrets. Nor can other users read the files that it creates.
pub fn close_to_others() {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    // It fails only for a value that the kernel does not know.
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
    let config = Arc::new(Config::load(arguments.config.as_deref())?);
    telemetry::init(&config.log)?;
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
        anyhow::ensure!(
            !tasks.failed(),
            "a background task failed; its reason is in the log above"
        );
        ended
    })
}

/// What every service does beside its work: heartbeats, and health where it does not serve HTTP by itself.
pub fn serve(kind: Kind, context: &Context, listen: Option<SocketAddr>) {
    context.spawn("heartbeat", crate::heartbeat::run(kind, context.clone()));
    context.spawn("health", health::probe(context.clone()));
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

/// Services may start before the database is up or migrated: they wait and say so.
async fn wait_for_schema(context: &Context) -> anyhow::Result<()> {
    loop {
        let asked = async {
            store::reach(&context.pool).await?;
            anyhow::Ok(store::with_timeout(Duration::from_secs(5), store::db::schema_accepted(&context.pool)).await?)
        };
        let accepted = tokio::select! {
            () = context.stopping().cancelled() => anyhow::bail!("stopped while waiting for the database"),
            accepted = asked => accepted,
        };
        match accepted {
            Ok(true) => return Ok(()),
            Ok(false) => {
                tracing::warn!("the database's schema is older than this program: waiting for `attune migrate`");
            }
            Err(error) => tracing::warn!(error = error_chain(&error), "waiting for the database"),
        }
        tokio::select! {
            () = context.stopping().cancelled() => anyhow::bail!("stopped while waiting for the database"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// A poll interval of 1 s ± 20 %.
pub fn poll_interval() -> Duration {
    jittered(Duration::from_secs(1))
}

/// About so long, ± 20 %, so that many processes do not look at the same instant.
pub fn jittered(span: Duration) -> Duration {
    span.mul_f64(rand::random_range(0.8..=1.2))
}
