//! Start and stop of services.
//!
//! A service is `async fn run(Context) -> anyhow::Result<()>`: it works until [`Context::stopping`] and returns when it
//! has put everything down. [`main`] is the whole of a service's `main.rs`; `attune up` runs the same functions in one
//! process. The first signal stops softly, the second at once. A background task that ends early ends the process.

use crate::{
    bus::{self, Bus},
    config::{Config, variable},
    health::{self, Board},
    store, telemetry,
};
use anyhow::Context as _;
use clap::Parser;
use sqlx::PgPool;
use std::{fmt, net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Sensor,
    Executor,
    Worker,
    Api,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::Executor => "executor",
            Self::Worker => "worker",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What every service is given.
#[derive(Debug, Clone)]
pub struct Context {
    pub config: Arc<Config>,
    pub pool: PgPool,
    pub bus: Arc<dyn Bus>,
    /// This service in this process: the id under which it holds leases.
    pub instance: Uuid,
    pub health: Board,
    stop: CancellationToken,
    tracker: TaskTracker,
    failed: CancellationToken,
}

impl Context {
    pub fn new(config: Arc<Config>, pool: PgPool, bus: Arc<dyn Bus>, tasks: &Tasks) -> Self {
        Self {
            config,
            pool,
            bus,
            instance: Uuid::now_v7(),
            health: Board::default(),
            stop: tasks.stop.clone(),
            tracker: tasks.tracker.clone(),
            failed: tasks.failed.clone(),
        }
    }

    /// The same surroundings under another identity: for the next service of one process.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            instance: Uuid::now_v7(),
            ..self.clone()
        }
    }

    /// Cancelled when this process should stop.
    pub fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    pub fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Starts a background task. It ends when [`Self::stopping`] says so; an error or an early end stops the process.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        self.tracker.spawn(async move {
            let ended = task.await;
            match ended {
                Ok(()) if stop.is_cancelled() => return,
                Ok(()) => tracing::error!(task = name, "a background task ended early"),
                Err(error) => tracing::error!(task = name, error = error_chain(&error), "a background task failed"),
            }
            failed.cancel();
            stop.cancel();
        });
    }
}

/// The tasks of one process: who stops them, and whether one failed.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    pub stop: CancellationToken,
    pub tracker: TaskTracker,
    failed: CancellationToken,
}

impl Tasks {
    /// Stops softly at the first SIGINT or SIGTERM and exits at the second.
    pub fn stop_on_signals(&self) -> anyhow::Result<()> {
        let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
        let stop = self.stop.clone();
        // Nobody waits for this task: it listens until the very end.
        TaskTracker::new().spawn(async move {
            let mut next = async || tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} };
            tokio::select! { () = next() => {} () = stop.cancelled() => {} }
            tracing::info!("stopping; a second signal stops at once");
            stop.cancel();
            next().await;
            abandon();
        });
        Ok(())
    }

    pub fn failed(&self) -> bool {
        self.failed.is_cancelled()
    }

    /// Waits until every task has ended.
    pub async fn finish(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the second signal asks for exactly this")]
fn abandon() {
    std::process::exit(130);
}

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
            () = context.stop.cancelled() => anyhow::bail!("stopped while waiting for the database"),
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
            () = context.stop.cancelled() => anyhow::bail!("stopped while waiting for the database"),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
    }
}

/// An error with its causes. Those that an error tells by itself are not told again.
pub fn error_chain(error: &anyhow::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.last().is_none_or(|last| !last.ends_with(&cause)) {
            words.push(cause);
        }
    }
    words.join(": ")
}

/// Where this process runs, for people.
pub fn host() -> String {
    variable("HOSTNAME")
        .or_else(|| {
            std::fs::read_to_string("/etc/hostname")
                .ok()
                .map(|name| name.trim().to_owned())
        })
        .unwrap_or_else(|| "localhost".to_owned())
}

/// A poll interval of 1 s ± 20 %.
pub fn poll_interval() -> Duration {
    jittered(Duration::from_secs(1))
}

/// About so long, ± 20 %, so that many processes do not look at the same instant.
pub fn jittered(span: Duration) -> Duration {
    span.mul_f64(rand::random_range(0.8..=1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let cause = || std::io::Error::other("the disk is full");
        let error = anyhow::Error::new(cause()).context("failed to write");
        assert_eq!(error_chain(&error), "failed to write: the disk is full");
        let error = anyhow::Error::new(sqlx::Error::Io(cause())).context("failed to ask");
        let sqlx_words = "error communicating with database: the disk is full";
        assert_eq!(error_chain(&error), format!("failed to ask: {sqlx_words}"));
    }
}
