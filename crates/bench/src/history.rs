//! Does an execution cost more when there is a past? The same load, first with next to nothing, then with a million
//! executions of the last three months, a partition a day.

use crate::{
    drive::{Target, submit},
    measure,
    result::{Measure, Results},
    testbed::Testbed,
    throughput::{END_WITHIN, Run, calibrated, once, seconds},
};
use anyhow::Context as _;
use attune_common::ingest::Ingest;

const SUITE: &str = "history";
const DAYS: i32 = 90;
const ONE_BY_ONE: u64 = 100;
const LEAST: i64 = 1_000;

struct Seen {
    run: Run,
    /// From the event's row to the execution's end, one at a time.
    median_ms: f64,
}

pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let target = Target::make(testbed, "history", 1, "core.noop", None).await?;
    let little = measure_with(testbed, &target, LEAST, None).await?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was a count")]
    let count = little.run.count as u64;
    let much = measure_with(testbed, &target, testbed.options.history, Some(count)).await?;
    measure::drop_history(&testbed.pool, DAYS).await?;
    add_results(results, testbed.options.history, &little, &much);
    Ok(())
}

/// Measures with this many rows of history. Services are restarted, so that their statements are planned for these rows.
async fn measure_with(testbed: &mut Testbed, target: &Target, rows: i64, count: Option<u64>) -> anyhow::Result<Seen> {
    testbed.stop().await?;
    measure::drop_history(&testbed.pool, DAYS).await?;
    measure::fill_history(&testbed.pool, target.trigger, rows, DAYS).await?;
    measure::quiesce(&testbed.pool).await?;
    testbed.start().await?;
    let run = match count {
        Some(count) => {
            once(testbed, target, count.min(1_000)).await?;
            once(testbed, target, count).await?
        }
        None => calibrated(testbed, target, testbed.seconds()).await?,
    };
    let mut spans = crate::span::Spans::new()?;
    let ingest = Ingest::start(testbed.context()?);
    for _ in 0..ONE_BY_ONE {
        let since = testbed.now().await?;
        submit(&ingest, target.event()).await?;
        testbed.until_idle(END_WITHIN).await?;
        let flow = measure::flow(&testbed.pool, target.trigger, &target.rule_pattern, since).await?;
        let span = flow
            .last_finished_at
            .zip(flow.first_received_at)
            .context("nothing ended")?;
        spans.record_ms(seconds(span.0 - span.1) * 1000.0);
    }
    Ok(Seen {
        run,
        median_ms: spans.ms(50.0),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn add_results(results: &mut Results, rows: i64, little: &Seen, much: &Seen) {
    let mut both = |what: &str, unit, of: &dyn Fn(&Seen) -> f64, limit: Option<f64>| {
        let (before, after) = (of(little), of(much));
        results.add(Measure::new(
            SUITE,
            format!("{what}, {LEAST} rows of history"),
            before,
            unit,
        ));
        let measure = Measure::new(
            SUITE,
            format!("{what}, {rows} rows of history in {DAYS} days"),
            after,
            unit,
        )
        .relative_to(format!("{LEAST} rows"), before);
        results.add(match limit {
            Some(limit) => measure.at_most(limit * before, format!("≤ {limit} × that of {LEAST} rows")),
            None => measure,
        });
    };
    let cpu = |seen: &Seen| (seen.run.cpu.own + seen.run.cpu.postgres) / seen.run.count * 1e6;
    let log = |seen: &Seen| (seen.run.after.wal_bytes - seen.run.before.wal_bytes) / seen.run.count;
    let records = |seen: &Seen| (seen.run.after.wal_records - seen.run.before.wal_records) as f64 / seen.run.count;
    both("CPU of an execution", "µs", &cpu, Some(1.15));
    both("log records of an execution", "", &records, Some(1.15));
    both("log of an execution", "B", &log, None);
    both("native throughput", "/s", &|seen| seen.run.rate, None);
    both("event's row → end, p50", "ms", &|seen| seen.median_ms, Some(1.25));
}
