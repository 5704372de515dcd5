//! What it takes to be there: memory when nothing happens, the time to start, the size of the program.

use super::{
    process::{Cpu, Memory},
    result::{Measure, Results},
    stage::Stage,
};
use anyhow::Context as _;
use std::time::Duration;

const SUITE: &str = "footprint";
const STARTS: usize = 3;

pub async fn run(stage: &mut Stage, results: &mut Results) -> anyhow::Result<()> {
    idle(stage, results).await?;
    let first = stage.first_start.as_secs_f64();
    results.add(Measure::new(
        SUITE,
        "start: PostgreSQL is up → the API answers, empty database",
        first,
        "s",
    ));
    let mut slowest = 0.0_f64;
    for _ in 0..STARTS {
        stage.stop().await?;
        slowest = slowest.max(stage.start().await?.as_secs_f64());
    }
    let name = "start: PostgreSQL is up → the API answers, slowest of 3";
    results.add(Measure::new(SUITE, name, slowest, "s").at_most(1.0, "≤ 1 s"));
    let program = std::env::current_exe().context("this program cannot be found")?;
    #[expect(clippy::cast_precision_loss, reason = "a size of a file")]
    let size = std::fs::metadata(&program)
        .context("this program cannot be read")?
        .len() as f64
        / 1e6;
    results.add(Measure::new(SUITE, "size of the program", size, "MB"));
    Ok(())
}

async fn idle(stage: &Stage, results: &mut Results) -> anyhow::Result<()> {
    let period = stage.seconds().min(Duration::from_secs(10));
    let before = Cpu::now()?;
    tokio::time::sleep(period).await;
    let (cpu, memory) = (Cpu::now()? - before, Memory::now()?);
    anyhow::ensure!(memory.own > 0.0, "/proc does not tell this process's memory");
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
