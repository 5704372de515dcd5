//! `attune-bench`: measures how fast Attune is on this machine, relative to the best that the machine can do.
//!
//! It measures the services as `attune up` starts them, on a private PostgreSQL that flushes every commit. Floors are
//! measured in the same run, and results are ratios to them. Afterwards the database is checked for what should have
//! happened: a run in which nothing started is an error.

mod backlog;
mod client;
mod committed;
mod cost;
mod drive;
mod files;
mod fired;
mod floor;
mod footprint;
mod history;
mod http;
mod languages;
mod latency;
mod machine;
mod many;
mod measure;
mod options;
mod plot;
mod process;
mod progress;
mod report;
mod result;
mod scale;
mod sensor;
mod soak;
mod span;
mod table;
mod takeover;
mod testbed;
mod throughput;
mod timers;
mod trace;
mod webhooks;

use anyhow::Context as _;
use attune_common::{clock, service::error_chain};
use clap::Parser as _;
use machine::Machine;
use options::{Options, Suite};
use report::Report;
use result::Results;
use serde_json::json;
use std::{process::ExitCode, time::Instant};
use testbed::Testbed;

fn main() -> ExitCode {
    // The worker starts this program a second time, as the supervisor of its actions.
    if let Some(code) = attune_worker::supervisor::run_if_requested() {
        return code;
    }
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("attune-bench: {}", error_chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
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
    progress::show("starting PostgreSQL and the services");
    let mut testbed = Testbed::open(options.clone()).await?;
    let mut machine = Machine::detect(measure::server(&testbed.pool).await?);
    let mut results = Results::default();
    let outcome = suites(&mut testbed, &mut results, &options.suites()).await;
    testbed.close().await?;
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

async fn suites(testbed: &mut Testbed, results: &mut Results, selected: &[Suite]) -> anyhow::Result<()> {
    for suite in selected {
        progress::show(&format!("{suite:?}").to_lowercase());
        let measured = match suite {
            Suite::Footprint => footprint::run(testbed, results).await,
            Suite::Floors => floor::run(testbed, results).await,
            Suite::Latency => latency::run(testbed, results).await,
            Suite::Http => match http::run(testbed, results).await {
                Ok(()) => languages::http(testbed, results).await,
                failed => failed,
            },
            Suite::Webhooks => webhooks::run(testbed, results).await,
            Suite::Throughput => throughput::run(testbed, results).await,
            Suite::Cost => cost::run(testbed, results).await,
            Suite::History => history::run(testbed, results).await,
            Suite::Python => languages::python(testbed, results).await,
            Suite::Fanout => many::fanout(testbed, results).await,
            Suite::Rules => many::rules(testbed, results).await,
            Suite::Backlog => backlog::run(testbed, results).await,
            Suite::Scale => scale::run(testbed, results).await,
            Suite::Files => files::run(testbed, results).await,
            Suite::Soak => soak::run(testbed, results).await,
            Suite::Timers => timers::run(testbed, results).await,
            Suite::All => Ok(()),
        };
        measured.with_context(|| format!("the suite {suite:?} failed"))?;
        if Some(suite) != selected.last() {
            measure::remove_all(&testbed.pool).await?;
            measure::quiesce(&testbed.pool).await?;
        }
    }
    Ok(())
}
