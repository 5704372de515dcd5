//! A backlog of pending executions, made without a worker; then workers start.

use super::{
    drive::{Target, flood},
    result::{Measure, Results},
    stage::Stage,
    throughput::{self, calibrated, rate_name, seconds},
};
use anyhow::Context as _;
use attune_common::store::{event_queue, measure};
use std::time::{Duration, Instant};

const SUITE: &str = "backlog";
const WITHIN: Duration = Duration::from_secs(900);

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub async fn run(stage: &mut Stage, results: &mut Results) -> anyhow::Result<()> {
    let count = stage.options.backlog;
    let target = Target::make(stage, "backlog", 1, "core.noop", None).await?;
    let steady = match results.value(throughput::SUITE, &rate_name("native")) {
        Some(rate) => rate,
        None => calibrated(stage, &target, stage.seconds()).await?.rate,
    };
    stage.until_idle(WITHIN).await?;
    stage.stop().await?;
    stage.start_executor().await?;
    let since = stage.now().await?;
    flood(stage.context()?, &target, count).await?;
    decided(stage).await?;
    let flow = measure::flow(&stage.pool, target.trigger, &target.rule_pattern, since).await?;
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

    stage.stop().await?;
    stage.start().await?;
    stage.until_idle(WITHIN).await?;
    let flow = measure::flow(&stage.pool, target.trigger, &target.rule_pattern, since).await?;
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
            .beside("native throughput", steady)
            .at_least(0.8 * steady, "≥ 0.8 × the native throughput"),
    );
    Ok(())
}

/// Waits until every event is decided.
async fn decided(stage: &Stage) -> anyhow::Result<()> {
    let started = Instant::now();
    while event_queue::depth(&stage.pool).await?.pending > 0 {
        anyhow::ensure!(started.elapsed() < WITHIN, "events were still pending after {WITHIN:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
