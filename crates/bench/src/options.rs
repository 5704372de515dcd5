//! The command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Measure how fast Attune is on this machine, relative to the best that the machine can do.
#[derive(Debug, Clone, Parser)]
#[command(version)]
pub struct Options {
    /// The suites to measure.
    #[arg(long, value_enum, value_name = "SUITE", default_value = "all", num_args = 1.., value_delimiter = ',')]
    pub suite: Vec<Suite>,
    /// The duration in seconds of each measurement of a rate or a distribution, and of the whole soak.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// The number of registered timers in the suite `timers`.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..=2_000_000))]
    pub timers: i64,
    /// The number of rules of one trigger in the suite `rules`.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub rules: i64,
    /// The number of pending executions in the suite `backlog`.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub backlog: u64,
    /// The number of past executions in the suite `history`.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1_000..=10_000_000))]
    pub history: i64,
    /// Write the results as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results as Markdown to this file, with a plot in the same folder.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// The data directory of the private PostgreSQL. Default: a temporary folder, removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Measure this PostgreSQL instead of a private one. Use an empty database, because it is filled with rows.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Use this RabbitMQ instead of the in-process bus.
    #[arg(long, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// The folder that contains `pgbench`. Default: searched for.
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// The log filter. Logs go to standard error.
    #[arg(long, value_name = "FILTER", default_value = "warn,sqlx=error")]
    pub log: String,
    /// Run one of the sensors that are killed. Used by the benchmark itself.
    #[arg(long, hide = true)]
    pub be_sensor: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// All suites except `soak` and `scale`.
    All,
    /// Memory, start-up time and program size.
    Footprint,
    /// Durable commits and process starts, without Attune.
    Floors,
    /// Event accepted → process started → finished, at steady rates.
    Latency,
    /// Events, webhooks, batches and manual executions over HTTP: latency, throughput and CPU compared with the library.
    /// Also finished requests of `core.http` per second, to a server on the loopback device.
    Http,
    /// Signed webhooks over HTTP, from 16 and 64 clients.
    Webhooks,
    /// Finished executions per second and the cost of each, also with a concurrency limit for each of 100 keys.
    Throughput,
    /// Finished Python actions per second: functions, which are forks, and scripts, which are started.
    Python,
    /// The cost of an execution in each step: statements, time, write-ahead log.
    Cost,
    /// The same load after 1,000 and after a million past executions.
    History,
    /// One event that starts 500 actions.
    Fanout,
    /// One trigger with thousands of rules.
    Rules,
    /// Workers start with many pending executions.
    Backlog,
    /// Many processes of each service compared with the single process. Needs `--amqp-url` and all programs.
    Scale,
    /// File watches: ten thousand files at once, the delay of a single file, and the cost of a hundred thousand known files.
    Files,
    /// Half of the maximum load for `--seconds`, to find what grows.
    Soak,
    /// The lateness of timers: a hundred, ten thousand at once, a million registered. Runs last, because it leaves many definitions.
    Timers,
}

impl Options {
    /// The selected suites, in the order in which they run.
    pub fn suites(&self) -> Vec<Suite> {
        let all = self.suite.contains(&Suite::All);
        let selected =
            |suite: &Suite| self.suite.contains(suite) || (all && !matches!(suite, Suite::Soak | Suite::Scale));
        let known = Suite::value_variants().iter().copied();
        known.filter(|suite| *suite != Suite::All).filter(selected).collect()
    }

    /// The command line that repeats this run.
    pub fn command(&self) -> String {
        let names: Vec<String> = self
            .suite
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect();
        format!(
            "./target/release/attune bench --suite {} --seconds {} --timers {} --rules {} --backlog {} --history {} --report docs/reports/benchmarks.md",
            names.join(","),
            self.seconds,
            self.timers,
            self.rules,
            self.backlog,
            self.history
        )
    }
}
