//! Writes docs/reports/benchmarks.md: the results, the machine, the floors, the goals, and how to repeat the run.

use crate::{
    machine::Machine,
    plot,
    result::{Results, number},
    table::{self, Row},
};
use anyhow::Context as _;
use chrono::{DateTime, Utc};
use std::{fmt::Write as _, path::Path};

pub struct Report<'a> {
    pub machine: &'a Machine,
    pub results: &'a Results,
    pub at: DateTime<Utc>,
    pub took_seconds: u64,
    pub command: &'a str,
}

const READING: &str = "\
Every number is compared with the floor of the same machine, measured in the same run: durable commits of the same PostgreSQL
(`pgbench -N -M prepared`, and one insert after another on one connection) and plain starts of `/bin/sh -c 'echo hi'`.
Right before each suite the floors it is held against are taken anew. **Ratios can be carried to another machine, absolute
numbers cannot.** Everything runs on the one machine: PostgreSQL with fsync, all services in one process, the actions, and
what makes the load. Whatever was expected to happen is counted afterwards in the ledger: a run where something is missing
is an error, not a number.

- *accepted*: the event is committed (`Ingest::submit` returned). *started*: the action's first command ran; it
  reports through a pipe, which costs about 20 µs. *finished*: the result is committed, as announced on the bus.
- *… ms after the one before* is the same commit and the same spawn when the machine rests in between, as it does at that
  rate. No goal is held against it.
- *CPU per 1,000* counts this process (with what makes the load), the supervisor, the actions and PostgreSQL, from /proc.
- *late when written*: the timer's event was inserted, its commit follows. *late when decided*: the executor, which sees
  the event only after the commit, decided it. *Event committed* lies between the two.
";

pub fn write(report: &Report<'_>, file: &Path) -> anyhow::Result<()> {
    let picture = file.with_file_name("benchmarks.svg");
    let svg = plot::svg(&report.results.distributions);
    if let Some(svg) = &svg {
        std::fs::write(&picture, svg).with_context(|| format!("failed to write {}", picture.display()))?;
    }
    let text = markdown(report, svg.is_some());
    std::fs::write(file, text).with_context(|| format!("failed to write {}", file.display()))
}

fn markdown(report: &Report<'_>, plotted: bool) -> String {
    let (rows, results) = (table::rows(&report.results.measures), report.results);
    let mut text = "# Benchmarks\n\n<!-- Written by `attune-bench --report`; do not edit. -->\n\n".to_owned();
    surroundings(&mut text, report);
    text.push_str("\n## How to read it\n\n");
    text.push_str(READING);
    goals(&mut text, results);
    let mut suite = "";
    for row in &rows {
        if row.suite != suite {
            suite = row.suite;
            let _ = write!(text, "\n## {suite}\n\n");
            for note in results.notes.iter().filter(|note| note.suite == suite) {
                let _ = writeln!(text, "{}\n", note.text);
            }
            text.push_str("| what | measured | relative to its floor | goal |\n|---|---|---|---|\n");
        }
        line(&mut text, row);
    }
    if plotted {
        text.push_str(
            "\n## Distributions\n\n![milliseconds against the share of what was at least so quick](benchmarks.svg)\n",
        );
    }
    let _ = write!(
        text,
        "\n## How to repeat it\n\n```sh\ncargo build --release -p attune -p attune-bench\n{}\n```\n\nIt starts a private PostgreSQL in a temporary folder and removes it. `attune-bench --help` names the suites; \
         `--json FILE` writes the same for machines.\n",
        report.command
    );
    text
}

fn surroundings(text: &mut String, report: &Report<'_>) {
    let machine = report.machine;
    let postgres = &machine.postgres;
    let _ = writeln!(
        text,
        "Measured on {} in {} s: {} cores ({}), {:.0} GB of memory, Linux {}, load {} before the run and {} after it; PostgreSQL {} with \
         fsync = {}, synchronous_commit = {}, wal_sync_method = {}, wal_level = {}, shared_buffers = {}; attune {}{}.",
        report.at.format("%Y-%m-%d %H:%M UTC"),
        report.took_seconds,
        machine.cores,
        machine.processor,
        machine.memory_gb,
        machine.kernel,
        machine.load_before,
        machine.load_after,
        postgres.version,
        postgres.fsync,
        postgres.synchronous_commit,
        postgres.wal_sync_method,
        postgres.wal_level,
        postgres.shared_buffers,
        env!("CARGO_PKG_VERSION"),
        if machine.optimized {
            ""
        } else {
            ", **built without optimisation: the numbers are useless**"
        },
    );
}

fn goals(text: &mut String, results: &Results) {
    let held: Vec<_> = results
        .measures
        .iter()
        .filter_map(|m| Some((m, m.goal.as_ref()?)))
        .collect();
    if held.is_empty() {
        return;
    }
    let met = held.iter().filter(|(_, goal)| goal.met).count();
    let _ = write!(
        text,
        "\n## Goals\n\n{met} of {} goals are met.\n\n| goal | limit | measured | |\n|---|---|---|---|\n",
        held.len()
    );
    for (measure, goal) in held {
        let ends = if goal.met {
            "met".to_owned()
        } else {
            format!("**missed**: {:.2} × the limit", goal.of_limit)
        };
        let value = number(measure.value, measure.unit);
        let _ = writeln!(
            text,
            "| {}: {} | {} | {value} | {ends} |",
            measure.suite,
            cell(&measure.name),
            cell(&goal.text)
        );
    }
}

fn line(text: &mut String, row: &Row) {
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} |",
        cell(&row.name),
        cell(&row.value),
        cell(&row.floor),
        cell(&row.goal)
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
