//! `attune status`: what runs, and what is broken.

use super::session::{Common, Session};
use crate::{
    failure::{Failure, code},
    view::{cell::one_line, moment, out, term::Format},
};
use chrono::TimeDelta;
use clap::Args;
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune status
  attune status -o json
  attune status --watch

Exit codes:
  0  everything works
  1  something is broken")]
pub struct Status {
    /// Repeat every 2 seconds
    #[arg(long, short)]
    pub watch: bool,
    #[command(flatten)]
    pub common: Common,
}

/// One line of the report.
pub struct Part {
    pub name: &'static str,
    pub good: bool,
    pub text: String,
    /// The command that helps.
    pub next: Option<&'static str>,
}

pub fn run(options: &Status) -> anyhow::Result<()> {
    options.common.run(async |session| {
        loop {
            let parts = parts(session).await?;
            let good = parts.iter().all(|part| part.good);
            if options.watch && session.view.tty {
                out::text("\u{1b}[H\u{1b}[2J")?;
            }
            print(session, &parts)?;
            if options.watch {
                tokio::time::sleep(Duration::from_secs(2)).await;
            } else if good {
                return Ok(());
            } else {
                return Err(Failure::silent(code::NO).into());
            }
        }
    })
}

pub fn print(session: &Session, parts: &[Part]) -> anyhow::Result<()> {
    if !matches!(session.view.format, Format::Table | Format::Wide) {
        let part = |part: &Part| json!({"name": part.name, "ok": part.good, "text": part.text, "next": part.next});
        return out::json(&parts.iter().map(part).collect::<Vec<_>>());
    }
    for part in parts {
        let next = part
            .next
            .filter(|_| !part.good)
            .map(|next| format!("   {next}"))
            .unwrap_or_default();
        out::line(&format!(
            "{} {:12} {}{next}",
            session.view.mark(part.good),
            part.name,
            one_line(&part.text)
        ))?;
    }
    Ok(())
}

async fn parts(session: &Session) -> anyhow::Result<Vec<Part>> {
    let services: Vec<Value> = session.client.get("/api/v1/services").data().await?;
    let timers = rows(session, "/api/v1/timers", &[]).await?;
    let quarantined = rows(session, "/api/v1/queue", &[]).await?;
    let since = moment::utc(session.view.now - TimeDelta::hours(1));
    let bad = [
        ("status", "failed,timed_out,lost"),
        ("since", since.as_str()),
        ("limit", "50"),
    ];
    let failed: Vec<Value> = {
        let query = bad.map(|(name, value)| (name.to_owned(), value.to_owned()));
        session.client.get("/api/v1/executions").queries(&query).data().await?
    };
    Ok(vec![
        of_services(&services),
        of_timers(&timers),
        Part {
            name: "quarantine",
            good: quarantined.is_empty(),
            text: format!("{} events wait for an operator", quarantined.len()),
            next: Some("attune queue list"),
        },
        Part {
            name: "executions",
            // A failed action is not a failure of Attune.
            good: true,
            text: match failed.len() {
                0 => "none failed in the last hour".to_owned(),
                50.. => "at least 50 failed in the last hour".to_owned(),
                some => format!("{some} failed in the last hour"),
            },
            next: None,
        },
    ])
}

/// Every row of a list.
pub async fn rows(session: &Session, path: &str, query: &[(String, String)]) -> anyhow::Result<Vec<Value>> {
    let query = [query, &[("limit".to_owned(), "200".to_owned())]].concat();
    let mut pages = session.client.pages(path, &query);
    let mut all = Vec::new();
    while let Some(rows) = pages.next().await? {
        all.extend(rows);
    }
    Ok(all)
}

pub fn of_services(services: &[Value]) -> Part {
    let mut alive: BTreeMap<&str, usize> = ["api", "sensor", "executor", "worker"].map(|kind| (kind, 0)).into();
    for service in services.iter().filter(|service| service["alive"] == true) {
        *alive.entry(service["kind"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let counted: Vec<String> = alive.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    Part {
        name: "services",
        good: alive.values().all(|count| *count > 0),
        text: counted.join(", "),
        next: Some("attune service list"),
    }
}

pub fn of_timers(timers: &[Value]) -> Part {
    let broken: Vec<&str> = timers
        .iter()
        .filter(|timer| timer["enabled"] == true && timer["last_error"].is_string())
        .filter_map(|timer| timer["trigger_ref"].as_str())
        .collect();
    let text = match broken.as_slice() {
        [] => format!("{} without errors", timers.len()),
        some => format!("errors in {}", some.join(", ")),
    };
    Part {
        name: "timers",
        good: broken.is_empty(),
        text,
        next: Some("attune timer list -o wide"),
    }
}
