//! `attune up`: all services as tasks of one process, on a private PostgreSQL.
//!
//! It says in plain words what it does. Whatever can be wrong about the surroundings (a taken port, a missing
//! PostgreSQL, a damaged folder) is found before anything runs, and told in one message.

use crate::{cli::Up, migrate, secrets};
use anyhow::Context as _;
use attune_api::auth::FirstAdmin;
use attune_common::{
    bus::{self, Bus, InProcessBus},
    config::Config,
    heartbeat,
    postgres::{self, Postgres},
    service::{Context, Kind, Tasks},
    store::db,
    telemetry,
};
use secrecy::SecretString;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Instant};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A person who presses Ctrl-C wants it to end soon.
const DRAIN_SECONDS: u64 = 5;
/// Four services share one pool.
const CONNECTIONS: u32 = 24;

pub fn run(options: &Up) -> anyhow::Result<()> {
    let mut config = Config::load(options.config.as_deref())?;
    config.log.level.clone_from(&options.log);
    config.worker.drain_seconds = config.worker.drain_seconds.min(DRAIN_SECONDS);
    config.database.connections_max = config.database.connections_max.max(CONNECTIONS);
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
    let listener = listen(config.api.listen).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    config.api.listen = address;
    std::fs::create_dir_all(&options.data_dir)
        .with_context(|| format!("failed to create the data directory {}", options.data_dir.display()))?;

    let postgres = match &config.database.url {
        Some(_) => None,
        None => Some(start_postgres(options).await?),
    };
    if let Some(postgres) = &postgres {
        config.database.url = Some(postgres.url().into());
    }
    let ended = serve(options, config, &tasks, listener, postgres.as_ref(), started).await;
    if let Some(postgres) = postgres {
        postgres.stop().await;
    }
    ended?;
    println!("Stopped. `attune up` continues where this ended.");
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("failed to listen on {address}; another program may use that port: choose one with --listen ADDR:PORT")
    })
}

async fn start_postgres(options: &Up) -> anyhow::Result<Postgres> {
    println!("Starting PostgreSQL in {} …", options.data_dir.display());
    let mut settings = postgres::Settings::new(&options.data_dir);
    settings.programs.clone_from(&options.postgres_bin);
    Ok(Postgres::start(&settings, |word| println!("  {word}")).await?)
}

async fn serve(
    options: &Up,
    mut config: Config,
    tasks: &Tasks,
    listener: TcpListener,
    postgres: Option<&Postgres>,
    started: Instant,
) -> anyhow::Result<()> {
    let pool = db::pool(config.database_url()?, "attune", config.database.connections_max)?;
    secrets::complete(&mut config.security, &options.data_dir)?;
    let admin = migrate::prepare(&pool, &config.packs, &config.security).await?;
    if let FirstAdmin::Created { password, .. } = &admin {
        secrets::keep_password(&options.data_dir, password)?;
    }
    let (bus_tasks, bus_stop) = (TaskTracker::new(), CancellationToken::new());
    let bus: Arc<dyn Bus> = match &config.message_queue.url {
        Some(_) => bus::connect(&config.message_queue, "attune", &bus_tasks, bus_stop.clone())?,
        None => Arc::new(InProcessBus::new()),
    };
    config
        .worker
        .spool_dir
        .get_or_insert_with(|| options.data_dir.join("spool"));
    let context = Context::new(Arc::new(config), pool, bus, tasks);
    if postgres.is_some() {
        // The lock of the data directory is ours: whoever held leases before is certainly gone.
        attune_worker::take_over(&context).await?;
    }
    start_services(&context, listener);
    welcome(options, &context, postgres, started);
    tokio::select! {
        () = context.stopping().cancelled() => {}
        last_words = ended(postgres) => {
            // Results go to the disk, and from there to the next run.
            tasks.finish().await;
            anyhow::bail!("PostgreSQL ended although nobody stopped it: {last_words}");
        }
    }
    println!("Stopping: running actions get {DRAIN_SECONDS} s to end …");
    tasks.finish().await;
    bus_stop.cancel();
    bus_tasks.close();
    bus_tasks.wait().await;
    context.pool.close().await;
    anyhow::ensure!(!tasks.failed(), "a service failed; its reason is in the log above");
    Ok(())
}

fn start_services(context: &Context, listener: TcpListener) {
    let (api, sensor, executor, worker) = (
        context.sibling(),
        context.sibling(),
        context.sibling(),
        context.sibling(),
    );
    for (kind, context) in [
        (Kind::Api, &api),
        (Kind::Sensor, &sensor),
        (Kind::Executor, &executor),
        (Kind::Worker, &worker),
    ] {
        context.spawn("heartbeat", heartbeat::run(kind, context.clone()));
    }
    context.spawn("health", attune_common::health::probe(context.clone()));
    context.spawn("api", attune_api::serve(api, listener));
    context.spawn("sensor", attune_sensor::run(sensor));
    context.spawn("executor", attune_executor::run(executor));
    context.spawn("worker", attune_worker::run(worker));
}

async fn ended(postgres: Option<&Postgres>) -> String {
    match postgres {
        Some(postgres) => postgres.ended().await,
        None => std::future::pending().await,
    }
}

/// What runs, where it is, and what to try next.
fn welcome(options: &Up, context: &Context, postgres: Option<&Postgres>, started: Instant) {
    let url = format!("http://{}", context.config.api.listen);
    let password = secrets::password_file(&options.data_dir);
    println!(
        "Attune is running: api, sensor, executor and worker, {:.1} s after the start.",
        started.elapsed().as_secs_f64()
    );
    println!();
    println!("  API        {url}   (documentation: {url}/api/docs, health: {url}/health)");
    println!("  data       {}", options.data_dir.display());
    if let Some(postgres) = postgres {
        println!("  database   psql '{}'", postgres.url());
    }
    println!(
        "  sign in    user admin, password in {}",
        shown(&password, context.config.security.admin_password.as_ref())
    );
    println!();
    println!("Try next, in another terminal:");
    println!(
        "  export ATTUNE_API_URL={url} ATTUNE_API_PASSWORD_FILE={}",
        password.display()
    );
    println!("  ./scripts/setup_timer_echo_rule.sh     # every 10 s a Hello World");
    println!("Ctrl-C stops everything.");
}

fn shown(file: &Path, given: Option<&SecretString>) -> String {
    match given {
        Some(_) if !file.exists() => "ATTUNE_ADMIN_PASSWORD, as given at the first start".to_owned(),
        _ => file.display().to_string(),
    }
}
