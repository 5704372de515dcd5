//! Configuration: commented defaults, then a file, then `ATTUNE__SECTION__KEY`. Unknown keys are errors.
//!
//! The environment is read here only. Secrets are [`SecretString`]s: they never appear in a log or in `attune config`.

mod environment;
mod private;
mod values;

pub use values::listen_address;

use crate::network::Networks;
use anyhow::Context as _;
use attune_domain::resources::Resources;
use secrecy::SecretString;
use serde::Deserialize;
use std::{
    net::SocketAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
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
    pub log: Log,
    pub telemetry: Telemetry,
    /// Holds the first admin's generated password; removed when that password changes.
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
    /// Connections in the pool of each service. What must not wait has its own beside it: api 1, executor 2, worker 3.
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
    /// The first part of the name of every exchange and queue: installations that share a virtual host differ here.
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
    pub public_url: Option<String>,
    /// Requests per second of a caller who is signed in, with a burst of four seconds; 0 is no limit.
    pub requests_per_second: u32,
    /// Reverse proxies in front of the API: addresses or CIDRs. The client's address is read from their `Forwarded` or
    /// `X-Forwarded-For` header. Headers of anybody else are ignored.
    pub trusted_proxies: Networks,
    /// The header that the trusted proxies write.
    pub forwarded_header: ForwardedHeader,
    /// Open connections of all clients together; fewer when the process may not open as many files.
    pub connections_max: u32,
    /// Open connections from one address. A trusted proxy has no such limit.
    pub connections_per_peer_max: u32,
}

/// Which header of a trusted proxy names the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// The one that is there. When both are there and name different clients, neither is believed.
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
    /// The key before the last rotation: still verifies, never signs.
    pub jwt_secret_previous: Option<SecretString>,
    /// Encrypts secrets at rest; at least 32 bytes of randomness.
    pub encryption_key: Option<SecretString>,
    /// The key before the last rotation: still opens, never seals. `attune reseal` makes it unnecessary.
    pub encryption_key_previous: Option<SecretString>,
    /// The first admin's password (`ATTUNE_ADMIN_PASSWORD`, or `…_FILE`). Default: generated.
    pub admin_password: Option<SecretString>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sensor {
    /// The sensor's health endpoint, when it runs as a service of its own.
    #[serde(deserialize_with = "values::optional_listen")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Executor {
    /// The executor's health endpoint, when it runs as a service of its own.
    #[serde(deserialize_with = "values::optional_listen")]
    pub listen: Option<SocketAddr>,
    /// How often lost work is looked for.
    pub reap_seconds: u64,
    /// Events that an executor took and has not decided in so long are taken by another.
    pub lease_seconds: u64,
}

impl Default for Executor {
    fn default() -> Self {
        Self {
            listen: None,
            reap_seconds: 5,
            lease_seconds: 30,
        }
    }
}

impl Executor {
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.max(1))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// The worker's health endpoint, when it runs as a service of its own.
    #[serde(deserialize_with = "values::optional_listen")]
    pub listen: Option<SocketAddr>,
    /// The pool whose executions this worker takes.
    pub pool: String,
    /// How many actions run at once. Default: 16 for each processor.
    pub slots: Option<usize>,
    /// An execution whose worker has not renewed its lease for so long is rescued. Renewed three times as often.
    pub lease_seconds: u64,
    /// How long a stopping worker lets its actions finish.
    pub drain_seconds: u64,
    /// Between SIGTERM and SIGKILL.
    pub kill_grace_seconds: u64,
    /// Where scratch directories of actions are made. Default: the system's temporary folder. A worker that starts removes
    /// what dead workers of the same database left there.
    pub work_dir: Option<PathBuf>,
    /// Where results wait while the database is away; a worker that starts delivers what it finds here. Default: `spool`
    /// in `work_dir`, or a folder of this user's own in the system's temporary folder.
    pub spool_dir: Option<PathBuf>,
    /// As whom actions run: `isolated`, `service` or `root`.
    pub run_actions_as: RunActionsAs,
    /// A worker that runs as root gives each running action a user id of its own, from this one on.
    pub uid_base: u32,
    /// What actions may read as well, where they run as the worker's user (Landlock).
    #[serde(deserialize_with = "values::list")]
    pub readable: Vec<PathBuf>,
    /// What actions may read and write as well, where they run as the worker's user (Landlock).
    #[serde(deserialize_with = "values::list")]
    pub writable: Vec<PathBuf>,
    /// What actions may not read although it lies in something readable (Landlock).
    #[serde(deserialize_with = "values::list")]
    pub hidden: Vec<PathBuf>,
    /// Variables of the worker's environment that actions see.
    #[serde(deserialize_with = "values::list")]
    pub pass_env: Vec<String>,
    /// Bounds of an action that does not say otherwise.
    pub resources: Resources,
    /// What no action may exceed.
    pub resources_max: Resources,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunActionsAs {
    /// As users of their own when the worker runs as root, else in Landlock domains of their own.
    Isolated,
    /// As the worker's own user, which is not root; they reach what it reaches.
    Service,
    /// As root, when the worker runs as root.
    Root,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            listen: None,
            pool: "default".to_owned(),
            slots: None,
            lease_seconds: 30,
            drain_seconds: 30,
            kill_grace_seconds: 10,
            work_dir: None,
            spool_dir: None,
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
        }
    }
}

impl Worker {
    pub fn slots(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        self.slots.unwrap_or(16 * processors).max(1)
    }

    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.max(1))
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Packs {
    /// Folders of packs to load at start, beside the core pack that is built in. In the environment: `a,b`, or a JSON list.
    #[serde(deserialize_with = "values::list")]
    pub load: Vec<PathBuf>,
}

/// How many days history is kept; the same for all executors. What is left out stays as the database has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Events and their decisions; in the beginning 30.
    pub events_days: Option<NonZeroU16>,
    /// Enforcements, executions and their attempts; in the beginning 90.
    pub executions_days: Option<NonZeroU16>,
    /// What actions wrote; in the beginning 14.
    pub logs_days: Option<NonZeroU16>,
}

impl Retention {
    /// The tables that are to keep their rows for so many days.
    pub fn tables(&self) -> Vec<(&'static str, i32)> {
        let groups = [
            (self.events_days, &["event", "event_decision"][..]),
            (self.executions_days, &["enforcement", "execution", "execution_attempt"]),
            (self.logs_days, &["execution_log"]),
        ];
        let of = |(days, tables): (Option<NonZeroU16>, &'static [&'static str])| {
            let days = days.map(|days| i32::from(days.get()));
            tables.iter().filter_map(move |table| Some((*table, days?)))
        };
        groups.into_iter().flat_map(of).collect()
    }
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
    /// The collector that is sent spans, by OTLP over HTTP: `http://127.0.0.1:4318`. Needs the feature `otlp`.
    pub otlp_endpoint: Option<String>,
}

impl Config {
    /// Reads defaults, the file when one is given, and the environment.
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

    /// Reads defaults and these variables, as if they were the whole environment.
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
            "database.url is missing: set ATTUNE__DATABASE__URL, for example postgres://attune:…@localhost/attune",
        )
    }
}

/// A variable of the environment; unset and empty are the same.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
