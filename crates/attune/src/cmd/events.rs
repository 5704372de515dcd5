//! `attune events tail`: the live stream, one line per change.

use super::session::{Common, Session};
use crate::view::{
    cell::{color, one_line, plain},
    moment::Zone,
    out,
    term::Format,
};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print changes as they happen, until Ctrl-C
    ///
    /// Survives restarts of the server. Changes that were lost meanwhile are reported on standard error.
    Tail(Tail),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune events tail
  attune events tail --kind event,execution.failed -o jsonl
  attune events tail --rule core.hello")]
pub struct Tail {
    /// Kinds, such as event, enforcement, execution or execution.failed
    #[arg(long, value_name = "KIND,KIND")]
    pub kind: Option<String>,
    /// Only changes of this trigger
    #[arg(long, value_name = "REF")]
    pub trigger: Option<String>,
    /// Only changes of this rule
    #[arg(long, value_name = "REF")]
    pub rule: Option<String>,
    /// Only changes of this action
    #[arg(long, value_name = "REF")]
    pub action: Option<String>,
    /// End after this number of changes
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(command: &EventsCommand) -> anyhow::Result<()> {
    let EventsCommand::Tail(options) = command;
    options.common.run(async |session| tail(session, options).await)
}

async fn tail(session: &Session, options: &Tail) -> anyhow::Result<()> {
    let given = [
        ("kind", &options.kind),
        ("trigger_ref", &options.trigger),
        ("rule_ref", &options.rule),
        ("action_ref", &options.action),
    ];
    let query: Vec<(String, String)> = given
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
        .collect();
    let mut changes = session.client.changes(&query);
    let mut left = options.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let change = changes.next().await?;
        if change.kind == "missed" {
            eprintln!("some changes were missed: {}", plain(&change.data["reason"]));
            continue;
        }
        print(session, &change.kind, &change.data)?;
        left -= 1;
    }
    Ok(())
}

fn print(session: &Session, kind: &str, data: &Value) -> anyhow::Result<()> {
    if !matches!(session.view.format, Format::Table | Format::Wide) {
        return out::line(&data.to_string());
    }
    let zone = session
        .view
        .zone
        .unwrap_or(if session.view.tty { Zone::Mine } else { Zone::Utc });
    let at = data["at"].as_str().and_then(|at| at.parse::<DateTime<Utc>>().ok());
    let at = at.map_or_else(|| plain(&data["at"]), |at| zone.clock(at));
    let status = kind.rsplit('.').next().unwrap_or_default();
    let kind_shown = session.view.paint(&format!("{:22}", one_line(kind)), color(status));
    let named = ["rule_ref", "action_ref", "trigger_ref"]
        .into_iter()
        .filter_map(|name| data[name].as_str());
    let named: Vec<&str> = named.collect();
    let id = ["execution_id", "enforcement_id", "event_id"]
        .into_iter()
        .find_map(|name| data[name].as_str());
    let text = data["text"].as_str().map(str::trim_end).unwrap_or_default();
    let rest = format!("{}  {}  {text}", id.unwrap_or("-"), named.join(" "));
    out::line(&format!("{at}  {kind_shown}  {}", one_line(rest.trim_end())))
}
