//! What one execution costs in each step of its way: statements, the time of PostgreSQL, bytes of the log.
//!
//! Twice: events that come one by one, so that every step carries one, and as many as go through. What is counted does not
//! depend on what else the machine does, times do a little. A native action that does nothing, so nothing but the platform
//! is measured. Statements that belong to no execution (polls, heartbeats) are not in the steps.

use crate::{
    drive::{Target, submit},
    measure::{self, Cost, STEPS, Statements},
    process::Cpu,
    result::{Measure, Results},
    testbed::Testbed,
    throughput::{COUNTERS_LAG, END_WITHIN, Run, calibrated, hot_shares},
};
use attune_common::ingest::Ingest;
use std::time::Duration;

const SUITE: &str = "cost";
const ONE_BY_ONE: u64 = 200;

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let Some(mut statements) = Statements::open(&testbed.url).await? else {
        results.note(
            SUITE,
            "left out: this PostgreSQL cannot count statements (pg_stat_statements)",
        );
        return Ok(());
    };
    // Sessions that are open already are not counted.
    testbed.stop().await?;
    testbed.start().await?;
    let target = Target::make(testbed, "cost", 1, "core.noop", None).await?;
    // The first ones compile the rules and plan the statements.
    calibrated(testbed, &target, Duration::from_millis(100)).await?;

    let run = one_by_one(testbed, &target, &mut statements).await?;
    add_results(results, "one by one", &run, &costs(&mut statements).await?)?;

    let probe = crate::throughput::once(testbed, &target, 2_000).await?;
    statements.reset().await?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = (probe.rate * testbed.seconds().as_secs_f64()).clamp(2_000.0, 100_000.0) as u64;
    let run = crate::throughput::once(testbed, &target, count).await?;
    add_results(results, "under load", &run, &costs(&mut statements).await?)?;
    statements.close().await?;
    testbed.stop().await?;
    testbed.start().await?;
    Ok(())
}

/// The next event comes when nothing of the one before is left.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
async fn one_by_one(testbed: &Testbed, target: &Target, statements: &mut Statements) -> anyhow::Result<Run> {
    // One for all: its connection is new, and the first statement of a session costs as much as ten others.
    let ingest = Ingest::start(testbed.context()?);
    submit(&ingest, target.event()).await?;
    testbed.until_idle(END_WITHIN).await?;
    statements.reset().await?;
    tokio::time::sleep(COUNTERS_LAG).await;
    let (before, cpu) = (measure::counters(&testbed.pool).await?, Cpu::now()?);
    for _ in 0..ONE_BY_ONE {
        submit(&ingest, target.event()).await?;
        testbed.until_idle(END_WITHIN).await?;
    }
    let cpu = Cpu::now()? - cpu;
    tokio::time::sleep(COUNTERS_LAG).await;
    Ok(Run {
        count: ONE_BY_ONE as f64,
        rate: 0.0,
        cpu,
        before,
        after: measure::counters(&testbed.pool).await?,
    })
}

async fn costs(statements: &mut Statements) -> anyhow::Result<Vec<(&'static str, Cost)>> {
    let mut costs = Vec::with_capacity(STEPS.len());
    for (step, like) in STEPS {
        costs.push((step, statements.of(like).await?));
    }
    Ok(costs)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn add_results(results: &mut Results, mode: &str, run: &Run, costs: &[(&str, Cost)]) -> anyhow::Result<()> {
    let mut line = |what: String, value: f64, unit| {
        results.add(Measure::new(SUITE, format!("{mode}: {what}"), value / run.count, unit));
    };
    // An event is decided in its own commit, or goes the usual way.
    let calls = |step: &str| {
        costs
            .iter()
            .find(|(name, _)| *name == step)
            .map_or(0, |(_, cost)| cost.calls)
    };
    let usual = ["T1 ingest", "T2 claim", "T2 decide", "T3 claim"];
    anyhow::ensure!(
        calls("T4 finish") > 0 && (calls("joint commit") > 0 || usual.iter().all(|step| calls(step) > 0)),
        "the statements of a step were not recognised"
    );
    let mut all = Cost::default();
    for (step, cost) in costs {
        line(format!("{step}, statements"), cost.calls as f64, "");
        line(format!("{step}, time in PostgreSQL"), cost.milliseconds * 1000.0, "µs");
        line(format!("{step}, log"), cost.wal_bytes, "B");
        line(format!("{step}, log records"), cost.wal_records as f64, "");
        all.calls += cost.calls;
        all.milliseconds += cost.milliseconds;
        all.wal_bytes += cost.wal_bytes;
        all.wal_records += cost.wal_records;
    }
    line("all steps, statements".to_owned(), all.calls as f64, "");
    line(
        "all steps, time in PostgreSQL".to_owned(),
        all.milliseconds * 1000.0,
        "µs",
    );
    line("all steps, log".to_owned(), all.wal_bytes, "B");
    line("all steps, log records".to_owned(), all.wal_records as f64, "");
    line("CPU of attune".to_owned(), run.cpu.own * 1e6, "µs");
    line("CPU of PostgreSQL".to_owned(), run.cpu.postgres * 1e6, "µs");
    for (table, share) in hot_shares(&run.before, &run.after) {
        let name = format!("{mode}: heap-only updates of {table}");
        results.add(Measure::new(SUITE, name, share, "%"));
    }
    Ok(())
}
