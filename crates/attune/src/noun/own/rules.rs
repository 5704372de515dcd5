//! `attune rule test`: evaluates a rule without running anything.

use super::super::{Call, read::path_of, write::object};
use crate::{
    cmd::session::Session,
    failure::{Failure, code},
    noun::table::RULE,
    view::{
        cell::{one_line, plain},
        out,
        term::Format,
    },
};
use serde_json::{Map, Value, json};
use std::path::Path;

pub async fn test(session: &Session, call: &Call) -> anyhow::Result<()> {
    let mut body = Map::new();
    let mut trigger = None;
    if call.text("file").is_some() {
        let draft = object(call)?;
        trigger = draft.get("trigger_ref").and_then(Value::as_str).map(str::to_owned);
        for name in ["condition", "action_params", "action_ref"] {
            body.extend(draft.get(name).map(|value| (name.to_owned(), value.clone())));
        }
    } else {
        body.insert("rule_ref".to_owned(), json!(call.key()));
    }
    if let Some(payload) = call.text("payload") {
        let payload = match payload.strip_prefix('@') {
            Some(file) => crate::cmd::input::file_of(Path::new(file))?,
            None => serde_json::from_str(payload)
                .map_err(|error| Failure::usage(format!("--payload {payload:?} is not JSON: {error}")))?,
        };
        body.insert("payload".to_owned(), payload);
    } else {
        let event = match call.text("event") {
            Some(event) => event.to_owned(),
            None if call.flag("last") => last_event(session, call, trigger).await?,
            None => return Err(Failure::usage("give an event: --event ID, --payload JSON or --last").into()),
        };
        body.insert("event_id".to_owned(), json!(event));
    }
    let verdict: Value = session.client.post("/api/v1/rules/test").json(&body)?.data().await?;
    print(session, &verdict)?;
    match verdict["decision"].as_str() {
        Some("enforce") => Ok(()),
        Some("skip") => Err(Failure::silent(code::NO).into()),
        _ => Err(Failure::silent(code::INVALID).into()),
    }
}

/// The id of the last event of the rule's trigger.
async fn last_event(session: &Session, call: &Call, trigger: Option<String>) -> anyhow::Result<String> {
    let trigger = if let Some(trigger) = trigger {
        trigger
    } else {
        let rule: Value = session.client.get(&path_of(&RULE, &call.key())).data().await?;
        plain(&rule["trigger_ref"])
    };
    let request = session
        .client
        .get("/api/v1/events")
        .query("trigger_ref", &trigger)
        .query("limit", "1");
    let events: Value = request.data().await?;
    match events[0]["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(Failure::new(code::NO, format!("{trigger} has no event")).into()),
    }
}

fn print(session: &Session, verdict: &Value) -> anyhow::Result<()> {
    match session.view.format {
        Format::Table => {}
        Format::Yaml => return out::text(&serde_norway::to_string(verdict)?),
        _ => return out::json(verdict),
    }
    let good = verdict["decision"] == "enforce";
    let clause = &verdict["why"]["clause"];
    let text = match verdict["decision"].as_str() {
        Some("enforce") => "the rule matches".to_owned(),
        Some("skip") if clause.is_object() => format!(
            "the rule does not match: {} {} {}, but it is {}",
            plain(&clause["path"]),
            plain(&clause["operator"]),
            clause["expected"],
            clause["actual"]
        ),
        Some("skip") => format!("the rule does not match: {}", plain(&verdict["why"]["why"])),
        _ => format!("the rule fails: {}", plain(&verdict["reason"])),
    };
    out::line(&format!("{} {}", session.view.mark(good), one_line(&text)))?;
    if let Some(reason) = verdict["reason"].as_str().filter(|_| good) {
        out::line(&format!("  {}", one_line(reason)))?;
    }
    for (name, value) in verdict["parameters"].as_object().into_iter().flatten() {
        out::line(&format!("  {}  {}", one_line(name), one_line(&plain(value))))?;
    }
    Ok(())
}
