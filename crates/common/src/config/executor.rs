//! Settings of executors.

use super::values;
use serde::Deserialize;
use std::{net::SocketAddr, time::Duration};

#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Executor {
    /// The address of the executor's health endpoint, if it runs as a separate service.
    #[serde(deserialize_with = "values::optional_listen")]
    pub listen: Option<SocketAddr>,
    /// The interval of the search for lost executions.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 3_600>")]
    pub reap_seconds: u64,
    /// An event that an executor has claimed and not decided within this time is claimed by another one.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 86_400>")]
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
pub struct Limits {
    /// How many executions in a row may lead to an event for which rules still run. The same for all executors.
    #[serde(deserialize_with = "values::whole::<_, _, 1, 31>")]
    pub chain_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { chain_depth: 10 }
    }
}
