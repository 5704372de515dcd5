//! Timers: how late they are, alone, by the hundred thousand, and all at one instant.
//!
//! Late is *event committed − scheduled*. The commit itself leaves no instant in the database: *committed* is when the sensor
//! announced it on the bus, right after it. *Written*, when the event's row was inserted, is before it, and *decided*, when the
//! executor decided the event, is after it.

use crate::{
    committed::Committed,
    fired::{PLANNED_WITHIN, SUITE, armed, count, next_second, spans, with_floor},
    floor::Probe,
    measure::{self, Fired},
    process::{Cpu, Memory},
    progress,
    result::{Measure, Results, number},
    span::Spans,
    takeover,
    testbed::Testbed,
    throughput::seconds,
};
use anyhow::Context as _;
use attune_common::bus::Control;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::time::{Duration, Instant};

const HUNDRED: i64 = 100;
const EACH_SECOND: i64 = 1_000;
const REGISTERED_AT_ONCE: i64 = 20_000;
const BURST: i64 = 10_000;
/// What the burst has until it is due; planning it takes a second or two.
const BURST_AHEAD: i64 = 15;

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    hundred(testbed, results).await?;
    burst(testbed, results).await?;
    takeover::run(testbed, results).await?;
    registered(testbed, results).await
}

/// A hundred timers of one second.
async fn hundred(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let config = json!({"type": "interval", "seconds": 1});
    measure::make_timers(&testbed.pool, "second", HUNDRED, &config).await?;
    planned(testbed, HUNDRED).await?;
    let floor = Probe::take(testbed).await?;
    let committed = Committed::listen(testbed).await?;
    let (from, cpu) = (next_second(testbed).await?, Cpu::now()?);
    let fired = observe(testbed, r"bench.second\_%", from, HUNDRED).await?;
    let cpu = Cpu::now()? - cpu;
    let committed_ms = committed.end()?;
    let written = spans(&fired, |one| Some(one.written_ms))?;
    let committed = spans(&fired, |one| committed_ms(one.id, one.scheduled_at))?;
    let decided = spans(&fired, |one| one.decided_ms)?;
    for (name, spans, goal) in [
        ("written", written, false),
        ("committed", committed, true),
        ("decided", decided, false),
    ] {
        let name = format!("100 timers of 1 s: late when {name}");
        spans.add_results(results, SUITE, &name, |label, measure| {
            let measure = with_floor(label, measure, &floor);
            match label {
                "p50" if goal => measure.at_most(5.0, "≤ 5 ms"),
                "p99" if goal => measure.at_most(20.0, "≤ 20 ms"),
                _ => measure,
            }
        });
    }
    let off = fired
        .iter()
        .filter(|one| one.scheduled_at.timestamp_subsec_nanos() != 0)
        .count();
    results.add(count("100 timers of 1 s: events off the grid", i32::try_from(off)?).at_most(0.0, "0"));
    let (begin, end) = (part(&fired, 0)?, part(&fired, 2)?);
    let drift = end.ms(50.0) - begin.ms(50.0);
    results.add(Measure::new(
        SUITE,
        "100 timers of 1 s: drift, last third − first third, p50",
        drift,
        "ms",
    ));
    let share = (cpu.own + cpu.postgres) / testbed.seconds().as_secs_f64() * 100.0;
    results.add(Measure::new(
        SUITE,
        "100 timers of 1 s: CPU with PostgreSQL",
        share,
        "% of a core",
    ));
    results.add(Measure::new(
        SUITE,
        "100 timers of 1 s: memory of attune",
        Memory::now()?.own,
        "MB",
    ));
    measure::remove_all(&testbed.pool).await?;
    Ok(())
}

/// One third of what fired.
fn part(fired: &[Fired], third: usize) -> anyhow::Result<Spans> {
    let size = fired.len() / 3;
    spans(&fired[third * size..(third + 1) * size], |one| Some(one.written_ms))
}

/// Ten thousand timers that are due at one instant.
async fn burst(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let at = next_second(testbed).await? + TimeDelta::seconds(BURST_AHEAD);
    let config = json!({"type": "one_shot", "fire_at": at});
    measure::make_timers(&testbed.pool, "burst", BURST, &config).await?;
    planned(testbed, BURST).await?;
    anyhow::ensure!(
        testbed.now().await? < at,
        "planning {BURST} timers took longer than {BURST_AHEAD} s"
    );
    let to = at + TimeDelta::milliseconds(1);
    let started = Instant::now();
    let fired = loop {
        let fired = measure::fired(&testbed.pool, r"bench.burst\_%", at, to).await?;
        if i64::try_from(fired.len())? == BURST {
            break fired;
        }
        anyhow::ensure!(
            started.elapsed() < PLANNED_WITHIN,
            "only {} of {BURST} timers fired",
            fired.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let written = spans(&fired, |one| Some(one.written_ms))?;
    let last = Measure::new(
        SUITE,
        "10,000 at one instant: the last event is written after",
        written.max_ms(),
        "ms",
    );
    results.add(last.at_most(2000.0, "≤ 2 s"));
    results.add(Measure::new(
        SUITE,
        "10,000 at one instant: p50 written after",
        written.ms(50.0),
        "ms",
    ));
    measure::remove_all(&testbed.pool).await?;
    Ok(())
}

/// Very many timers, of which a thousand fire each second.
async fn registered(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let total = testbed.options.timers;
    let before = Memory::now()?;
    testbed.stop().await?;
    let mut made = 0;
    while made < total {
        let to = (made + REGISTERED_AT_ONCE).min(total);
        measure::register_timers(&testbed.pool, "daily", made + 1, to).await?;
        made = to;
        if made % (10 * REGISTERED_AT_ONCE) == 0 {
            progress::show(&format!("  {made} of {total} timers are registered"));
        }
    }
    measure::make_timers(
        &testbed.pool,
        "each",
        EACH_SECOND,
        &json!({"type": "interval", "seconds": 1}),
    )
    .await?;
    measure::quiesce(&testbed.pool).await?;
    let begun = testbed.now().await?;
    testbed.start().await?;
    planned(testbed, total + EACH_SECOND).await?;
    let from = next_second(testbed).await?;
    let fired = observe(testbed, r"bench.each\_%", from, EACH_SECOND).await?;
    let memory = Memory::now()?;
    let first = measure::first_fired(&testbed.pool, begun)
        .await?
        .context("nothing fired")?;
    let full = total >= 1_000_000;
    let name = |what: &str| format!("{} timers registered: {what}", number(total_of(total), ""));
    let start = Measure::new(SUITE, name("start → first event"), seconds(first - begun), "s");
    results.add(if full { start.at_most(5.0, "≤ 5 s") } else { start });
    // What the suites before this one left in this process is not the timers'.
    let grown = memory.own - before.own;
    let grown = Measure::new(SUITE, name("memory of attune grows by"), grown, "MB");
    results.add(if full { grown.at_most(60.0, "≤ 60 MB") } else { grown });
    spans(&fired, |one| Some(one.written_ms))?.add_results(
        results,
        SUITE,
        &name("1,000 fire each second, late when written"),
        |label, measure| match label {
            "p99" if full => measure.at_most(100.0, "≤ 100 ms"),
            _ => measure,
        },
    );
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count far below 2^52")]
fn total_of(total: i64) -> f64 {
    total as f64
}

/// Announces new timers, and waits until they are armed.
async fn planned(testbed: &Testbed, count: i64) -> anyhow::Result<()> {
    testbed.context()?.bus.control(Control::DefinitionsChanged);
    armed(testbed, count).await
}

/// Waits for the requested time and returns what fired: at least 90 % of what should have.
async fn observe(testbed: &Testbed, timers: &str, from: DateTime<Utc>, each_second: i64) -> anyhow::Result<Vec<Fired>> {
    let period = testbed.seconds().max(Duration::from_secs(2));
    let to = from + TimeDelta::from_std(period).context("too long")?;
    while testbed.now().await? < to + TimeDelta::seconds(2) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let fired = measure::fired(&testbed.pool, timers, from, to).await?;
    let expected = each_second * i64::try_from(period.as_secs())?;
    anyhow::ensure!(
        i64::try_from(fired.len())? * 10 >= expected * 9,
        "{} events of timers came, and {expected} were expected",
        fired.len()
    );
    Ok(fired)
}
