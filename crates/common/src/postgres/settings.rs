//! How to start a server.

use std::path::PathBuf;

/// The name of the database and of the role that owns it.
pub const DATABASE: &str = "attune";

/// How to start a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Contains the cluster, its lock and its log. Created if it is missing.
    pub data_dir: PathBuf,
    /// The folder of `postgres` and `initdb`. If None, they are searched.
    pub programs: Option<PathBuf>,
    /// Whether commits survive a power failure. Only tests disable it.
    pub durable: bool,
    /// Whether to load `pg_stat_statements`, if it is installed. It counts only in sessions that enable it.
    pub counting: bool,
}

impl Settings {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            programs: None,
            durable: true,
            counting: false,
        }
    }
}
