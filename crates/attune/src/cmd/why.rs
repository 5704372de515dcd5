//! `attune why <id>`: shows the chain of an event or an execution and explains how each rule evaluated the event. It queries
//! the API, so it needs only a token.

use super::{
    evaluation::{evaluation, str_of},
    session::{Common, Session},
    why_not,
};
use crate::{
    failure::{Failure, code},
    view::{cell::one_line, out, term::Format},
};
use attune_client::Error;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;
use uuid::Uuid;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  attune why 019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e
  attune why --not core.hello
  attune why --not core.hello --event 019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e

Exit codes:
  0  success; with --not: the rule did run
  1  with --not: the rule did not run
  4  the id or the rule is unknown")]
pub struct Why {
    /// Id of an event or of an execution
    #[arg(value_name = "ID", value_parser = event_or_execution_id, required_unless_present = "rule")]
    pub id: Option<Uuid>,
    /// Explain why this rule did not run
    #[arg(long = "not", id = "rule", value_name = "RULE", conflicts_with = "id")]
    pub rule: Option<String>,
    /// With --not: for this event [default: the last one of the rule's trigger]
    #[arg(long, value_name = "ID", requires = "rule")]
    pub event: Option<Uuid>,
    /// With --not: for the last event before this moment: 2h, today, or an instant
    #[arg(long, value_name = "MOMENT", requires = "rule", conflicts_with = "event")]
    pub at: Option<String>,
    #[command(flatten)]
    pub common: Common,
}

fn event_or_execution_id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| {
        "must be an id such as 019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e; `attune event list` and `attune execution list` show ids"
    })
}

pub fn run(options: &Why) -> anyhow::Result<()> {
    options.common.run(async |session| match (&options.rule, options.id) {
        (Some(rule), _) => why_not::explain(session, rule, options.event, options.at.as_deref()).await,
        (None, Some(id)) => explain(session, id).await,
        (None, None) => Err(Failure::usage("give an id, or --not RULE").into()),
    })
}

async fn explain(session: &Session, id: Uuid) -> anyhow::Result<()> {
    let chain = session.client.get(&format!("/api/v1/traces/{id}")).data().await;
    let chain: Value = chain.map_err(|error| with_hint(error, session.client.url()))?;
    let explanation: Value = match chain["event"]["id"].as_str() {
        Some(event) => {
            session
                .client
                .get(&format!("/api/v1/events/{event}/explain"))
                .data()
                .await?
        }
        None => Value::Null,
    };
    if !matches!(session.view.format, Format::Table | Format::Wide) {
        return out::json(&json!({"trace": chain, "explanation": explanation}));
    }
    out::text(&if explanation.is_null() {
        manual(&chain)
    } else {
        chain_text(&chain, &explanation)
    })
}

/// An event or execution that is missing may have existed.
fn with_hint(error: Error, url: &str) -> anyhow::Error {
    if error.status() != Some(404) {
        return error.into();
    }
    let hint = format!(
        "{error} at {url}: it may be older than the retention (`attune retention list`), or belong to another Attune (--url)"
    );
    Failure::new(code::NOT_FOUND, hint).into()
}

/// The text for executions that no event triggered.
fn manual(chain: &Value) -> String {
    let mut text = String::from("started manually, not by an event\n");
    for execution in list(&chain["executions"]) {
        execution_line(&mut text, execution, "");
    }
    text
}

fn chain_text(chain: &Value, explanation: &Value) -> String {
    let event = &chain["event"];
    let mut text = String::new();
    line(
        &mut text,
        &format!(
            "event {}  {} ({})  received {}",
            str_of(&event["id"]),
            str_of(&event["trigger_ref"]),
            str_of(&event["source"]),
            str_of(&event["received_at"])
        ),
    );
    let decided = match explanation["decided_at"].as_str() {
        Some(at) => format!("decided {at}; the rules at that time:"),
        None => format!("{}; how the current rules would evaluate it:", str_of(&event["status"])),
    };
    line(&mut text, &decided);
    let hint = match event["status"].as_str() {
        Some("pending") => "  no executor has decided it yet; `attune service list` shows whether one runs",
        Some("quarantined") => {
            "  its decision failed repeatedly; `attune queue list` shows the reason, and `attune queue replay ID` retries it"
        }
        _ => "",
    };
    if !hint.is_empty() {
        line(&mut text, hint);
    }
    let rules = list(&explanation["rules"]);
    if rules.is_empty() {
        line(
            &mut text,
            "  no rule uses this trigger; `attune rule create` creates one for later events",
        );
    }
    for rule in rules {
        line(
            &mut text,
            &format!("  {}  {}", str_of(&rule["rule_ref"]), evaluation(rule)),
        );
        if let Some(note) = rule["note"].as_str() {
            line(&mut text, &format!("      but {note}"));
        }
        let started = list(&chain["executions"]).iter();
        for execution in started.filter(|execution| execution["rule_ref"] == rule["rule_ref"]) {
            execution_line(&mut text, execution, "      ");
        }
    }
    if let Some(omitted) = explanation["omitted"].as_u64().filter(|omitted| *omitted > 0) {
        line(&mut text, &format!("  and {omitted} more rules"));
    }
    text
}

fn execution_line(text: &mut String, execution: &Value, indent: &str) {
    let times: Vec<_> = ["created_at", "started_at", "finished_at"]
        .into_iter()
        .filter_map(|name| {
            let at = execution[name].as_str()?;
            Some(format!("{} {at}", name.trim_end_matches("_at")))
        })
        .collect();
    let error = execution["error"]
        .as_str()
        .or_else(|| execution["waiting"].as_str())
        .map(|error| format!("  {error}"))
        .unwrap_or_default();
    line(
        text,
        &format!(
            "{indent}→ execution {}  {}  {}  attempt {}  {}{error}",
            str_of(&execution["id"]),
            str_of(&execution["action_ref"]),
            str_of(&execution["status"]),
            execution["attempt"],
            times.join(", ")
        ),
    );
    if let Some(reason) = execution["output_error"].as_str() {
        line(text, &format!("{indent}    output: {reason}"));
    }
    for written in execution["stderr_end"].as_str().unwrap_or_default().lines() {
        line(text, &format!("{indent}    stderr: {}", written.replace('\t', "    ")));
    }
}

fn line(out: &mut String, text: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{}", one_line(text));
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_whole_chain() {
        let execution = json!({"id": "x1", "rule_ref": "core.a", "action_ref": "core.echo", "status": "failed", "attempt": 2,
                               "created_at": "T2", "started_at": "T3", "finished_at": "T4", "error": "exit code 1\u{1b}[2J",
                               "output_error": "standard output is empty", "stderr_end": "Traceback:\n\tx\u{1b}[2J\n"});
        let chain = json!({"event": {"id": "e1", "trigger_ref": "core.bell", "source": "webhook", "received_at": "T1", "status": "decided"},
                           "executions": [execution]});
        let rules = json!([{"rule_ref": "core.a", "decision": "enforce", "enforcement_status": "created"},
                           {"rule_ref": "core.b", "decision": "skip", "why": {"why": "disabled"}, "note": "its action is disabled"}]);
        let text = chain_text(&chain, &json!({"decided_at": "T2", "rules": rules, "omitted": 0}));
        insta::assert_snapshot!(text);
    }
}
