//! Many rules on one trigger: all of them match (`fanout`), or none does (`rules`).

use crate::{
    drive::{Target, flood},
    floor::Probe,
    measure,
    result::{Measure, Results},
    span::Spans,
    testbed::Testbed,
    throughput::{echo, seconds},
};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const FANOUT: i64 = 500;
const EVENTS: usize = 5;
const END_WITHIN: Duration = Duration::from_secs(120);

pub async fn fanout(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    const SUITE: &str = "fanout";
    let action = echo(testbed).await?;
    let target = Target::make(testbed, "fanout", FANOUT, &action, None).await?;
    let probe = Probe::take(testbed).await?;
    let (mut started, mut finished) = (Spans::new()?, Spans::new()?);
    for event in 0..=EVENTS {
        let since = testbed.now().await?;
        flood(testbed.context()?, &target, 1).await?;
        testbed.until_idle(END_WITHIN).await?;
        let flow = measure::flow(&testbed.pool, target.trigger, &target.rule_pattern, since).await?;
        anyhow::ensure!(
            flow.succeeded == FANOUT,
            "{} of {FANOUT} executions succeeded",
            flow.succeeded
        );
        let received = flow.first_received_at.context("no event came")?;
        // The first one compiles the rules.
        if event > 0 {
            let since_event = |at: Option<_>| at.map_or(0.0, |at| seconds(at - received) * 1000.0);
            started.record_ms(since_event(flow.last_started_at));
            finished.record_ms(since_event(flow.last_finished_at));
        }
    }
    let floor = 500.0 / probe.spawns_per_second * 1000.0;
    let median = |name: &str, spans: &Spans| Measure::new(SUITE, name, spans.ms(50.0), "ms").samples(spans.len());
    results.add(
        median("one event × 500 rules: received → last start", &started)
            .relative_to("500 spawns", floor)
            .at_most(1000.0, "≤ 1 s"),
    );
    results.add(median("one event × 500 rules: received → last end", &finished).relative_to("500 spawns", floor));
    Ok(())
}

pub async fn rules(testbed: &mut Testbed, results: &mut Results) -> anyhow::Result<()> {
    let expression = json!("event.payload.site == 'B' and event.payload.temperature > 30");
    let list = json!({"all": [
        {"path": "event.payload.site", "operator": "equals", "value": "B"},
        {"path": "event.payload.temperature", "operator": "greater_than", "value": 30},
    ]});
    for (name, condition) in [("expression", expression), ("operators", list)] {
        evaluations(testbed, results, name, &condition).await?;
    }
    Ok(())
}

async fn evaluations(testbed: &Testbed, results: &mut Results, name: &str, condition: &Value) -> anyhow::Result<()> {
    const SUITE: &str = "rules";
    let count = testbed.options.rules;
    let target = Target::make(testbed, &format!("rules_{name}"), count, "core.noop", Some(condition)).await?;
    let started = Instant::now();
    let first = decide(testbed, &target, 1).await?;
    anyhow::ensure!(first > 0.0, "nothing was decided");
    let loading = Measure::new(
        SUITE,
        format!("{name}: definitions changed → first event of {count} rules decided"),
        started.elapsed().as_secs_f64() * 1000.0,
        "ms",
    );
    results.add(loading);
    // About as many as fit into the requested time.
    let rate = decide(testbed, &target, 20).await?;
    let events = events_for(rate, count, testbed.seconds());
    let rate = decide(testbed, &target, events).await?;
    results.add(Measure::new(
        SUITE,
        format!("{name}: evaluations of {count} rules on one trigger"),
        rate,
        "/s",
    ));
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a count between two bounds"
)]
fn events_for(rate: f64, rules: i64, period: Duration) -> u64 {
    ((rate * period.as_secs_f64() / rules as f64) as u64).clamp(20, 20_000)
}

/// Lets `count` events be decided. Returns evaluations a second, from the first event's row to the last decision.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
async fn decide(testbed: &Testbed, target: &Target, count: u64) -> anyhow::Result<f64> {
    let since = testbed.now().await?;
    flood(testbed.context()?, target, count).await?;
    testbed.until_idle(END_WITHIN).await?;
    let decided = measure::decided(&testbed.pool, target.trigger, since).await?;
    let expected = i64::try_from(count)? * i64::try_from(target.rules.len())?;
    anyhow::ensure!(
        decided.rules == expected,
        "{} rules were evaluated for {} events, and {expected} were expected",
        decided.rules,
        decided.events
    );
    let span = decided
        .last_decided_at
        .zip(decided.first_received_at)
        .context("nothing was decided")?;
    Ok(decided.rules as f64 / seconds(span.0 - span.1))
}
