//! Throughput: N events in, N executions finished; how many per second, and the cost of each.
//!
//! The time runs from the first event's row to the last execution's end, both by the database's clock. How many is found
//! out by a short run before, so that a run takes about the requested time.

use crate::{
    drive::{Target, flood},
    floor::Probe,
    measure::{self, Counters},
    process::Cpu,
    result::{Measure, Results},
    testbed::Testbed,
};
use anyhow::Context as _;
use chrono::TimeDelta;
use serde_json::json;
use std::time::Duration;

pub const SUITE: &str = "throughput";
const FIRST: u64 = 300;
const COUNT_MAX: u64 = 100_000;
/// Of the limit by key.
const KEYS: u64 = 100;
pub const END_WITHIN: Duration = Duration::from_secs(600);
/// Counters of PostgreSQL may be a second old.
pub const COUNTERS_LAG: Duration = Duration::from_millis(1_500);

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    for (name, action) in [("native", "core.noop"), ("shell", echo(testbed).await?.as_str())] {
        let target = Target::make(testbed, &format!("through_{name}"), 1, action, None).await?;
        let probe = Probe::take(testbed).await?;
        let run = calibrated(testbed, &target, testbed.seconds()).await?;
        add_results(results, name, &run, probe);
    }
    keyed(testbed, results).await
}

/// With one execution at a time for each key, compared with the same load without limits.
async fn keyed(testbed: &Testbed, results: &mut Results) -> anyhow::Result<()> {
    let free = results
        .value(SUITE, &rate_name("native"))
        .context("no native throughput")?;
    let mut target = Target::make(testbed, "through_keyed", 1, "core.noop", None).await?;
    target.sites = KEYS;
    let one_at_a_time = json!({"limit": 1, "key": "{{ event.payload.site }}"});
    measure::limit_rules(&testbed.pool, &target.rule_pattern, &one_at_a_time).await?;
    let run = calibrated(testbed, &target, testbed.seconds()).await?;
    let name = format!("native, one at a time of each of {KEYS} keys");
    let rate = Measure::new(SUITE, rate_name(&name), run.rate, "/s").samples(samples(&run));
    results.add(rate.relative_to("native throughput", free));
    let each = |what: &str, value, unit| Measure::new(SUITE, format!("{name}: {what}"), value, unit);
    results.add(each("CPU per 1,000", run.cpu_per_1000(), "s"));
    results.add(each("commits per execution", run.commits(), ""));
    results.add(each("log bytes per execution", run.log_bytes(), "B"));
    Ok(())
}

/// The action that everything that starts a process is measured with.
pub async fn echo(testbed: &Testbed) -> anyhow::Result<String> {
    Ok(measure::make_shell_action(&testbed.pool, "echo_hi", "echo hi").await?)
}

/// One run that really happened.
pub struct Run {
    pub count: f64,
    pub rate: f64,
    pub cpu: Cpu,
    pub before: Counters,
    pub after: Counters,
}

/// As many events as about `period` is enough for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count between two bounds"
)]
pub async fn calibrated(testbed: &Testbed, target: &Target, period: Duration) -> anyhow::Result<Run> {
    let first = once(testbed, target, FIRST).await?;
    let count = (first.rate * period.as_secs_f64()) as u64;
    once(testbed, target, count.clamp(FIRST, COUNT_MAX)).await
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub async fn once(testbed: &Testbed, target: &Target, count: u64) -> anyhow::Result<Run> {
    testbed.until_idle(END_WITHIN).await?;
    tokio::time::sleep(COUNTERS_LAG).await;
    let (since, before, cpu) = (
        testbed.now().await?,
        measure::counters(&testbed.pool).await?,
        Cpu::now()?,
    );
    flood(testbed.context()?, target, count).await?;
    testbed.until_idle(END_WITHIN).await?;
    let cpu = Cpu::now()? - cpu;
    tokio::time::sleep(COUNTERS_LAG).await;
    let after = measure::counters(&testbed.pool).await?;
    let flow = measure::flow(&testbed.pool, target.trigger, &target.rule_pattern, since).await?;
    anyhow::ensure!(
        u64::try_from(flow.succeeded).is_ok_and(|succeeded| succeeded == count) && flow.executions == flow.succeeded,
        "of {count} events {} executions came, and {} succeeded",
        flow.executions,
        flow.succeeded
    );
    let span = flow
        .last_finished_at
        .zip(flow.first_received_at)
        .context("nothing happened")?;
    Ok(Run {
        count: count as f64,
        rate: count as f64 / seconds(span.0 - span.1),
        cpu,
        before,
        after,
    })
}

pub fn seconds(span: TimeDelta) -> f64 {
    span.to_std().unwrap_or_default().as_secs_f64().max(1e-6)
}

impl Run {
    pub fn cpu_per_1000(&self) -> f64 {
        self.cpu.total() * 1000.0 / self.count
    }

    pub fn log_bytes(&self) -> f64 {
        (self.after.wal_bytes - self.before.wal_bytes) / self.count
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn commits(&self) -> f64 {
        (self.after.commits - self.before.commits) as f64 / self.count
    }
}

fn add_results(results: &mut Results, name: &str, run: &Run, probe: Probe) {
    let rate = Measure::new(SUITE, rate_name(name), run.rate, "/s").samples(samples(run));
    let native = name == "native";
    results.add(if native {
        let commits = probe.commits_per_second;
        rate.relative_to("commits/s of 1 client", commits)
            .at_least(2.0 * commits, "≥ 2 × the commits/s of 1 client")
    } else {
        let spawns = probe.spawns_per_second;
        rate.relative_to("spawns/s, best of 2 and 4 at a time", spawns)
            .at_least(0.5 * spawns, "≥ 0.5 × the spawns/s")
    });
    add_cpu_results(results, name, run, (!native).then_some(probe.spawn_cpu_per_1000));
    add_database_results(results, name, run);
}

/// The name of the rate, by which other suites find it.
pub fn rate_name(name: &str) -> String {
    format!("{name}: events → finished executions")
}

fn add_cpu_results(results: &mut Results, name: &str, run: &Run, spawn: Option<f64>) {
    let per_1000 = 1000.0 / run.count;
    let total = Measure::new(SUITE, format!("{name}: CPU per 1,000"), run.cpu.total() * per_1000, "s");
    results.add(match spawn {
        Some(floor) => total.relative_to("the spawn alone", floor),
        None => total,
    });
    let parts = [
        ("attune", run.cpu.own),
        ("supervisor", run.cpu.supervisor),
        ("the actions", run.cpu.actions),
        ("PostgreSQL", run.cpu.postgres),
    ];
    for (part, cpu) in parts {
        results.add(Measure::new(
            SUITE,
            format!("{name}: CPU per 1,000, {part}"),
            cpu * per_1000,
            "s",
        ));
    }
    if let Some(floor) = spawn {
        let extra = run.cpu.total() * per_1000 - floor;
        let name = format!("{name}: CPU per 1,000 in addition to the spawn");
        results.add(Measure::new(SUITE, name, extra, "s").at_most(2.0, "≤ 2 s"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn add_database_results(results: &mut Results, name: &str, run: &Run) {
    let (before, after) = (&run.before, &run.after);
    let each = |what: &str, total: f64, unit| {
        Measure::new(SUITE, format!("{name}: {what} per execution"), total / run.count, unit)
    };
    results.add(each("commits", (after.commits - before.commits) as f64, ""));
    results.add(each(
        "flushes of the log",
        (after.wal_syncs - before.wal_syncs) as f64,
        "",
    ));
    results.add(each("log records", (after.wal_records - before.wal_records) as f64, ""));
    results.add(each("log bytes", after.wal_bytes - before.wal_bytes, "B"));
    for (table, share) in hot_shares(before, after) {
        let name = format!("{name}: heap-only updates of {table}");
        results.add(Measure::new(SUITE, name, share, "%"));
    }
}

/// How many of the updates of each hot table touched no index, in percent.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub fn hot_shares(before: &Counters, after: &Counters) -> [(&'static str, f64); 3] {
    let share = |of: fn(&Counters) -> (i64, i64)| {
        let ((hot, all), (hot_before, all_before)) = (of(after), of(before));
        100.0 * (hot - hot_before) as f64 / (all - all_before).max(1) as f64
    };
    [
        ("execution", share(|c| (c.execution_hot_updates, c.execution_updates))),
        (
            "event_queue",
            share(|c| (c.event_queue_hot_updates, c.event_queue_updates)),
        ),
        (
            "execution_queue",
            share(|c| (c.execution_queue_hot_updates, c.execution_queue_updates)),
        ),
    ]
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count")]
pub fn samples(run: &Run) -> u64 {
    run.count as u64
}
