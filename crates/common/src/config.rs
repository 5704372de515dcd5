//! Configuration: defaults, then a file, then variables `ATTUNE__SECTION__KEY`. Unknown keys are errors.
//!
//! Only this module reads the environment. Secrets are [`SecretString`]s: they never appear in a log.

mod environment;
mod executor;
mod private;
mod retention;
mod values;
mod worker;

pub use environment::variable;
pub use executor::{Executor, Limits};
pub use values::listen_address;
pub use worker::{RunActionsAs, WorkerHttp, WorkerPython};

use crate::network::Networks;
use anyhow::Context as _;
use attune_domain::resources::Resources;
use secrecy::SecretString;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub database: Database,
    pub message_queue: MessageQueue,
    pub api: Api,
    pub security: Security,
    pub sensor: Sensor,
    pub executor: Executor,
    pub worker: Worker,
    pub packs: Packs,
    pub retention: Retention,
    pub limits: Limits,
    pub log: Log,
    pub telemetry: Telemetry,
    /// The file with the first admin's generated password. Removed when that password changes.
    #[serde(skip)]
    generated_password: Option<PathBuf>,
    #[serde(skip)]
    private: Vec<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://user:password@host:port/name`.
    pub url: Option<SecretString>,
    /// Connections in the pool of each service. Time-critical work uses additional dedicated connections: api 1, executor 2,
    /// worker 3.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 10_000>")]
    pub connections_max: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: None,
            connections_max: 10,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MessageQueue {
    /// `amqp://user:password@host:port/vhost`.
    pub url: Option<SecretString>,
    /// The first part of the name of every exchange and queue. Installations that share a virtual host need different ones.
    pub namespace: String,
}

impl Default for MessageQueue {
    fn default() -> Self {
        Self {
            url: None,
            namespace: "attune".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Where the API listens: an address or a host name, and a port.
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// The address that people use, for links such as webhook URLs. Default: `http://<listen>`.
    #[serde(deserialize_with = "values::public_url")]
    pub public_url: Option<String>,
    /// Requests per second of an authenticated caller, with a burst of four seconds; 0 disables the limit. Webhooks have the limit of
    /// their trigger instead.
    #[serde(deserialize_with = "values::whole::<_, _, 0, 1_000_000>")]
    pub requests_per_second: u32,
    /// Reverse proxies in front of the API: addresses or CIDRs. The client's address is read from their `Forwarded` or
    /// `X-Forwarded-For` header. The headers of other clients are ignored.
    pub trusted_proxies: Networks,
    /// The header that the trusted proxies set.
    pub forwarded_header: ForwardedHeader,
    /// Open connections of all clients together; fewer if the process may not open as many files.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 1_000_000>")]
    pub connections_max: u32,
    /// Open connections from one address. Trusted proxies have no such limit.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 1_000_000>")]
    pub connections_per_peer_max: u32,
}

/// The header of a trusted proxy that contains the client's address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// Whichever is present. If both are present and contain different clients, both are ignored.
    #[default]
    Auto,
    /// `Forwarded` (RFC 7239).
    Forwarded,
    XForwardedFor,
}

impl Default for Api {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            requests_per_second: 1000,
            trusted_proxies: Networks::default(),
            forwarded_header: ForwardedHeader::default(),
            connections_max: 4096,
            connections_per_peer_max: 512,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Signs access tokens; at least 32 bytes of randomness.
    pub jwt_secret: Option<SecretString>,
    /// The key before the last rotation: only verifies.
    pub jwt_secret_previous: Option<SecretString>,
    /// Encrypts secrets at rest; at least 32 bytes of randomness.
    pub encryption_key: Option<SecretString>,
    /// The key before the last rotation: only decrypts. Not needed after `attune reseal`.
    pub encryption_key_previous: Option<SecretString>,
    /// The first admin's password (`ATTUNE_ADMIN_PASSWORD`, or `…_FILE`). Default: generated.
    pub admin_password: Option<SecretString>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sensor {
    /// The address of the sensor's health endpoint, if it runs as a separate service.
    #[serde(deserialize_with = "values::optional_listen")]
    pub listen: Option<SocketAddr>,
    /// The directories that file watches may read, with everything below them. Default: none; with `attune up`, all.
    #[serde(deserialize_with = "values::optional_list")]
    pub file_roots: Option<Vec<PathBuf>>,
    /// The maximum number of files of one file watch.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 10_000_000>")]
    pub files_max: usize,
}

impl Default for Sensor {
    fn default() -> Self {
        Self {
            listen: None,
            file_roots: None,
            files_max: 100_000,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// The address of the worker's health endpoint, if it runs as a separate service.
    #[serde(deserialize_with = "values::optional_listen")]
    pub listen: Option<SocketAddr>,
    /// The pool whose executions this worker claims.
    pub pool: String,
    /// Opens secrets: the private key of the pool, 32 random bytes in hexadecimal, the same for all workers of the pool.
    pub pool_key: Option<SecretString>,
    /// The key before the last rotation: only opens. Not needed after `attune reseal`.
    pub pool_key_previous: Option<SecretString>,
    /// How many actions run at the same time. Default: 16 for each processor.
    #[serde(deserialize_with = "values::optional_whole::<_, _, 1, 10_000>")]
    pub slots: Option<usize>,
    /// An execution whose worker has not renewed its lease within this time is rescued. Leases are renewed three times as often.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 86_400>")]
    pub lease_seconds: u64,
    /// How long a worker that shuts down waits for its actions.
    #[serde(deserialize_with = "values::whole::<_, _, 0, 86_400>")]
    pub drain_seconds: u64,
    /// The time between SIGTERM and SIGKILL.
    #[serde(deserialize_with = "values::whole::<_, _, 0, 86_400>")]
    pub kill_grace_seconds: u64,
    /// Where scratch directories of actions are created. Default: the system's temporary folder. A starting worker removes what
    /// dead workers of the same database left there.
    pub work_dir: Option<PathBuf>,
    /// Where results wait while the database is unavailable, and where the journal of the worker is. A starting worker writes the
    /// results that it finds here, and resolves what the journals of dead workers with the same `work_dir` show. Default:
    /// `spool` in `work_dir`, or a private folder in the system's temporary folder.
    pub spool_dir: Option<PathBuf>,
    /// The most megabytes of unpacked packs that are kept in `packs` in `work_dir`. More are kept while executions run with them.
    pub pack_cache_mb: u64,
    /// The user that actions run as: `isolated`, `service` or `root`.
    pub run_actions_as: RunActionsAs,
    /// A worker that runs as root gives each running action its own user id, starting with this one.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 4_294_900_000>")]
    pub uid_base: u32,
    /// Additional paths that actions may read if they run as the worker's user (Landlock).
    #[serde(deserialize_with = "values::list")]
    pub readable: Vec<PathBuf>,
    /// Additional paths that actions may read and write if they run as the worker's user (Landlock).
    #[serde(deserialize_with = "values::list")]
    pub writable: Vec<PathBuf>,
    /// Paths inside readable folders that actions must not read (Landlock).
    #[serde(deserialize_with = "values::list")]
    pub hidden: Vec<PathBuf>,
    /// Variables of the worker's environment that are passed to actions.
    #[serde(deserialize_with = "values::list")]
    pub pass_env: Vec<String>,
    /// Default resource limits of actions.
    #[serde(deserialize_with = "values::resources")]
    pub resources: Resources,
    /// The maximum that an action may request.
    #[serde(deserialize_with = "values::resources")]
    pub resources_max: Resources,
    pub http: WorkerHttp,
    pub python: WorkerPython,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            listen: None,
            pool: "default".to_owned(),
            pool_key: None,
            pool_key_previous: None,
            slots: None,
            lease_seconds: 30,
            drain_seconds: 30,
            kill_grace_seconds: 10,
            work_dir: None,
            spool_dir: None,
            pack_cache_mb: 1_024,
            run_actions_as: RunActionsAs::Isolated,
            uid_base: 70_000,
            readable: Vec::new(),
            writable: Vec::new(),
            hidden: Vec::new(),
            pass_env: Vec::new(),
            resources: Resources {
                memory_mb: Some(2_048),
                cpu: None,
                processes: Some(512),
                files: Some(1_024),
            },
            resources_max: Resources {
                memory_mb: Some(16_384),
                cpu: None,
                processes: Some(4_096),
                files: Some(65_536),
            },
            http: WorkerHttp::default(),
            python: WorkerPython::default(),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Packs {
    /// Folders of packs to load at start, in addition to the built-in core pack. In the environment: `a,b`, or a JSON list.
    #[serde(deserialize_with = "values::list")]
    pub load: Vec<PathBuf>,
}

/// How many days of history are retained; the same for all executors. A missing setting leaves the database's value unchanged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Events and their decisions; initially 30.
    #[serde(deserialize_with = "values::optional_whole::<_, _, 1, 65_535>")]
    pub events_days: Option<u16>,
    /// Enforcements, executions and their attempts; initially 90.
    #[serde(deserialize_with = "values::optional_whole::<_, _, 1, 65_535>")]
    pub executions_days: Option<u16>,
    /// The output of actions; initially 14.
    #[serde(deserialize_with = "values::optional_whole::<_, _, 1, 65_535>")]
    pub logs_days: Option<u16>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A filter such as `info` or `attune_executor=debug,info`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The collector that receives spans, by OTLP over HTTP: `http://127.0.0.1:4318`. Requires the feature `otlp`.
    pub otlp_endpoint: Option<String>,
}

impl Config {
    /// Reads defaults, the file if there is one, and the environment.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        let mut config = Self::read(builder.add_source(environment::source()))?;
        if config.security.admin_password.is_none() {
            config.security.admin_password = environment::admin_password()?;
        }
        config.private.extend(file.map(Path::to_owned));
        config
            .private
            .extend(variable("ATTUNE_ADMIN_PASSWORD_FILE").map(PathBuf::from));
        Ok(config)
    }

    /// Reads defaults and these variables, as if they were the complete environment.
    pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> anyhow::Result<Self> {
        let variables = environment::source().source(Some(variables.into_iter().collect()));
        Self::read(config::Config::builder().add_source(variables))
    }

    fn read(builder: config::ConfigBuilder<config::builder::DefaultState>) -> anyhow::Result<Self> {
        builder
            .build()
            .and_then(config::Config::try_deserialize)
            .context("failed to read the configuration")
    }

    pub fn database_url(&self) -> anyhow::Result<&SecretString> {
        self.database.url.as_ref().context(
            "database.url is missing; set ATTUNE__DATABASE__URL, for example to postgres://attune:…@localhost/attune",
        )
    }
}
