//! `attune check`: checks the invariants of the rows in one snapshot of the database.

use crate::{
    cli::Check,
    database::{self, Database},
};
use anyhow::Context as _;
use attune_common::store::invariants::{self, Violation};
use serde_json::{Value, json};
use std::{
    error::Error,
    fmt::{self, Write as _},
};

/// How many violating rows the text output shows for each invariant.
const ROWS_SHOWN: usize = 3;

pub fn run(options: &Check) -> anyhow::Result<()> {
    database::with(&options.database, |on| check(on, options))
}

async fn check(on: Database, options: &Check) -> anyhow::Result<()> {
    let found = invariants::snapshot(&on.pool)
        .await
        .context("failed to check the invariants")?;
    let checks: Vec<Checked> = checked(options.idle, &found).collect();
    if options.json {
        println!("{}", as_json(&checks));
    } else {
        print!("{}", as_text(&checks, options.idle));
    }
    let broken = checks.iter().filter(|check| !check.rows.is_empty()).count();
    anyhow::ensure!(
        broken == 0,
        Violated {
            broken,
            of: checks.len()
        }
    );
    Ok(())
}

/// At least one invariant is violated.
#[derive(Debug)]
pub struct Violated {
    broken: usize,
    of: usize,
}

impl fmt::Display for Violated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} invariants are violated. Check again in a minute: a violation that remains is a bug. Keep a backup, and report \
             the rows together with the output of `attune why ID` for their ids",
            self.broken, self.of
        )
    }
}

impl Error for Violated {}

struct Checked<'a> {
    name: &'static str,
    rows: Vec<&'a Value>,
}

/// While work arrives, some executions are always active. That is a violation only with `--idle`.
fn checked(idle: bool, found: &[Violation]) -> impl Iterator<Item = Checked<'_>> {
    let names = invariants::ALL.iter().map(|(name, _)| *name);
    names
        .filter(move |name| idle || *name != invariants::ENDED)
        .map(|name| Checked {
            name,
            rows: found
                .iter()
                .filter(|violation| violation.invariant == name)
                .map(|violation| &violation.row)
                .collect(),
        })
}

fn as_json(checks: &[Checked<'_>]) -> Value {
    let invariants: Vec<Value> = checks
        .iter()
        .map(|check| json!({"name": check.name, "ok": check.rows.is_empty(), "violations": check.rows}))
        .collect();
    json!({"ok": checks.iter().all(|check| check.rows.is_empty()), "invariants": invariants})
}

fn as_text(checks: &[Checked<'_>], idle: bool) -> String {
    let mut text = String::new();
    for check in checks {
        let state = match check.rows.len() {
            0 => "ok".to_owned(),
            invariants::ROWS_MAX => format!("VIOLATED by {} rows or more", invariants::ROWS_MAX),
            1 => "VIOLATED by 1 row".to_owned(),
            rows => format!("VIOLATED by {rows} rows"),
        };
        let _ = writeln!(text, "{:<26} {state}", check.name);
        for row in check.rows.iter().take(ROWS_SHOWN) {
            let _ = writeln!(text, "    {row}");
        }
    }
    if !idle {
        let _ = writeln!(
            text,
            "{:<26} not checked: work may be in progress (use --idle)",
            invariants::ENDED
        );
    }
    text
}
