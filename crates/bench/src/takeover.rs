//! Two sensors of which one is killed again and again: nothing may be lost, nothing doubled, and how late does it get?

use crate::{
    fired::{self, SUITE},
    floor::Probe,
    measure,
    process::{Cpu, Memory},
    result::{Measure, Results},
    sensor::Sensor,
    testbed::Testbed,
};
use chrono::TimeDelta;
use serde_json::json;
use std::time::{Duration, Instant};

const TIMERS: i64 = 100;
const PERIOD_LEAST: Duration = Duration::from_secs(10);
/// A tick takes some milliseconds: every second kill falls into them.
const TICK_MS: u64 = 12;

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    testbed.stop().await?;
    measure::make_timers(
        &testbed.pool,
        "kept",
        TIMERS,
        &json!({"type": "interval", "seconds": 1}),
    )
    .await?;
    let floor = Probe::take(testbed).await?;
    let mut sensors = [Sensor::start(&testbed.url).await?, Sensor::start(&testbed.url).await?];
    fired::armed(testbed, TIMERS).await?;
    let from = fired::next_second(testbed).await?;
    let to = from + TimeDelta::from_std(testbed.seconds().max(PERIOD_LEAST))?;
    let (cpu, started) = (Cpu::now()?, Instant::now());
    let mut kills = 0_u32;
    while testbed.now().await? < to {
        pause(testbed, kills).await?;
        let [first, second] = sensors;
        first.kill()?;
        kills += 1;
        sensors = [second, Sensor::start(&testbed.url).await?];
    }
    // The last instants have to be there, too.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (cpu, took) = (Cpu::now()? - cpu, started.elapsed().as_secs_f64());
    let memory = Memory::of(sensors[0].pid());
    let expected = TIMERS * (to - from).num_seconds();
    let ledger = measure::ledger(&testbed.pool, r"bench.kept\_%", from, to).await?;
    let events = measure::fired(&testbed.pool, r"bench.kept\_%", from, to).await?;
    drop(sensors);

    let name = |what: &str| format!("two sensors, one killed again and again: {what}");
    let count = |what: &str, count: i64| Ok::<_, anyhow::Error>(fired::count(&name(what), i32::try_from(count)?));
    results.add(count("kills", kills.into())?);
    results.add(count("occurrences", ledger.occurrences)?);
    results.add(count("lost", expected - ledger.occurrences)?.at_most(0.0, "0"));
    results.add(count("doubled", ledger.events - ledger.occurrences)?.at_most(0.0, "0"));
    fired::spans(&events, |one| Some(one.written_ms))?.add_results(
        results,
        SUITE,
        &name("late when written"),
        |label, measure| fired::with_floor(label, measure, &floor),
    );
    let latest = Measure::new(SUITE, name("the latest of all"), ledger.latest_ms, "ms");
    results.add(latest.at_most(2000.0, "≤ 2 s"));
    let used = (cpu.actions + cpu.postgres) / took * 100.0;
    results.add(Measure::new(SUITE, name("CPU with PostgreSQL"), used, "% of a core"));
    results.add(Measure::new(SUITE, name("memory of one"), memory, "MB"));
    measure::remove_all(&testbed.pool).await?;
    testbed.start().await?;
    testbed.until_idle(Duration::from_secs(60)).await
}

/// Until somewhere in a second, or, every other time, into a tick.
async fn pause(testbed: &Testbed, kills: u32) -> anyhow::Result<()> {
    if kills.is_multiple_of(2) {
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..600))).await;
    } else {
        let into = TimeDelta::milliseconds(i64::try_from(rand::random_range(0..TICK_MS))?);
        let left = fired::second_after(testbed.now().await?)? + into - testbed.now().await?;
        tokio::time::sleep(left.to_std().unwrap_or_default()).await;
    }
    Ok(())
}
