//! File watches: ten thousand files at once, the delay of single files, and what a hundred thousand known files cost while
//! nothing happens.

use crate::{
    measure,
    process::Cpu,
    result::{Measure, Results},
    span::Spans,
    testbed::Testbed,
};
use anyhow::Context as _;
use attune_common::bus::Control;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const SUITE: &str = "files";
const AT_ONCE: i64 = 10_000;
const KNOWN: i64 = 100_000;
const SINGLE: i64 = 40;
const STABLE_FOR: Duration = Duration::from_millis(500);
const WITHIN: Duration = Duration::from_secs(120);

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let idle = idle_cpu(testbed.seconds().min(Duration::from_secs(20))).await?;
    at_once(testbed, results).await?;
    single(testbed, results).await?;
    known(testbed, results, idle).await
}

async fn at_once(testbed: &Testbed, results: &mut Results) -> anyhow::Result<()> {
    let folder = watch(testbed, "at_once", json!({"on": ["created"]})).await?;
    let began = Instant::now();
    fill(&folder, AT_ONCE)?;
    let written = began.elapsed();
    let stable_at = Instant::now() + STABLE_FOR;
    let (events, files) = reported(testbed, "at_once", AT_ONCE).await?;
    let late = Instant::now().saturating_duration_since(stable_at).as_secs_f64();
    let name = "10,000 files at once: the last is stable → the last event";
    results.add(Measure::new(SUITE, name, late, "s").at_most(5.0, "≤ 5 s"));
    let twice = i32::try_from(events - files)?;
    results.add(Measure::new(SUITE, "10,000 files at once: repeated events", f64::from(twice), "").at_most(0.0, "0"));
    let name = "10,000 files at once: writing them takes";
    results.add(Measure::new(SUITE, name, written.as_secs_f64(), "s"));
    Ok(())
}

async fn single(testbed: &Testbed, results: &mut Results) -> anyhow::Result<()> {
    let folder = watch(testbed, "single", json!({"on": ["created"]})).await?;
    let mut spans = Spans::new()?;
    for number in 1..=SINGLE {
        let written = Instant::now();
        fs::write(folder.join(number.to_string()), "x").context("failed to write a file")?;
        reported(testbed, "single", number).await?;
        spans.record(written.elapsed().saturating_sub(STABLE_FOR));
    }
    let name = "a single file: stable → event";
    spans.add_results(results, SUITE, name, |label, measure| match label {
        "p50" => measure.at_most(50.0, "≤ 50 ms"),
        _ => measure,
    });
    Ok(())
}

async fn known(testbed: &Testbed, results: &mut Results, idle: f64) -> anyhow::Result<()> {
    let folder = folder(testbed, "known")?;
    fill(&folder, KNOWN)?;
    let began = Instant::now();
    define(testbed, "known", &folder, json!({"rescan_seconds": 60})).await?;
    let name = "100,000 files: the first scan takes";
    results.add(Measure::new(SUITE, name, began.elapsed().as_secs_f64(), "s"));
    // A minute contains one scan.
    let share = idle_cpu(Duration::from_secs(60)).await? - idle;
    let name = "100,000 known files: CPU while idle, besides that of the other services";
    results.add(Measure::new(SUITE, name, share.max(0.0), "% of a core").at_most(0.2, "≤ 0.2 %"));
    Ok(())
}

/// The CPU of this process while nothing happens, in percent.
async fn idle_cpu(period: Duration) -> anyhow::Result<f64> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = Cpu::now()?;
    tokio::time::sleep(period).await;
    let used = Cpu::now()? - before;
    Ok(used.own / period.as_secs_f64() * 100.0)
}

fn folder(testbed: &Testbed, name: &str) -> anyhow::Result<PathBuf> {
    let folder = testbed.folder().join("files").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    Ok(folder)
}

async fn watch(testbed: &Testbed, name: &str, config: Value) -> anyhow::Result<PathBuf> {
    let folder = folder(testbed, name)?;
    define(testbed, name, &folder, config).await?;
    Ok(folder)
}

/// Defines a file watch, and waits for its first scan.
async fn define(testbed: &Testbed, name: &str, folder: &Path, mut config: Value) -> anyhow::Result<()> {
    config["path"] = json!(folder);
    config["stable_for_seconds"] = json!(STABLE_FOR.as_secs_f64());
    measure::make_file_watch(&testbed.pool, name, &config).await?;
    testbed.context()?.bus.control(Control::DefinitionsChanged);
    let began = Instant::now();
    while !measure::is_scanned(&testbed.pool, name).await? {
        anyhow::ensure!(began.elapsed() < WITHIN, "the directory was not scanned");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn fill(folder: &Path, count: i64) -> anyhow::Result<()> {
    for number in 0..count {
        fs::write(folder.join(format!("{number}.csv")), "x").context("failed to write a file")?;
    }
    Ok(())
}

/// Waits for this many events.
async fn reported(testbed: &Testbed, name: &str, count: i64) -> anyhow::Result<(i64, i64)> {
    let began = Instant::now();
    loop {
        let (events, files) = measure::file_events(&testbed.pool, name).await?;
        if files >= count {
            return Ok((events, files));
        }
        anyhow::ensure!(began.elapsed() < WITHIN, "only {files} of {count} files were reported");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
