//! What the suites of timers share: waiting until timers are armed, and how late their events are.

use crate::{floor::Probe, measure::Fired, result::Measure, span::Spans, testbed::Testbed};
use anyhow::Context as _;
use attune_common::store::timer;
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use std::time::{Duration, Instant};

pub const SUITE: &str = "timers";
pub const PLANNED_WITHIN: Duration = Duration::from_secs(60);

/// Waits until this many timers are armed.
pub async fn armed(testbed: &Testbed, count: i64) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let queried_at = Instant::now();
        let armed = timer::counts(&testbed.pool).await?.active;
        if armed >= count {
            return Ok(());
        }
        anyhow::ensure!(
            started.elapsed() < PLANNED_WITHIN,
            "only {armed} of {count} timers were planned"
        );
        // Counting a million timers takes a while and must not dominate the load of the server.
        tokio::time::sleep(Duration::from_millis(100).max(queried_at.elapsed() * 10)).await;
    }
}

/// The full second that begins in one to two seconds.
pub async fn next_second(testbed: &Testbed) -> anyhow::Result<DateTime<Utc>> {
    Ok(second_after(testbed.now().await?)? + TimeDelta::seconds(1))
}

pub fn second_after(now: DateTime<Utc>) -> anyhow::Result<DateTime<Utc>> {
    let begun = now.duration_trunc(TimeDelta::seconds(1)).context("the clock is odd")?;
    Ok(begun + TimeDelta::seconds(1))
}

/// Compares the median with the floor.
pub fn with_floor(label: &str, measure: Measure, floor: &Probe) -> Measure {
    if label == "p50" {
        measure.relative_to("1 commit", floor.commit_ms)
    } else {
        measure
    }
}

pub fn count(name: &str, count: i32) -> Measure {
    Measure::new(SUITE, name, f64::from(count), "")
}

pub fn spans(fired: &[Fired], late: impl Fn(&Fired) -> Option<f64>) -> anyhow::Result<Spans> {
    let mut spans = Spans::new()?;
    fired.iter().filter_map(late).for_each(|ms| spans.record_ms(ms));
    anyhow::ensure!(spans.len() > 0, "nothing fired");
    Ok(spans)
}
