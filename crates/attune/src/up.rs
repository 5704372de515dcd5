//! `attune up`: all services as tasks of one process, on a private PostgreSQL.
//!
//! It describes what it does. Problems of the environment (a port in use, a missing PostgreSQL, a damaged directory) are
//! detected before anything runs, and reported in one message.

use crate::{browser, cli::Up, ctx::local, keeper::Keeper, platform::Platform, sign_in::SignIn};
use anyhow::Context as _;
use attune_common::{
    config::Config,
    postgres::{self, Postgres},
    private_files,
    service::{Context, Tasks, close_to_others},
    telemetry,
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs::DirBuilder,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// After Ctrl-C the process should end soon.
const DRAIN_SECONDS: u64 = 5;
/// A lost connection is noticed before the end of the server, but not longer than this.
const NOTICE_DELAY: Duration = Duration::from_millis(300);

pub fn run(options: &Up) -> anyhow::Result<()> {
    close_to_others();
    let mut config = Config::load(options.config.as_deref())?;
    config.log.level.clone_from(&options.log);
    config.worker.drain_seconds = config.worker.drain_seconds.min(DRAIN_SECONDS);
    if let Some(listen) = options.listen {
        config.api.listen = listen;
    }
    if let Some(url) = &options.database_url {
        config.database.url = Some(url.as_str().into());
    }
    if let Some(url) = &options.amqp_url {
        config.message_queue.url = Some(url.as_str().into());
    }
    telemetry::init(&config.log)?;
    let _exporting = telemetry::export(&config.telemetry, "attune")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    runtime.block_on(start(options, config))
}

async fn start(options: &Up, mut config: Config) -> anyhow::Result<()> {
    let started = Instant::now();
    let tasks = Tasks::default();
    tasks.stop_on_signals()?;
    // First, because another `attune up` uses the port as well, and its data directory names the process.
    postgres::check_free(&options.data_dir)?;
    let listener = listen(config.api.listen).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    config.api.listen = address;
    // It contains the generated password and keys.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&options.data_dir)
        .with_context(|| format!("failed to create the data directory {}", options.data_dir.display()))?;
    private_files::restrict_folder(&options.data_dir)
        .with_context(|| format!("failed to set the modes in {}", options.data_dir.display()))?;

    let postgres = match &config.database.url {
        Some(_) => None,
        None => Some(Keeper::start(start_postgres(options).await?)),
    };
    if let Some(postgres) = &postgres {
        config.database.url = Some(postgres.url().into());
    }
    let ended = serve(options, config, &tasks, listener, postgres.as_ref(), started).await;
    if let Some(postgres) = postgres {
        postgres.stop().await;
    }
    ended?;
    println!("Stopped. The next `attune up` continues from here.");
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address} (choose another address with --listen HOST:PORT)"))
}

async fn start_postgres(options: &Up) -> anyhow::Result<Postgres> {
    println!("Starting PostgreSQL in {} …", options.data_dir.display());
    let mut settings = postgres::Settings::new(&options.data_dir);
    settings.programs.clone_from(&options.postgres_bin);
    Ok(Postgres::start(&settings, |line| println!("  {line}")).await?)
}

async fn serve(
    options: &Up,
    config: Config,
    tasks: &Tasks,
    listener: TcpListener,
    postgres: Option<&Keeper>,
    started: Instant,
) -> anyhow::Result<()> {
    let platform = prepare(options, &config, tasks, postgres).await?;
    platform.start_all(listener);
    let context = platform.context.clone();
    if let Some(postgres) = postgres {
        context.spawn("postgres", postgres.report(context.clone()));
    }
    let data_dir = data_dir(options);
    let url = format!("http://{}", context.config.api.listen);
    if let Err(error) = local::write(&context.pool, &data_dir, &url).await {
        tracing::warn!(
            error = format!("{error:#}"),
            "failed to write cli.json; commands on this machine need a sign-in"
        );
    }
    // An incomplete banner must not stop the running services.
    let sign_in = SignIn::of(&context, &data_dir).await.unwrap_or(SignIn::Changed);
    let link = browser::link(&context).await.unwrap_or_else(|error| {
        tracing::warn!(error = format!("{error:#}"), "failed to create a sign-in link");
        None
    });
    welcome(&data_dir, &context, postgres, started, &sign_in, link.as_ref());
    if let Some(link) = link.filter(|_| options.open)
        && let Err(error) = browser::open(&link)
    {
        println!("{error:#}");
    }
    for pack in platform.broken_packs() {
        println!();
        println!("The pack in {} is invalid and was not loaded:", pack.folder.display());
        for error in &pack.errors {
            println!("  {error}");
        }
        println!(
            "Fix it, check it with `attune pack check {0}`, and load it with `attune pack load {0}`, or restart.",
            pack.folder.display()
        );
    }
    tokio::select! {
        () = context.stopping().cancelled() => {}
        reason = postgres_failed(postgres) => {
            // Results are spooled to disk and delivered by the next run.
            tasks.finish().await;
            anyhow::bail!(reason);
        }
    }
    println!("Stopping; running actions have {DRAIN_SECONDS} s to end …");
    platform.stop().await
}

/// Prepares the database. Starts over when the server ends meanwhile, because every step is idempotent.
async fn prepare(options: &Up, config: &Config, tasks: &Tasks, postgres: Option<&Keeper>) -> anyhow::Result<Platform> {
    loop {
        let restarts = postgres.map(Keeper::restarts);
        let prepared = Platform::prepare(config.clone(), tasks, &options.data_dir, postgres.is_some()).await;
        if prepared.is_err() && postgres.is_some() {
            tokio::time::sleep(NOTICE_DELAY).await;
        }
        match (prepared, postgres) {
            (Err(error), Some(postgres)) if !postgres.is_up() || Some(postgres.restarts()) != restarts => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "PostgreSQL ended during the preparation of the database; retrying"
                );
                postgres.up().await?;
            }
            (prepared, _) => return prepared,
        }
    }
}

async fn postgres_failed(postgres: Option<&Keeper>) -> String {
    match postgres {
        Some(postgres) => postgres.failed().await,
        None => std::future::pending().await,
    }
}

/// The absolute path, for use in another terminal.
fn data_dir(options: &Up) -> PathBuf {
    std::path::absolute(&options.data_dir).unwrap_or_else(|_| options.data_dir.clone())
}

/// Prints what runs, its addresses, and what to try next.
fn welcome(
    data_dir: &Path,
    context: &Context,
    postgres: Option<&Keeper>,
    started: Instant,
    sign_in: &SignIn,
    link: Option<&SecretString>,
) {
    let url = format!("http://{}", context.config.api.listen);
    println!(
        "Attune is running: api, sensor, executor and worker, {:.1} s after the start.",
        started.elapsed().as_secs_f64()
    );
    println!();
    if let Some(link) = link {
        println!("  Open       {}   (works once, for 10 minutes)", link.expose_secret());
    }
    println!("  API        {url}   (documentation: {url}/api/docs, health: {url}/health)");
    println!("  data       {}", data_dir.display());
    if let Some(postgres) = postgres {
        println!("  database   psql '{}'", postgres.shown_url());
    }
    println!("  sign in    {}", sign_in.describe());
    println!();
    println!("To try it, run in another terminal:");
    println!(
        "  attune quick --every 10s --data-dir {} -- echo hello",
        data_dir.display()
    );
    println!("or, in the source directory of Attune:");
    println!("  export ATTUNE_API_URL={url} {}", sign_in.variables());
    println!("  ./scripts/setup_timer_echo_rule.sh     # prints Hello World every 10 s");
    println!("Ctrl-C stops everything.");
}
