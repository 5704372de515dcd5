//! The footprint: memory when idle, start-up time, size of the program.

use crate::{
    process::{Cpu, Memory},
    result::{Measure, Results},
    testbed::Testbed,
};
use anyhow::Context as _;
use std::time::Duration;

const SUITE: &str = "footprint";
const STARTS: usize = 3;

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    idle(testbed, results).await?;
    let first = testbed.first_start.as_secs_f64();
    results.add(Measure::new(
        SUITE,
        "start: PostgreSQL is up → the API answers, empty database",
        first,
        "s",
    ));
    let mut slowest = 0.0_f64;
    for _ in 0..STARTS {
        testbed.stop().await?;
        slowest = slowest.max(testbed.start().await?.as_secs_f64());
    }
    let name = "start: PostgreSQL is up → the API answers, slowest of 3";
    results.add(Measure::new(SUITE, name, slowest, "s").at_most(1.0, "≤ 1 s"));
    let program = std::env::current_exe().context("failed to find this program")?;
    match std::fs::metadata(program.with_file_name("attune")) {
        Ok(file) => {
            #[expect(clippy::cast_precision_loss, reason = "a size of a file")]
            let size = file.len() as f64 / 1e6;
            results.add(Measure::new(SUITE, "size of the program `attune`", size, "MB"));
        }
        Err(_) => results.note(SUITE, "the program `attune` is not built, so its size is missing"),
    }
    Ok(())
}

async fn idle(testbed: &Testbed, results: &mut Results) -> anyhow::Result<()> {
    let period = testbed.seconds().min(Duration::from_secs(10));
    let before = Cpu::now()?;
    tokio::time::sleep(period).await;
    let (cpu, memory) = (Cpu::now()? - before, Memory::now()?);
    anyhow::ensure!(memory.own > 0.0, "/proc does not contain the memory of this process");
    let together = memory.own + memory.supervisor;
    results.add(Measure::new(SUITE, "idle: memory without PostgreSQL", together, "MB").at_most(60.0, "≤ 60 MB"));
    results.add(Measure::new(
        SUITE,
        "idle: memory of the supervisor",
        memory.supervisor,
        "MB",
    ));
    results.add(Measure::new(
        SUITE,
        "idle: private memory of PostgreSQL",
        memory.postgres_private,
        "MB",
    ));
    let share = |cpu: f64| cpu / period.as_secs_f64() * 100.0;
    results.add(Measure::new(
        SUITE,
        "idle: CPU of attune",
        share(cpu.own + cpu.supervisor),
        "% of a core",
    ));
    results.add(Measure::new(
        SUITE,
        "idle: CPU of PostgreSQL",
        share(cpu.postgres),
        "% of a core",
    ));
    Ok(())
}
