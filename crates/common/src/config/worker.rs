//! Parts of the worker's settings.

use super::Worker;
use crate::network::Networks;
use serde::Deserialize;
use std::time::Duration;

impl Worker {
    pub fn slots(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        self.slots.unwrap_or(16 * processors).max(1)
    }

    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds.max(1))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunActionsAs {
    /// As a user of its own if the worker runs as root, otherwise in a Landlock domain of its own.
    Isolated,
    /// As the worker's own user, which is not root, with access to everything it can access.
    Service,
    /// As root, if the worker runs as root.
    Root,
}

/// What `core.http` can reach.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerHttp {
    /// The loopback and private networks that `core.http` may reach. Link-local addresses and the metadata services of clouds
    /// are always blocked.
    pub allow_private: Networks,
}

/// How Python actions are started.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerPython {
    /// How many programs are kept loaded, so that their runs start in milliseconds. 0 starts an interpreter for each run.
    pub templates_max: usize,
}

impl Default for WorkerPython {
    fn default() -> Self {
        Self { templates_max: 8 }
    }
}
