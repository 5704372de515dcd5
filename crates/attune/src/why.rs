//! `attune why <id>`: the chain that an event or an execution belongs to, and what each rule said. Asked of the API, so
//! it needs no more than a token.

use crate::cli::Why;
use anyhow::{Context as _, anyhow, bail};
use reqwest::StatusCode;
use serde_json::Value;
use std::{fmt::Write as _, time::Duration};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);

pub fn run(asked: &Why) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime")?;
    let told = runtime.block_on(tell(asked))?;
    print!("{told}");
    Ok(())
}

async fn tell(asked: &Why) -> anyhow::Result<String> {
    let api = Api::new(asked)?;
    let chain = api.get(&format!("/api/v1/traces/{}", asked.id)).await?;
    let Some(event) = chain["event"]["id"].as_str() else {
        return Ok(by_hand(&chain));
    };
    let explanation = api.get(&format!("/api/v1/events/{event}/explain")).await?;
    Ok(story(&chain, &explanation))
}

/// What a person gives as an id.
pub fn id(text: &str) -> Result<Uuid, &'static str> {
    text.parse().map_err(|_| {
        "an id looks like 019ab3f4-5c21-7e0f-9d1c-2f3a4b5c6d7e; GET /api/v1/events and GET /api/v1/executions list them"
    })
}

struct Api {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Api {
    fn new(asked: &Why) -> anyhow::Result<Self> {
        let token = asked.token.clone().context(
            "a token is missing: set ATTUNE_API_TOKEN (POST /api/v1/tokens or `attune token create` makes one)",
        )?;
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .build()
            .context("failed to make an HTTP client")?;
        Ok(Self {
            http,
            url: asked.url.trim_end_matches('/').to_owned(),
            token,
        })
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let request = self.http.get(&url).bearer_auth(&self.token);
        let answer = request.send().await.map_err(|error| {
            let error = anyhow::Error::new(error);
            let (url, reason) = (&self.url, error.root_cause());
            anyhow!("no answer from {url}: {reason}. Is the API there? --url or ATTUNE_API_URL says where")
        })?;
        let status = answer.status();
        let mut body: Value = answer
            .json()
            .await
            .with_context(|| format!("{url} does not answer JSON"))?;
        if !status.is_success() {
            let detail = body["detail"].as_str().unwrap_or(status.as_str());
            match status {
                StatusCode::NOT_FOUND => bail!(
                    "{detail} at {}: it may be older than history is kept (GET /api/v1/retention), or of another Attune (--url)",
                    self.url
                ),
                StatusCode::UNAUTHORIZED => bail!("{detail}: is ATTUNE_API_TOKEN a token of {}?", self.url),
                _ => bail!("{detail}"),
            }
        }
        Ok(body["data"].take())
    }
}

/// An execution that no event led to.
fn by_hand(chain: &Value) -> String {
    let mut told = String::from("started by hand, not by an event\n");
    for execution in list(&chain["executions"]) {
        execution_line(&mut told, execution, "");
    }
    told
}

fn story(chain: &Value, explanation: &Value) -> String {
    let event = &chain["event"];
    let mut told = String::new();
    line(
        &mut told,
        &format!(
            "event {}  {} ({})  received {}",
            text(&event["id"]),
            text(&event["trigger_ref"]),
            text(&event["source"]),
            text(&event["received_at"])
        ),
    );
    let decided = match explanation["decided_at"].as_str() {
        Some(at) => format!("decided {at}; the rules as they stood then:"),
        None => format!("{}; what the rules would say now:", text(&event["status"])),
    };
    line(&mut told, &decided);
    let hint = match event["status"].as_str() {
        Some("pending") => "  no executor has decided it yet: GET /api/v1/services says whether one runs",
        Some("quarantined") => {
            "  its decision failed again and again: GET /api/v1/queue says why, and POST /api/v1/queue/ID/replay has it tried again"
        }
        _ => "",
    };
    if !hint.is_empty() {
        line(&mut told, hint);
    }
    let rules = list(&explanation["rules"]);
    if rules.is_empty() {
        line(
            &mut told,
            "  no rule waits for this trigger: POST /api/v1/rules makes one, for events from then on",
        );
    }
    for rule in rules {
        line(&mut told, &format!("  {}  {}", text(&rule["rule_ref"]), said(rule)));
        if let Some(note) = rule["note"].as_str() {
            line(&mut told, &format!("      but {note}"));
        }
        let started = list(&chain["executions"]).iter();
        for execution in started.filter(|execution| execution["rule_ref"] == rule["rule_ref"]) {
            execution_line(&mut told, execution, "      ");
        }
    }
    if let Some(omitted) = explanation["omitted"].as_u64().filter(|omitted| *omitted > 0) {
        line(&mut told, &format!("  and {omitted} rules more"));
    }
    told
}

/// What a rule said to the event, in a line.
fn said(rule: &Value) -> String {
    let reason = rule["reason"].as_str();
    match rule["decision"].as_str() {
        Some("enforce") => match rule["enforcement_status"].as_str() {
            None => "matches".to_owned(),
            Some("created") => "matched".to_owned(),
            Some(status) => format!("matched, {status}: {}", reason.unwrap_or("no reason is known")),
        },
        Some("fail") => format!("failed: {}", reason.unwrap_or("no reason is known")),
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
        return format!("does not match: {} is {}{at}", text(&clause["path"]), clause["actual"]);
    }
    let actual = match clause["missing"].as_bool() {
        Some(true) => "missing".to_owned(),
        _ => clause["actual"].to_string(),
    };
    format!(
        "does not match: {} {} {}, but it is {actual}{at}",
        text(&clause["path"]),
        text(&clause["operator"]),
        clause["expected"],
    )
}

fn execution_line(told: &mut String, execution: &Value, indent: &str) {
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
        told,
        &format!(
            "{indent}→ execution {}  {}  {}  attempt {}  {}{error}",
            text(&execution["id"]),
            text(&execution["action_ref"]),
            text(&execution["status"]),
            execution["attempt"],
            times.join(", ")
        ),
    );
    if let Some(reason) = execution["output_error"].as_str() {
        line(told, &format!("{indent}    output: {reason}"));
    }
    for written in execution["stderr_end"].as_str().unwrap_or_default().lines() {
        line(told, &format!("{indent}    stderr: {}", written.replace('\t', "    ")));
    }
}

fn line(told: &mut String, text: &str) {
    // What comes from outside must not steer the terminal.
    let plain: String = text
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    // Writing to a string does not fail.
    let _ = writeln!(told, "{plain}");
}

fn text(value: &Value) -> &str {
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
    fn each_reason_in_a_line() {
        let check = |rule: Value, expected: &str| assert_eq!(said(&rule), expected, "{rule}");
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
    fn the_whole_story() {
        let execution = json!({"id": "x1", "rule_ref": "core.a", "action_ref": "core.echo", "status": "failed", "attempt": 2,
                               "created_at": "T2", "started_at": "T3", "finished_at": "T4", "error": "exit code 1\u{1b}[2J",
                               "output_error": "standard output is empty", "stderr_end": "Traceback:\n\tx\u{1b}[2J\n"});
        let chain = json!({"event": {"id": "e1", "trigger_ref": "core.bell", "source": "webhook", "received_at": "T1", "status": "decided"},
                           "executions": [execution]});
        let rules = json!([{"rule_ref": "core.a", "decision": "enforce", "enforcement_status": "created"},
                           {"rule_ref": "core.b", "decision": "skip", "why": {"why": "disabled"}, "note": "nobody knows"}]);
        let told = story(&chain, &json!({"decided_at": "T2", "rules": rules, "omitted": 0}));
        assert_eq!(
            told,
            "event e1  core.bell (webhook)  received T1\n\
             decided T2; the rules as they stood then:\n  \
             core.a  matched\n      \
             → execution x1  core.echo  failed  attempt 2  created T2, started T3, finished T4  exit code 1\u{fffd}[2J\n          \
             output: standard output is empty\n          \
             stderr: Traceback:\n          \
             stderr:     x\u{fffd}[2J\n  \
             core.b  is disabled\n      \
             but nobody knows\n"
        );
    }
}
