//! How a worker runs actions; one for all of them.

use super::isolation::{Bounds, Isolation, Plan, users::Users};
use std::{path::PathBuf, sync::Arc};

#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the actions' scratch directories are made. A file system in memory makes them cheap.
    pub scratch_directory: PathBuf,
    /// Names the installation this worker belongs to. A worker ends what dead workers of the same installation left in the
    /// same scratch directory.
    pub installation: String,
    /// What actions see as `PATH`.
    pub path: String,
    pub lang: String,
    pub time_zone: Option<String>,
    /// Further variables that actions see, of the worker's own.
    pub passed: Vec<(String, String)>,
    pub isolation: Isolation,
    pub bounds: Bounds,
    /// The program that becomes the supervisor: its `main` begins with `supervisor::run_if_asked`.
    pub supervisor: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            scratch_directory: std::env::temp_dir(),
            installation: "default".into(),
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            lang: "C.UTF-8".into(),
            time_zone: None,
            passed: Vec::new(),
            isolation: Isolation::None,
            bounds: Bounds::default(),
            // The running program, even when its file has been replaced by a newer one meanwhile.
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

    /// What the supervisor must know.
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
