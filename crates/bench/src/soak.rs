//! A constant load for the requested time: how much grows per hour that must not grow.

use crate::{
    drive::{Target, submit},
    measure::{self, Sizes},
    process::Memory,
    result::{Measure, Results},
    testbed::Testbed,
    throughput::{calibrated, echo},
};
use anyhow::Context as _;
use attune_common::ingest::Ingest;
use std::time::{Duration, Instant};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

const SUITE: &str = "soak";
const SAMPLES: u32 = 60;
const END_WITHIN: Duration = Duration::from_secs(120);
/// The first part of the run fills caches and pools.
const WARM: f64 = 0.2;

struct Sample {
    hours: f64,
    memory: Memory,
    sizes: Sizes,
}

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let action = echo(testbed).await?;
    let target = Target::make(testbed, "soak", 1, &action, None).await?;
    let knee = calibrated(testbed, &target, Duration::from_secs(3)).await?.rate;
    let rate = knee / 2.0;
    results.add(Measure::new(SUITE, "load", rate, "/s").relative_to("shell throughput", knee));
    let since = testbed.now().await?;
    let (sent, samples) = load(testbed, &target, rate).await?;
    testbed.until_idle(END_WITHIN).await?;
    let flow = measure::flow(&testbed.pool, target.trigger, &target.rule_pattern, since).await?;
    anyhow::ensure!(
        u64::try_from(flow.succeeded)? == sent,
        "{} of {sent} executions succeeded",
        flow.succeeded
    );
    results.add(Measure::new(SUITE, "executions", as_f64(sent), ""));
    add_results(results, &samples);
    Ok(())
}

/// Submits events at the rate, and takes samples.
async fn load(testbed: &Testbed, target: &Target, rate: f64) -> anyhow::Result<(u64, Vec<Sample>)> {
    let (period, started) = (testbed.seconds(), Instant::now());
    let ingest = Ingest::start(testbed.context()?);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate.max(1.0)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sample_ticks = interval((period / SAMPLES).max(Duration::from_millis(200)));
    let (mut sent, mut samples, mut requests) = (0, Vec::new(), JoinSet::new());
    while started.elapsed() < period {
        tokio::select! {
            _ = ticks.tick() => {
                let (ingest, event) = (ingest.clone(), target.event());
                requests.spawn(async move { submit(&ingest, event).await });
                sent += 1;
            }
            _ = sample_ticks.tick() => samples.push(Sample {
                hours: started.elapsed().as_secs_f64() / 3600.0,
                memory: Memory::now()?,
                sizes: measure::sizes(&testbed.pool).await?,
            }),
            Some(done) = requests.join_next() => done.context("a request ended early")??,
        }
    }
    while let Some(done) = requests.join_next().await {
        done.context("a request ended early")??;
    }
    Ok((sent, samples))
}

fn add_results(results: &mut Results, samples: &[Sample]) {
    let length = samples.last().map_or(0.0, |last| last.hours);
    let warm: Vec<&Sample> = samples.iter().filter(|sample| sample.hours >= length * WARM).collect();
    let mut line = |name: &str, unit: &'static str, per_hour: &'static str, of: &dyn Fn(&Sample) -> f64| {
        let points: Vec<(f64, f64)> = warm.iter().map(|sample| (sample.hours, of(sample))).collect();
        let last = points.last().map_or(0.0, |point| point.1);
        results.add(Measure::new(SUITE, format!("{name} at the end"), last, unit));
        results.add(Measure::new(SUITE, format!("{name}, slope"), slope(&points), per_hour));
    };
    line("memory of attune", "MB", "MB/h", &|sample| {
        sample.memory.own + sample.memory.supervisor
    });
    line("private memory of PostgreSQL", "MB", "MB/h", &|sample| {
        sample.memory.postgres_private
    });
    line("connections", "", "/h", &|sample| signed(sample.sizes.connections));
    line("the hot queues", "MB", "MB/h", &|sample| {
        signed(sample.sizes.queues) / 1e6
    });
    line("the database, history included", "MB", "MB/h", &|sample| {
        signed(sample.sizes.database) / 1e6
    });
}

/// The least squares' line through some points: how much y rises with x.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = as_f64(points.len() as u64).max(1.0);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let common: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    if spread > 0.0 { common / spread } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
fn signed(count: i64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_what_is_gained_a_unit() {
        assert!((slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) - 2.0).abs() < 1e-9);
        assert!(slope(&[(0.0, 7.0), (5.0, 7.0)]).abs() < 1e-9);
        assert!(slope(&[]).abs() < 1e-9);
    }
}
