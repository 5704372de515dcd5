//! What `attune bench` can be asked for.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Clone, Args)]
pub struct Options {
    /// What to measure.
    #[arg(long, value_enum, value_name = "SUITE", default_value = "all", num_args = 1.., value_delimiter = ',')]
    pub suite: Vec<Suite>,
    /// How long each measure of a rate or a distribution takes, and a whole soak.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// How many timers are registered in `timers`.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1..=2_000_000))]
    pub timers: i64,
    /// How many rules one trigger has in `rules`.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(i64).range(1..=100_000))]
    pub rules: i64,
    /// How many executions wait in `backlog`.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub backlog: u64,
    /// How many executions the past has in `history`.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(i64).range(1_000..=10_000_000))]
    pub history: i64,
    /// Write everything as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write a page for people, and a plot beside it.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Where the private PostgreSQL is kept. Default: a temporary folder, removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Measure this PostgreSQL instead of a private one. It is filled with rows: use an empty database.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Use this RabbitMQ instead of the bus inside the process.
    #[arg(long, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// The folder of `pgbench`, when it is not found by itself.
    #[arg(long, value_name = "DIR")]
    pub postgres_bin: Option<PathBuf>,
    /// What to log, to standard error.
    #[arg(long, value_name = "FILTER", default_value = "warn,sqlx=error")]
    pub log: String,
    /// Be one of the sensors that are killed. For the benchmark itself.
    #[arg(long, hide = true)]
    pub be_sensor: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// All but the soak and the scale.
    All,
    /// Memory, start-up time, size.
    Footprint,
    /// Durable commits and started processes, with nothing of Attune between.
    Floors,
    /// Event accepted → process started → finished, at steady rates.
    Latency,
    /// Signed webhooks over HTTP, from 16 and 64 clients.
    Webhooks,
    /// Events in, executions finished: how many a second, and what each costs; also with a limit for each of 100 keys.
    Throughput,
    /// What an execution costs in each step: statements, time, log.
    Cost,
    /// The same with 1,000 and with a million executions in the past.
    History,
    /// One event that starts 500 actions.
    Fanout,
    /// One trigger with thousands of rules.
    Rules,
    /// Many pending executions, then workers start.
    Backlog,
    /// Many of each service as processes of their own beside the one process. Needs `--amqp-url` and all programs.
    Scale,
    /// Half of what is possible, for as long as is asked: what grows?
    Soak,
    /// How late timers are: a hundred, a million, ten thousand at once. The last: it leaves very many definitions.
    Timers,
}

impl Options {
    /// What is measured, in the order in which it is.
    pub fn suites(&self) -> Vec<Suite> {
        let all = self.suite.contains(&Suite::All);
        let asked = |suite: &Suite| self.suite.contains(suite) || (all && !matches!(suite, Suite::Soak | Suite::Scale));
        let known = Suite::value_variants().iter().copied();
        known.filter(|suite| *suite != Suite::All).filter(asked).collect()
    }

    /// How to ask for the same again.
    pub fn command(&self) -> String {
        let names: Vec<String> = self
            .suite
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect();
        format!(
            "./target/release/attune bench --suite {} --seconds {} --timers {} --rules {} --backlog {} --history {} --report docs/BENCHMARKS.md",
            names.join(","),
            self.seconds,
            self.timers,
            self.rules,
            self.backlog,
            self.history
        )
    }
}
