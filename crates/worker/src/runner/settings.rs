//! How a worker runs its actions.

use super::isolation::{Bounds, Isolation, Plan, users::Users};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How often at least this process cleans up after dead workers on this host, and reaps orphans.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the actions' scratch directories are created. A file system in memory makes them cheap.
    pub scratch_directory: PathBuf,
    /// The installation this worker belongs to. A worker kills what dead workers of the same installation left in the same
    /// scratch directory.
    pub installation: String,
    /// How often dead workers are cleaned up after. Shorter than a lease, so that what a dead worker left is killed before its
    /// executions may start again.
    pub sweep_interval: Duration,
    /// `PATH` of actions.
    pub path: String,
    pub lang: String,
    pub time_zone: Option<String>,
    /// Variables of the worker that are passed to actions.
    pub passed: Vec<(String, String)>,
    pub isolation: Isolation,
    pub bounds: Bounds,
    /// How many templates may wait for runs. 0: every action is started. A Landlock domain cannot be changed after its process has
    /// started, so templates need another kind of isolation.
    pub templates_max: usize,
    /// The program that becomes the supervisor: its `main` starts with `supervisor::run_if_requested`.
    pub supervisor: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scratch_directory: std::env::temp_dir(),
            installation: "default".into(),
            sweep_interval: SWEEP_INTERVAL,
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            lang: "C.UTF-8".into(),
            time_zone: None,
            passed: Vec::new(),
            isolation: Isolation::None,
            bounds: Bounds::default(),
            templates_max: 8,
            // The running program, even if its file was replaced by a newer version.
            supervisor: "/proc/self/exe".into(),
        }
    }
}

impl Settings {
    pub(super) fn users(&self) -> Option<Arc<Users>> {
        match &self.isolation {
            Isolation::Users(users) => Some(Arc::clone(users)),
            _ => None,
        }
    }

    /// The part of the settings that the supervisor receives.
    pub(super) fn plan(&self) -> Plan {
        let access = match &self.isolation {
            Isolation::Landlock(access) => Some(access.clone()),
            _ => None,
        };
        Plan {
            access,
            bounds: self.bounds,
        }
    }
}
