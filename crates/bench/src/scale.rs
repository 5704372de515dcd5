//! Compares many processes of each service over RabbitMQ with the single process.
//!
//! Both run on the same PostgreSQL in the same run, with the same events submitted by this process. It needs the
//! programs of the four services next to this one, and a RabbitMQ (`--amqp-url`), so it is not part of `all`.

use crate::{
    drive::Target,
    process::{Cpu, Memory},
    result::{Measure, Results},
    testbed::Testbed,
    throughput::{Run, calibrated, echo},
};
use anyhow::Context as _;
use attune_common::store::{
    invariants,
    service_instance::{self, Service},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const SUITE: &str = "scale";
const APIS: usize = 2;
const SENSORS: usize = 3;
const EXECUTORS: usize = 3;
const WORKERS: usize = 4;
const ALL: usize = APIS + SENSORS + EXECUTORS + WORKERS;
const CONNECTIONS_EACH: usize = 6;
const READY_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
/// What nothing costs is watched for this long.
const IDLE: Duration = Duration::from_secs(10);
const ACTIONS: [&str; 2] = ["native", "shell"];

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    anyhow::ensure!(
        testbed.options.amqp_url.is_some(),
        "this suite needs a RabbitMQ: name it with --amqp-url"
    );
    let mut alone = BTreeMap::new();
    for name in ACTIONS {
        alone.insert(name, through(testbed, &format!("alone_{name}"), name).await?);
    }
    let idle_alone = idle().await?;
    testbed.stop().await?;

    // This process submits events as before. The other processes do everything else.
    testbed.start_bus().await?;
    let mut spread = Spread::start(testbed)?;
    spread.ready(testbed).await?;
    for name in ACTIONS {
        let run = through(testbed, &format!("spread_{name}"), name).await?;
        add_results(results, name, &alone[name], &run);
    }
    let idle_spread = idle().await?;
    results.add(
        Measure::new(SUITE, format!("{ALL} processes, idle: CPU"), idle_spread, "% of a core")
            .relative_to("one process", idle_alone),
    );
    let memory = Memory::now()?;
    results.add(Measure::new(
        SUITE,
        format!("{ALL} processes: memory"),
        memory.services + memory.supervisor,
        "MB",
    ));
    let broken = invariants::snapshot(&testbed.pool).await?;
    anyhow::ensure!(broken.is_empty(), "the ledger does not hold: {broken:?}");
    spread.stop().await?;
    testbed.stop().await?;
    testbed.start().await?;
    results.note(
        SUITE,
        format!(
            "{APIS} apis, {SENSORS} sensors, {EXECUTORS} executors and {WORKERS} workers as processes on this one machine, \
             over RabbitMQ; the floor is the one process in the same run. More processes on the same cores cannot be faster: \
             the ratio shows the cost of several processes."
        ),
    );
    Ok(())
}

async fn through(testbed: &Testbed, name: &str, kind: &str) -> anyhow::Result<Run> {
    let echo = echo(testbed).await?;
    let action = if kind == "native" { "core.noop" } else { &echo };
    let target = Target::make(testbed, name, 1, action, None).await?;
    calibrated(testbed, &target, testbed.seconds()).await
}

fn add_results(results: &mut Results, name: &str, alone: &Run, spread: &Run) {
    let mut line = |what: &str, of: fn(&Run) -> f64, unit| {
        let measure = Measure::new(SUITE, format!("{ALL} processes, {name}: {what}"), of(spread), unit);
        results.add(measure.relative_to("one process", of(alone)));
    };
    line("events → finished executions", |run| run.rate, "/s");
    line("CPU per 1,000", Run::cpu_per_1000, "s");
    line("log bytes per execution", Run::log_bytes, "B");
    line("commits per execution", Run::commits, "");
}

/// CPU that is spent while nothing happens, as a share of one core.
async fn idle() -> anyhow::Result<f64> {
    let before = Cpu::now()?;
    tokio::time::sleep(IDLE).await;
    Ok((Cpu::now()? - before).total() / IDLE.as_secs_f64() * 100.0)
}

/// The running services.
struct Spread {
    running: Vec<(&'static str, Child)>,
}

impl Spread {
    fn start(testbed: &Testbed) -> anyhow::Result<Self> {
        let mut spread = Self { running: Vec::new() };
        for (program, count) in [
            ("attune-api", APIS),
            ("attune-sensor", SENSORS),
            ("attune-executor", EXECUTORS),
            ("attune-worker", WORKERS),
        ] {
            for number in 1..=count {
                spread.running.push((program, launch(testbed, program, number)?));
            }
        }
        Ok(spread)
    }

    /// Waits until each of them has written its heartbeat.
    async fn ready(&mut self, testbed: &Testbed) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            for (program, child) in &mut self.running {
                let ended = child.try_wait().context("a service cannot be waited for")?;
                anyhow::ensure!(ended.is_none(), "{program} ended at once: {ended:?}");
            }
            let services = service_instance::list(&testbed.pool, None).await?;
            let ours = |service: &&Service| {
                self.running
                    .iter()
                    .any(|(_, child)| Ok(child.id()) == service.pid.try_into())
            };
            if services.iter().filter(ours).count() == ALL {
                return Ok(());
            }
            anyhow::ensure!(
                started.elapsed() < READY_WITHIN,
                "not all services came within {READY_WITHIN:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// SIGTERM to all at once: each ends in order.
    async fn stop(mut self) -> anyhow::Result<()> {
        for (program, child) in &self.running {
            let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id())?);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)
                .with_context(|| format!("failed to send SIGTERM to {program}"))?;
        }
        let started = Instant::now();
        for (program, child) in &mut self.running {
            while child.try_wait().context("a service cannot be waited for")?.is_none() {
                anyhow::ensure!(started.elapsed() < ENDS_WITHIN, "{program} did not stop");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        self.running.clear();
        Ok(())
    }
}

impl Drop for Spread {
    fn drop(&mut self) {
        for (_, child) in &mut self.running {
            // One that has ended already needs no killing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn launch(testbed: &Testbed, program: &str, number: usize) -> anyhow::Result<Child> {
    let this = std::env::current_exe().context("this program cannot be found")?;
    let file: PathBuf = this.with_file_name(program);
    anyhow::ensure!(
        file.exists(),
        "{} is not there: build all programs with `cargo build --release --workspace`",
        file.display()
    );
    #[expect(clippy::disallowed_methods, reason = "the programs under measurement")]
    let mut command = Command::new(&file);
    command
        .env_clear()
        .envs(testbed.environment(&testbed.folder().join(format!("{program}-{number}")))?)
        .env("ATTUNE__DATABASE__CONNECTIONS_MAX", CONNECTIONS_EACH.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
        .spawn()
        .with_context(|| format!("failed to start {}", file.display()))
}
