//! The four services as separate processes, on PostgreSQL and RabbitMQ.

use super::{
    Api, Process, facts,
    surroundings::{actions_as_the_test, environment, free_port, program},
};
use attune_common::testing::{
    Database, eventually,
    rabbitmq::{self, SharedBroker},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::{collections::BTreeMap, time::Duration};
use tempfile::TempDir;

/// The maximum time of a shutdown: the drain and some overhead.
pub const STOP: Duration = Duration::from_secs(12);
pub const PASSWORD: &str = "an admin's password of the tests";

const POOL_KEY: &str = "ATTUNE__WORKER__POOL_KEY";

/// A lease short enough for a test, and long enough for a busy machine.
pub const LEASE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub struct Services {
    pub database: Database,
    pub api: Api,
    running: BTreeMap<String, Process>,
    /// Dropped after the processes, which show their logs if a test fails.
    pub folder: TempDir,
    environment: Vec<(&'static str, String)>,
    /// Settings of one service that override those of all.
    own: Own,
    broker: Option<SharedBroker>,
}

/// Settings of single services, by name.
pub type Own = BTreeMap<String, Vec<(&'static str, String)>>;

impl Services {
    /// Starts one of each, on a broker shared with other tests.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts one of each with further settings, on a broker shared with other tests.
    pub async fn with(settings: &[(&'static str, &str)]) -> Self {
        let broker = rabbitmq::shared().await.expect("RabbitMQ is there");
        let mut services = Self::set_up(Database::empty().await, &broker.url, settings, Own::new()).await;
        services.broker = Some(broker);
        services
    }

    /// Starts one of each, on this broker.
    pub async fn on(broker: &SecretString) -> Self {
        Self::set_up(Database::empty().await, broker, &[], Own::new()).await
    }

    /// Starts one of each, on this database and this broker.
    pub async fn over(database: Database, broker: &SecretString, own: Own) -> Self {
        Self::set_up(database, broker, &[], own).await
    }

    async fn set_up(database: Database, broker: &SecretString, more: &[(&'static str, &str)], own: Own) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let port = free_port();
        let mut environment = settings(
            &database,
            broker,
            folder.path().to_str().expect("the path is text"),
            port,
        );
        environment.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let mut migrate = Process::start(
            "attune migrate",
            &[&program("attune"), "migrate"],
            &environment,
            &folder.path().join("migrate.log"),
        );
        assert_eq!(migrate.ended(Duration::from_secs(60)).await, 0, "attune migrate");
        let mut running = BTreeMap::new();
        for name in ["api-1", "sensor-1", "executor-1", "worker-1"] {
            running.insert(name.to_owned(), launch(name, &environment, &own, &folder));
        }
        let api = Api::sign_in(&format!("http://127.0.0.1:{port}"), PASSWORD).await;
        let services = Self {
            database,
            api,
            folder,
            running,
            environment,
            own,
            broker: None,
        };
        for name in ["sensor-1", "executor-1", "worker-1"] {
            services.is_ready(name).await;
        }
        services
    }

    /// Starts a service, such as `sensor-2`, and waits until it is ready.
    pub async fn launch(&mut self, name: &str) {
        self.begin(name);
        self.is_ready(name).await;
    }

    /// Starts a service without waiting for it.
    pub fn begin(&mut self, name: &str) {
        let process = launch(name, &self.environment, &self.own, &self.folder);
        self.keep(name, process);
    }

    /// Starts a service that ends or pauses at failpoints, perhaps before it is ready.
    #[cfg(feature = "failpoints")]
    pub fn launch_armed(&self, name: &str, failpoints: &str) -> Process {
        let mut environment = self.environment.clone();
        environment.push(("ATTUNE_FAILPOINTS", failpoints.to_owned()));
        launch(name, &environment, &self.own, &self.folder)
    }

    /// Adds a running service.
    pub fn keep(&mut self, name: &str, process: Process) {
        assert!(
            self.running.insert(name.to_owned(), process).is_none(),
            "{name} runs already"
        );
    }

    pub fn process(&self, name: &str) -> &Process {
        &self.running[name]
    }

    /// Removes a service; the test ends it.
    pub fn take(&mut self, name: &str) -> Process {
        self.running
            .remove(name)
            .unwrap_or_else(|| panic!("{name} does not run"))
    }

    pub async fn is_ready(&self, name: &str) {
        let process = self.process(name);
        let what = format!("{name} is ready");
        if name.starts_with("api") {
            let ready = async || {
                let answer = reqwest::get(format!("{}/health/ready", self.api.url)).await.ok()?;
                (process.is_alive() && answer.status().is_success()).then_some(())
            };
            return eventually(&what, Duration::from_secs(30), ready).await;
        }
        let row = format!("exists (select from service_instance where pid = {})", process.pid());
        facts::holds(&self.database.pool, &what, Duration::from_secs(30), &row).await;
    }

    /// Sends SIGTERM to all at once; each must shut down properly. Also drops the database.
    pub async fn stop(mut self) {
        for process in self.running.values() {
            process.signal(nix::sys::signal::Signal::SIGTERM);
        }
        for (name, process) in &mut self.running {
            assert_eq!(process.ended(STOP).await, 0, "the exit code of {name}");
        }
        self.database.close().await;
    }
}

fn launch(name: &str, environment: &[(&'static str, String)], own: &Own, folder: &TempDir) -> Process {
    let (kind, _) = name.split_once('-').expect("a name is a kind and a number");
    let log = folder.path().join(format!("{name}.log"));
    // Of two settings of one name, the later counts.
    let mut environment = [environment, own.get(name).map_or(&[], Vec::as_slice)].concat();
    // Each service has only the keys that it needs, as in docker-compose.yml.
    environment.retain(|(variable, _)| match kind {
        "api" => *variable != POOL_KEY,
        "worker" => !variable.starts_with("ATTUNE__SECURITY__"),
        _ => *variable != POOL_KEY && !variable.starts_with("ATTUNE__SECURITY__"),
    });
    Process::start(name, &[&program(&format!("attune-{kind}"))], &environment, &log)
}

fn settings(database: &Database, broker: &SecretString, folder: &str, port: u16) -> Vec<(&'static str, String)> {
    let mut settings = environment();
    let key = || format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
    settings.extend([
        ("ATTUNE__DATABASE__URL", database.url().to_owned()),
        ("ATTUNE__DATABASE__CONNECTIONS_MAX", "6".to_owned()),
        ("ATTUNE__MESSAGE_QUEUE__URL", broker.expose_secret().to_owned()),
        (
            "ATTUNE__MESSAGE_QUEUE__NAMESPACE",
            format!("test-{:016x}", rand::random::<u64>()),
        ),
        ("ATTUNE__SECURITY__JWT_SECRET", key()),
        ("ATTUNE__SECURITY__ENCRYPTION_KEY", key()),
        (POOL_KEY, key()),
        ("ATTUNE_ADMIN_PASSWORD", PASSWORD.to_owned()),
        ("ATTUNE__API__LISTEN", format!("127.0.0.1:{port}")),
        ("ATTUNE__API__REQUESTS_PER_SECOND", "1000".to_owned()),
        ("ATTUNE__EXECUTOR__REAP_SECONDS", "1".to_owned()),
        ("ATTUNE__WORKER__LEASE_SECONDS", LEASE.as_secs().to_string()),
        ("ATTUNE__WORKER__DRAIN_SECONDS", "5".to_owned()),
        ("ATTUNE__WORKER__KILL_GRACE_SECONDS", "1".to_owned()),
        ("ATTUNE__WORKER__WORK_DIR", folder.to_owned()),
        actions_as_the_test(),
    ]);
    settings
}
