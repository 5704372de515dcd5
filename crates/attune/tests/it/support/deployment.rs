//! The services on a private PostgreSQL. Each uses its own proxy, which a test can cut.

use super::services::{LEASE, Own, Services};
use attune_common::testing::{Database, PostgresNode, Proxy, Target, Way};
use secrecy::SecretString;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Every service that a test may start.
pub const SERVICES: [&str; 7] = [
    "api-1",
    "sensor-1",
    "sensor-2",
    "executor-1",
    "executor-2",
    "worker-1",
    "worker-2",
];

#[derive(Debug)]
pub struct Deployment {
    // In this order, because the services must end before their database.
    pub services: Services,
    ways: BTreeMap<String, Proxy>,
    pub postgres: PostgresNode,
}

impl Deployment {
    /// One of each service.
    pub async fn on(broker: &SecretString) -> Self {
        Self::over(PostgresNode::started().await, broker, LEASE).await
    }

    pub async fn with_lease(broker: &SecretString, lease: Duration) -> Self {
        Self::over(PostgresNode::started().await, broker, lease).await
    }

    pub async fn in_folder(data: &Path, broker: &SecretString) -> Self {
        Self::over(PostgresNode::started_in(data).await, broker, LEASE).await
    }

    async fn over(postgres: PostgresNode, broker: &SecretString, lease: Duration) -> Self {
        let (mut ways, mut own) = (BTreeMap::new(), Own::new());
        for name in SERVICES {
            let way = Proxy::to(Target::Unix(postgres.socket())).await;
            let way = way.expect("a port is free");
            // The user and the password.
            let known = postgres.postgres().url();
            let (user, _) = known.split_once('@').expect("an address names its user");
            let url = format!("{user}@127.0.0.1:{}/attune", way.port());
            let lease = ("ATTUNE__WORKER__LEASE_SECONDS", lease.as_secs().to_string());
            own.insert(name.to_owned(), vec![("ATTUNE__DATABASE__URL", url), lease]);
            ways.insert(name.to_owned(), way);
        }
        let database = Database::on(postgres.postgres()).await;
        let services = Services::over(database, broker, own).await;
        Self {
            services,
            ways,
            postgres,
        }
    }

    /// Sets the behavior of the proxy of one service.
    pub fn way(&self, name: &str, way: Way) {
        self.ways[name].set(way);
    }

    /// Sets the behavior of all proxies.
    pub fn ways(&self, way: Way) {
        self.ways.values().for_each(|one| one.set(way));
    }

    /// How many connections a service has to the database.
    pub fn connections(&self, name: &str) -> usize {
        self.ways[name].connections()
    }
}
