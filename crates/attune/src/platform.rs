//! All services as tasks of this process, on one pool and one bus: what `attune up` runs and `attune-bench` measures.
//!
//! The tricky thing is the order: the database is migrated before anything queries it, and the bus stops after the services,
//! because they still publish messages while they stop.

use crate::{
    migrate::{self, Prepared},
    secrets,
};
use attune_api::auth::FirstAdmin;
use attune_common::{
    bus::{self, Bus, InProcessBus},
    config::Config,
    health::{self, Status},
    heartbeat,
    packs::{self, Broken},
    service::{Context, Kind, Tasks, every},
    store::{db, file_watch},
};
use serde_json::json;
use std::{path::Path, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Mutex};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Four services share one pool.
const CONNECTIONS: u32 = 24;
const REPORT_PERIOD: Duration = Duration::from_secs(1);

pub struct Platform {
    pub context: Context,
    tasks: Tasks,
    bus_tasks: TaskTracker,
    bus_stop: CancellationToken,
    broken_packs: Vec<Broken>,
}

impl Platform {
    /// Prepares everything that services need: secrets, schema, packs, the first admin, the bus. `alone`: all earlier holders
    /// of leases in this database are certainly gone, because this process holds the lock of its data directory.
    pub async fn prepare(mut config: Config, tasks: &Tasks, data_dir: &Path, alone: bool) -> anyhow::Result<Self> {
        config.database.connections_max = config.database.connections_max.max(CONNECTIONS);
        let pool = db::pool(config.database_url()?, "attune", config.database.connections_max)?;
        secrets::complete(&mut config, data_dir)?;
        let Prepared { admin, broken } = migrate::prepare(&pool, &config.packs, &config.security).await?;
        // A configured password is known already.
        if let FirstAdmin::Created { password, .. } = &admin
            && config.security.admin_password.is_none()
        {
            secrets::keep_password(data_dir, password)?;
        }
        config.keep_generated_password(secrets::password_file(data_dir));
        let (bus_tasks, bus_stop) = (TaskTracker::new(), CancellationToken::new());
        let bus: Arc<dyn Bus> = match &config.message_queue.url {
            Some(_) => bus::connect(&config.message_queue, "attune", &bus_tasks, bus_stop.clone())?,
            None => Arc::new(InProcessBus::new()),
        };
        config.keep_private(data_dir);
        config.sensor.file_roots.get_or_insert_with(|| vec!["/".into()]);
        config.worker.spool_dir.get_or_insert_with(|| data_dir.join("spool"));
        let context = Context::new(Arc::new(config), pool, bus, tasks);
        if alone {
            attune_worker::take_over(&context).await?;
            file_watch::release_all(&context.pool).await?;
        }
        Ok(Self {
            context,
            tasks: tasks.clone(),
            bus_tasks,
            bus_stop,
            broken_packs: broken,
        })
    }

    /// Configured packs that could not be loaded.
    pub fn broken_packs(&self) -> &[Broken] {
        &self.broken_packs
    }

    /// Starts all services. The API serves on `listener`.
    pub fn start_all(&self, listener: TcpListener) {
        let api = self.context_of(Kind::Api);
        self.context.spawn("api", attune_api::serve(api, listener));
        self.start_sensor();
        self.start_executor();
        self.start_worker();
        if !self.broken_packs.is_empty() {
            let broken = Arc::new(Mutex::new(self.broken_packs.clone()));
            every(&self.context, "packs", REPORT_PERIOD, move |context| {
                report_packs(context, Arc::clone(&broken))
            });
        }
        every(&self.context, "health", health::PROBE_PERIOD, health::probe);
    }

    pub fn start_sensor(&self) {
        let sensor = self.context_of(Kind::Sensor);
        self.context.spawn("sensor", attune_sensor::run(sensor));
    }

    pub fn start_executor(&self) {
        let executor = self.context_of(Kind::Executor);
        self.context.spawn("executor", attune_executor::run(executor));
    }

    pub fn start_worker(&self) {
        let worker = self.context_of(Kind::Worker);
        self.context.spawn("worker", attune_worker::run(worker));
    }

    /// The context of one service, with its heartbeat.
    fn context_of(&self, kind: Kind) -> Context {
        let context = self.context.sibling();
        context.spawn("heartbeat", heartbeat::run(kind, context.clone()));
        context
    }

    /// Stops all services, and then the bus and the pool.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.tasks.finish().await;
        self.bus_stop.cancel();
        self.bus_tasks.close();
        self.bus_tasks.wait().await;
        db::close(&self.context.pool).await;
        anyhow::ensure!(!self.tasks.failed(), "a service failed; see the log above");
        Ok(())
    }
}

/// Degraded as long as a configured pack is not loaded: until `attune pack load` has loaded it.
async fn report_packs(context: Context, broken: Arc<Mutex<Vec<Broken>>>) {
    let mut broken = broken.lock().await;
    let mut still = Vec::new();
    for pack in broken.drain(..) {
        match packs::is_loaded(&context.pool, &pack.folder).await {
            Ok(Ok(true)) => tracing::info!(folder = %pack.folder.display(), "the broken pack was repaired and loaded"),
            Ok(Ok(false)) => still.push(Broken::repaired(&pack.folder)),
            Ok(Err(pack)) => still.push(pack),
            Err(error) => {
                tracing::debug!(error = format!("{error:#}"), "failed to check a broken pack; retrying");
                still.push(pack);
            }
        }
    }
    let status = if still.is_empty() { Status::Ok } else { Status::Degraded };
    context.health.report("packs", status, json!({"broken": &still}));
    *broken = still;
}
