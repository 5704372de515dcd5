//! Where it was measured.

use crate::measure::Server;
use serde::Serialize;
use std::fs;

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub processor: String,
    pub memory_gb: f64,
    pub kernel: String,
    /// The load average of the minute before the run.
    pub load_before: f64,
    /// The same at its end: the run itself makes one or two, the rest is other work, which disturbs.
    pub load_after: f64,
    pub postgres: Server,
    /// A debug build is useless for measurements.
    pub optimized: bool,
}

impl Machine {
    pub fn detect(postgres: Server) -> Self {
        let memory = value_of("/proc/meminfo", "MemTotal:");
        let kib: f64 = memory
            .split_whitespace()
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0.0);
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: value_of("/proc/cpuinfo", "model name"),
            memory_gb: kib * 1024.0 / 1e9,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: load(),
            load_after: 0.0,
            postgres,
            optimized: !cfg!(debug_assertions),
        }
    }
}

/// The load average of the last minute.
pub fn load() -> f64 {
    let text = read("/proc/loadavg");
    let first = text.split_whitespace().next();
    first.and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

fn value_of(file: &str, name: &str) -> String {
    let text = read(file);
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.map(|line| line.trim_start_matches([' ', '\t', ':']).to_owned())
        .unwrap_or_default()
}
