//! What is measured: a private PostgreSQL that flushes every commit, and the services as `attune up` starts them.
//!
//! Services are started and stopped by the suites, so that a start can be measured and a backlog can be made without a
//! worker. The queries of the benchmark itself use a separate pool.

use crate::measure;
use crate::options::Options;
use anyhow::Context as _;
use attune::{platform::Platform, secrets};
use attune_common::{
    config::Config,
    postgres::{self, Postgres},
    service::{Context, Tasks},
    store::{PgPool, db},
    telemetry,
};
use chrono::{DateTime, Utc};
use std::{
    fs::Permissions,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

/// How long the services may take to answer for the first time.
const READY_WITHIN: Duration = Duration::from_secs(60);

pub struct Testbed {
    pub options: Options,
    /// The benchmark's own connections.
    pub pool: PgPool,
    pub url: String,
    pub client: reqwest::Client,
    /// From a PostgreSQL that answers to services that do, on an empty database: schema, core pack, first admin.
    pub first_start: Duration,
    config: Config,
    folder: Folder,
    marks: Folder,
    postgres: Option<Postgres>,
    running: Option<Running>,
}

struct Running {
    platform: Platform,
    address: Option<SocketAddr>,
}

impl Testbed {
    pub async fn open(options: Options) -> anyhow::Result<Self> {
        let mut config = Config::default();
        config.log.level.clone_from(&options.log);
        config.worker.drain_seconds = 5;
        config.worker.http.allow_private = "127.0.0.1".parse().map_err(anyhow::Error::msg)?;
        config.api.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        config.api.requests_per_second = u32::MAX;
        config.message_queue.url = options.amqp_url.as_deref().map(Into::into);
        telemetry::init(&config.log)?;
        let postgres = match (&options.database_url, &options.data_dir) {
            (Some(_), _) => None,
            (None, Some(folder)) => {
                let settings = postgres::Settings {
                    counting: true,
                    ..postgres::Settings::new(folder)
                };
                Some(Postgres::start(&settings, |_| {}).await?)
            }
            (None, None) => Some(Postgres::temporary_durable().await?),
        };
        let url = match (&options.database_url, &postgres) {
            (Some(url), _) => url.clone(),
            (None, Some(postgres)) => postgres.url(),
            (None, None) => anyhow::bail!("no database is configured"),
        };
        config.database.url = Some(url.as_str().into());
        let folder = Folder::find(&options, postgres.as_ref())?;
        // Actions of every user write here and cannot list it.
        let marks = Folder::temporary(0o711)?;
        config.worker.writable.push(marks.path.clone());
        let mut testbed = Self {
            pool: db::pool(config.database_url()?, "attune-bench", 34)?,
            client: reqwest::Client::builder()
                .no_proxy()
                .timeout(READY_WITHIN)
                .build()
                .context("no HTTP client")?,
            first_start: Duration::ZERO,
            options,
            url,
            config,
            folder,
            marks,
            postgres,
            running: None,
        };
        testbed.first_start = testbed.start().await?;
        measure::make_pack(&testbed.pool).await?;
        measure::make_schema(&testbed.pool).await?;
        Ok(testbed)
    }

    /// Starts all services. Returns how long it took until the API answered.
    pub async fn start(&mut self) -> anyhow::Result<Duration> {
        let started = Instant::now();
        let platform = self.prepare().await?;
        let listener = TcpListener::bind(self.config.api.listen)
            .await
            .context("no port is free")?;
        let address = listener.local_addr().context("the listener has no address")?;
        platform.start_all(listener);
        self.running = Some(Running {
            platform,
            address: Some(address),
        });
        loop {
            let answer = self.client.get(self.api("/health/live")?).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(started.elapsed());
            }
            anyhow::ensure!(
                started.elapsed() < READY_WITHIN,
                "the API did not answer within {READY_WITHIN:?}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts the executor alone: events are decided, and nothing runs.
    pub async fn start_executor(&mut self) -> anyhow::Result<()> {
        let platform = self.prepare().await?;
        platform.start_executor();
        self.running = Some(Running {
            platform,
            address: None,
        });
        Ok(())
    }

    /// Starts only the pool and the bus: events can be submitted, and nothing here processes them.
    pub async fn start_bus(&mut self) -> anyhow::Result<()> {
        let platform = self.prepare().await?;
        self.running = Some(Running {
            platform,
            address: None,
        });
        Ok(())
    }

    /// The environment variables of a service in a separate process with its own folder.
    pub fn environment(&self, folder: &Path) -> anyhow::Result<Vec<(&'static str, String)>> {
        let amqp = self.options.amqp_url.as_deref().context("no RabbitMQ is configured")?;
        let key = || format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        Ok(vec![
            ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("ATTUNE__DATABASE__URL", self.url.clone()),
            ("ATTUNE__MESSAGE_QUEUE__URL", amqp.to_owned()),
            (
                "ATTUNE__MESSAGE_QUEUE__NAMESPACE",
                self.config.message_queue.namespace.clone(),
            ),
            ("ATTUNE__SECURITY__JWT_SECRET", key()),
            ("ATTUNE__SECURITY__ENCRYPTION_KEY", key()),
            ("ATTUNE__LOG__LEVEL", self.options.log.clone()),
            ("ATTUNE__API__LISTEN", "127.0.0.1:0".to_owned()),
            ("ATTUNE__WORKER__SPOOL_DIR", folder.display().to_string()),
        ])
    }

    async fn prepare(&self) -> anyhow::Result<Platform> {
        anyhow::ensure!(self.running.is_none(), "the services are running already");
        Platform::prepare(
            self.config.clone(),
            &Tasks::default(),
            &self.folder.path,
            self.postgres.is_some(),
        )
        .await
    }

    pub async fn stop(&mut self) -> anyhow::Result<()> {
        match self.running.take() {
            Some(running) => running.platform.stop().await,
            None => Ok(()),
        }
    }

    /// Stops everything and puts away what was made.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.stop().await?;
        if self.postgres.is_none() || self.options.data_dir.is_some() {
            measure::remove_all(&self.pool).await?;
        }
        self.pool.close().await;
        if let Some(postgres) = self.postgres.take() {
            postgres.stop().await;
        }
        Ok(())
    }

    /// The surroundings of the running services.
    pub fn context(&self) -> anyhow::Result<&Context> {
        let running = self.running.as_ref().context("no service is running")?;
        Ok(&running.platform.context)
    }

    pub fn api(&self, path: &str) -> anyhow::Result<String> {
        let address = self.running.as_ref().and_then(|running| running.address);
        Ok(format!("http://{}{path}", address.context("the API is not running")?))
    }

    /// The first admin's password, where it is ours.
    pub fn password(&self) -> Option<String> {
        let text = std::fs::read_to_string(secrets::password_file(&self.folder.path)).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// The folder into which actions may write.
    pub fn marks(&self) -> &Path {
        &self.marks.path
    }

    /// A folder that is removed at the end of the run, unless it was given as an option.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }

    pub async fn now(&self) -> anyhow::Result<DateTime<Utc>> {
        db::now(&self.pool).await.context("failed to read the database's clock")
    }

    pub fn seconds(&self) -> Duration {
        Duration::from_secs(self.options.seconds)
    }

    /// Waits until nothing waits and nothing runs.
    pub async fn until_idle(&self, within: Duration) -> anyhow::Result<()> {
        let started = Instant::now();
        while !measure::is_idle(&self.pool).await? {
            anyhow::ensure!(started.elapsed() < within, "work was still pending after {within:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

/// Where secrets lie, or the pipe of the actions.
struct Folder {
    path: PathBuf,
    /// Made here, so removed here.
    ours: bool,
}

impl Folder {
    fn find(options: &Options, postgres: Option<&Postgres>) -> anyhow::Result<Self> {
        if let Some(folder) = &options.data_dir {
            std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
            let path = folder.canonicalize().context("the data directory cannot be found")?;
            return Ok(Self { path, ours: false });
        }
        if let Some(folder) = postgres.and_then(|postgres| postgres.folder().parent()) {
            return Ok(Self {
                path: folder.to_owned(),
                ours: false,
            });
        }
        Self::temporary(0o700)
    }

    fn temporary(mode: u32) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("attune-bench-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path)
            .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(mode)))
            .with_context(|| format!("failed to create {}", path.display()))?;
        Ok(Self { path, ours: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.ours {
            // Leftovers in a temporary folder do no harm.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
