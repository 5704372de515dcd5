//! `attune bench`: how fast Attune is on this machine, beside what the machine can do at best.
//!
//! It measures the services as `attune up` starts them, on a private PostgreSQL that flushes every commit. Floors are
//! measured in the same run, and everything that is told is a ratio to them. What was expected to happen is counted in the
//! ledger afterwards: a run where nothing started is an error.

mod backlog;
mod committed;
mod cost;
mod drive;
mod floor;
mod footprint;
mod history;
mod latency;
mod machine;
mod many;
mod options;
mod plot;
mod process;
mod report;
mod result;
mod scale;
mod sensor;
mod soak;
mod span;
mod stage;
mod table;
mod takeover;
mod throughput;
mod timers;
mod trace;
mod webhooks;

pub use options::Options;

use anyhow::Context as _;
use attune_common::{clock, store::measure};
use machine::Machine;
use options::Suite;
use report::Report;
use result::Results;
use serde_json::json;
use stage::Stage;
use std::time::Instant;

pub fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    if options.be_sensor {
        return runtime.block_on(sensor::run(options));
    }
    runtime.block_on(measured(options.clone()))
}

async fn measured(options: Options) -> anyhow::Result<()> {
    let (at, started) = (clock::now(), Instant::now());
    progress("starting PostgreSQL and the services");
    let mut stage = Stage::open(options.clone()).await?;
    let mut machine = Machine::look(measure::server(&stage.pool).await?);
    let mut results = Results::default();
    let outcome = suites(&mut stage, &mut results, &options.suites()).await;
    stage.close().await?;
    outcome?;

    machine.load_after = machine::load();
    let took_seconds = started.elapsed().as_secs();
    print!("{}", table::text(&table::rows(&results.measures)));
    if let Some(file) = &options.json {
        let all = json!({
            "at": at, "took_seconds": took_seconds, "command": options.command(), "machine": machine, "results": results,
        });
        let text = serde_json::to_string_pretty(&all)?;
        std::fs::write(file, text).with_context(|| format!("failed to write {}", file.display()))?;
    }
    if let Some(file) = &options.report {
        let report = Report {
            machine: &machine,
            results: &results,
            at,
            took_seconds,
            command: &options.command(),
        };
        report::write(&report, file)?;
    }
    Ok(())
}

async fn suites(stage: &mut Stage, results: &mut Results, asked: &[Suite]) -> anyhow::Result<()> {
    for suite in asked {
        progress(&format!("{suite:?}").to_lowercase());
        let measured = match suite {
            Suite::Footprint => footprint::run(stage, results).await,
            Suite::Floors => floor::run(stage, results).await,
            Suite::Latency => latency::run(stage, results).await,
            Suite::Webhooks => webhooks::run(stage, results).await,
            Suite::Throughput => throughput::run(stage, results).await,
            Suite::Cost => cost::run(stage, results).await,
            Suite::History => history::run(stage, results).await,
            Suite::Fanout => many::fanout(stage, results).await,
            Suite::Rules => many::rules(stage, results).await,
            Suite::Backlog => backlog::run(stage, results).await,
            Suite::Scale => scale::run(stage, results).await,
            Suite::Soak => soak::run(stage, results).await,
            Suite::Timers => timers::run(stage, results).await,
            Suite::All => Ok(()),
        };
        measured.with_context(|| format!("the suite {suite:?} did not come to its end"))?;
        if Some(suite) != asked.last() {
            measure::remove_all(&stage.pool).await?;
            measure::settle(&stage.pool).await?;
        }
    }
    Ok(())
}

/// A line while it runs; the table comes at the end.
fn progress(line: &str) {
    eprintln!("{line}");
}
