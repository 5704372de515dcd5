//! `attune why <id>`: shows the chain of an event or an execution and explains how each rule evaluated the event. It queries
//! the API, so it needs only a token.

use crate::{
    cli::Why,
    client::{Client, Failure, NOT_FOUND},
};
use anyhow::Context as _;
use serde_json::Value;
use std::fmt::Write as _;

pub fn run(options: &Why) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let text = runtime.block_on(explain(options))?;
    print!("{text}");
    Ok(())
}

async fn explain(options: &Why) -> anyhow::Result<String> {
    let api = Client::new(&options.api)?;
    let chain = api.get(&format!("/api/v1/traces/{}", options.id)).await;
    let chain = chain.map_err(|error| with_hint(error, &options.api.url))?;
    let Some(event) = chain["event"]["id"].as_str() else {
        return Ok(manual(&chain));
    };
    let explanation = api.get(&format!("/api/v1/events/{event}/explain")).await?;
    Ok(chain_text(&chain, &explanation))
}

/// An event or execution that is missing may have existed.
fn with_hint(error: anyhow::Error, url: &str) -> anyhow::Error {
    match error.downcast_ref::<Failure>() {
        Some(failure) if failure.code == NOT_FOUND => Failure::new(
            NOT_FOUND,
            format!(
                "{failure} at {url}: it may be older than the retention (GET /api/v1/retention), or belong to another Attune (--url)"
            ),
        )
        .into(),
        _ => error,
    }
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
        Some("pending") => "  no executor has decided it yet; GET /api/v1/services shows whether one runs",
        Some("quarantined") => {
            "  its decision failed repeatedly; GET /api/v1/queue shows the reason, and POST /api/v1/queue/ID/replay retries it"
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
            "  no rule uses this trigger; POST /api/v1/rules creates one for later events",
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

/// How a rule evaluated the event, in one line.
fn evaluation(rule: &Value) -> String {
    let reason = rule["reason"].as_str();
    match rule["decision"].as_str() {
        Some("enforce") => match rule["enforcement_status"].as_str() {
            None => "matches".to_owned(),
            Some("created") => "matched".to_owned(),
            Some(status) => format!("matched, {status}: {}", reason.unwrap_or("unknown reason")),
        },
        Some("fail") => format!("failed: {}", reason.unwrap_or("unknown reason")),
        _ => match rule["why"]["why"].as_str() {
            Some("disabled") => "is disabled".to_owned(),
            Some("created_later") => "was created after the event".to_owned(),
            _ => clause(&rule["why"]["clause"]),
        },
    }
}

fn clause(clause: &Value) -> String {
    let at = clause["at"].as_str().filter(|at| !at.is_empty());
    let at = at.map(|at| format!("   (condition.{at})")).unwrap_or_default();
    if clause["operator"] == "expression" {
        return format!(
            "does not match: {} is {}{at}",
            str_of(&clause["path"]),
            clause["actual"]
        );
    }
    let actual = match clause["missing"].as_bool() {
        Some(true) => "missing".to_owned(),
        _ => clause["actual"].to_string(),
    };
    format!(
        "does not match: {} {} {}, but it is {actual}{at}",
        str_of(&clause["path"]),
        str_of(&clause["operator"]),
        clause["expected"],
    )
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
    // Text from outside must not control the terminal.
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    // Writing to a string does not fail.
    let _ = writeln!(out, "{plain}");
}

fn str_of(value: &Value) -> &str {
    value.as_str().unwrap_or("–")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_evaluation_fits_into_one_line() {
        let check = |rule: Value, expected: &str| assert_eq!(evaluation(&rule), expected, "{rule}");
        check(json!({"decision": "enforce"}), "matches");
        check(
            json!({"decision": "enforce", "enforcement_status": "created"}),
            "matched",
        );
        check(
            json!({"decision": "enforce", "enforcement_status": "throttled", "reason": "more than 10 in 60 s"}),
            "matched, throttled: more than 10 in 60 s",
        );
        check(
            json!({"decision": "fail", "reason": "x is missing"}),
            "failed: x is missing",
        );
        check(json!({"decision": "skip", "why": {"why": "disabled"}}), "is disabled");
        check(
            json!({"decision": "skip", "why": {"why": "created_later"}}),
            "was created after the event",
        );
        check(
            json!({"decision": "skip", "why": {"why": "condition", "clause":
                {"path": "event.payload.n", "operator": "greater_than", "expected": 5, "actual": 3, "at": "all[0]"}}}),
            "does not match: event.payload.n greater_than 5, but it is 3   (condition.all[0])",
        );
        check(
            json!({"decision": "skip", "why": {"why": "condition", "clause":
                {"path": "event.payload.n > 5", "operator": "expression", "expected": true, "actual": false, "at": ""}}}),
            "does not match: event.payload.n > 5 is false",
        );
    }

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
