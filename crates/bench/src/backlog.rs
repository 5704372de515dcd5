//! A backlog of pending executions, made without a worker; then workers start.

use crate::{
    drive::{Target, flood},
    measure,
    result::{Measure, Results},
    testbed::Testbed,
    throughput::{self, calibrated, rate_name, seconds},
};
use anyhow::Context as _;
use attune_common::store::event_queue;
use std::time::{Duration, Instant};

const SUITE: &str = "backlog";
const WITHIN: Duration = Duration::from_secs(900);

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub async fn run(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let count = testbed.options.backlog;
    let target = Target::make(testbed, "backlog", 1, "core.noop", None).await?;
    let steady = match results.value(throughput::SUITE, &rate_name("native")) {
        Some(rate) => rate,
        None => calibrated(testbed, &target, testbed.seconds()).await?.rate,
    };
    testbed.until_idle(WITHIN).await?;
    testbed.stop().await?;
    testbed.start_executor().await?;
    let since = testbed.now().await?;
    flood(testbed.context()?, &target, count).await?;
    decided(testbed).await?;
    let flow = measure::flow(&testbed.pool, target.trigger, &target.rule_pattern, since).await?;
    anyhow::ensure!(
        u64::try_from(flow.executions)? == count,
        "{} of {count} executions are pending",
        flow.executions
    );
    let span = flow
        .last_created_at
        .zip(flow.first_received_at)
        .context("nothing was decided")?;
    let name = "events → pending executions, without a worker";
    results.add(Measure::new(SUITE, name, count as f64 / seconds(span.0 - span.1), "/s").samples(count));

    testbed.stop().await?;
    testbed.start().await?;
    testbed.until_idle(WITHIN).await?;
    let flow = measure::flow(&testbed.pool, target.trigger, &target.rule_pattern, since).await?;
    anyhow::ensure!(
        u64::try_from(flow.succeeded)? == count,
        "{} of {count} executions succeeded",
        flow.succeeded
    );
    let span = flow
        .last_finished_at
        .zip(flow.first_started_at)
        .context("nothing was started")?;
    let drained = Measure::new(
        SUITE,
        format!("{count} pending native executions drained"),
        count as f64 / seconds(span.0 - span.1),
        "/s",
    );
    results.add(
        drained
            .samples(count)
            .relative_to("native throughput", steady)
            .at_least(0.8 * steady, "≥ 0.8 × the native throughput"),
    );
    Ok(())
}

/// Waits until every event is decided.
async fn decided(testbed: &Testbed) -> anyhow::Result<()> {
    let started = Instant::now();
    while event_queue::depth(&testbed.pool).await?.pending > 0 {
        anyhow::ensure!(started.elapsed() < WITHIN, "events were still pending after {WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
