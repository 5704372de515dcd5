//! `attune why --not RULE`: why a rule did not run. It checks everything between the trigger and the worker, in order.

use super::{evaluation::evaluation, session::Session};
use crate::{
    failure::{Failure, code},
    view::{
        cell::{one_line, plain},
        moment, out,
        term::Format,
    },
};
use attune_client::encoded;
use serde_json::{Value, json};
use uuid::Uuid;

/// The answers so far. The first bad one is the reason.
#[derive(Default)]
struct Answers {
    steps: Vec<(bool, String)>,
    next: Vec<String>,
}

impl Answers {
    fn add(&mut self, good: bool, text: impl Into<String>) -> bool {
        self.steps.push((good, text.into()));
        good
    }

    fn advise(&mut self, command: String) {
        self.next.push(command);
    }
}

pub async fn explain(session: &Session, rule: &str, event: Option<Uuid>, at: Option<&str>) -> anyhow::Result<()> {
    let found: Value = session
        .client
        .get(&format!("/api/v1/rules/{}", encoded(rule)))
        .data()
        .await?;
    let trigger_ref = plain(&found["trigger_ref"]);
    let trigger: Value = session
        .client
        .get(&format!("/api/v1/triggers/{}", encoded(&trigger_ref)))
        .data()
        .await?;
    let mut answers = Answers::default();
    let event = event_of(session, &trigger_ref, event, at).await?;
    let ran = match &event {
        None => {
            without_event(session, &trigger, &mut answers).await?;
            false
        }
        Some(event) => with_event(session, rule, event, &mut answers).await?,
    };
    if event.is_none() {
        answers.advise(format!("attune trigger get {trigger_ref}"));
    }
    let first = answers
        .steps
        .iter()
        .find(|(good, _)| !good)
        .map(|(_, text)| text.clone());
    if matches!(session.view.format, Format::Table | Format::Wide) {
        print(session, rule, event.as_ref(), ran, first.as_deref(), &answers)?;
    } else {
        let step = |(ok, text): &(bool, String)| json!({"ok": ok, "text": text});
        let steps: Vec<Value> = answers.steps.iter().map(step).collect();
        let id = event.map(|event| event["id"].clone());
        out::json(
            &json!({"rule_ref": rule, "ran": ran, "event_id": id, "reason": first, "steps": steps,
                          "next": answers.next}),
        )?;
    }
    if ran {
        Ok(())
    } else {
        Err(Failure::silent(code::NO).into())
    }
}

fn print(
    session: &Session,
    rule: &str,
    event: Option<&Value>,
    ran: bool,
    first: Option<&str>,
    answers: &Answers,
) -> anyhow::Result<()> {
    let of = event.map_or_else(String::new, |event| {
        format!(" for event {} ({})", plain(&event["id"]), plain(&event["trigger_ref"]))
    });
    let reason = first.map(|reason| format!(": {reason}")).unwrap_or_default();
    let verb = if ran { "ran" } else { "did not run" };
    out::line(&one_line(&format!("{rule} {verb}{of}{reason}")))?;
    for (good, text) in &answers.steps {
        out::line(&format!("  {} {}", session.view.mark(*good), one_line(text)))?;
    }
    if !answers.next.is_empty() {
        out::line(&format!("Next: {}", one_line(&answers.next.join(" · "))))?;
    }
    Ok(())
}

/// The given event, or the last one of the trigger.
async fn event_of(
    session: &Session,
    trigger: &str,
    id: Option<Uuid>,
    at: Option<&str>,
) -> anyhow::Result<Option<Value>> {
    if let Some(id) = id {
        return Ok(Some(session.client.get(&format!("/api/v1/events/{id}")).data().await?));
    }
    let mut request = session
        .client
        .get("/api/v1/events")
        .query("trigger_ref", trigger)
        .query("limit", "1");
    if let Some(at) = at {
        let until =
            moment::past(at, session.view.now).map_err(|error| Failure::usage(format!("--at {at}: {error}")))?;
        request = request.query("until", &moment::utc(until));
    }
    let mut events: Vec<Value> = request.data().await?;
    Ok(events.pop())
}

/// Why the trigger has no event.
async fn without_event(session: &Session, trigger: &Value, answers: &mut Answers) -> anyhow::Result<()> {
    let name = plain(&trigger["ref"]);
    if !answers.add(
        trigger["enabled"] == true,
        format!("the trigger {name} is {}", state(trigger)),
    ) {
        answers.advise(format!("attune trigger enable {name}"));
        return Ok(());
    }
    if let Some(error) = trigger["last_error"].as_str() {
        answers.add(false, format!("the trigger has an error: {error}"));
        return Ok(());
    }
    if trigger["kind"] == "webhook" {
        let request = session
            .client
            .get("/api/v1/webhook-requests")
            .query("trigger_ref", &name)
            .query("limit", "1");
        // Viewers may not see requests.
        let requests: Vec<Value> = request.data().await.unwrap_or_default();
        if let Some(rejected) = requests.first().filter(|request| request["verdict"] == "rejected") {
            answers.add(
                false,
                format!("the last request was rejected: {}", plain(&rejected["reason"])),
            );
            answers.advise(format!("attune webhook show {}", plain(&rejected["id"])));
            return Ok(());
        }
    }
    let next = trigger["next_fire_at"]
        .as_str()
        .map(|next| format!("; it fires next at {next}"));
    answers.add(false, format!("the trigger has no event{}", next.unwrap_or_default()));
    Ok(())
}

fn state(object: &Value) -> &'static str {
    if object["enabled"] == true {
        "enabled"
    } else {
        "disabled"
    }
}

/// Follows the event to the execution.
async fn with_event(session: &Session, rule: &str, event: &Value, answers: &mut Answers) -> anyhow::Result<bool> {
    let id = plain(&event["id"]);
    answers.add(
        true,
        format!("the event was received at {}", plain(&event["received_at"])),
    );
    match event["status"].as_str() {
        Some("pending") => {
            answers.add(false, "no executor has decided the event yet");
            answers.advise("attune service list".to_owned());
            return Ok(false);
        }
        Some("quarantined") => {
            answers.add(false, "the decision of the event failed repeatedly; it is quarantined");
            answers.advise(format!("attune queue list · attune queue replay {id}"));
            return Ok(false);
        }
        _ => {}
    }
    let request = session
        .client
        .get(&format!("/api/v1/events/{id}/explain"))
        .query("rule_ref", rule);
    let explanation: Value = request.data().await?;
    answers.add(
        true,
        format!("the event was decided at {}", plain(&explanation["decided_at"])),
    );
    let Some(explained) = explanation["rules"]
        .as_array()
        .and_then(|rules| rules.iter().find(|it| it["rule_ref"] == rule))
    else {
        answers.add(false, "the rule did not use this trigger when the event was decided");
        return Ok(false);
    };
    let matched = explained["decision"] == "enforce";
    let created = explained["enforcement_status"] == "created";
    if !answers.add(matched && created, format!("the rule {}", evaluation(explained))) {
        answers.advise(format!("attune rule test {rule} --event {id}"));
        answers.advise(format!("attune rule edit {rule}"));
        return Ok(false);
    }
    let Some(execution) = explained["execution_id"].as_str() else {
        return Ok(answers.add(false, "the execution does not exist any more"));
    };
    let execution: Value = session
        .client
        .get(&format!("/api/v1/executions/{execution}"))
        .data()
        .await?;
    let (status, id) = (plain(&execution["status"]), plain(&execution["id"]));
    let started = !execution["started_at"].is_null();
    let why = execution["waiting"].as_str().or(execution["error"].as_str());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    answers.add(started, format!("the execution {id} is {status}{why}"));
    if !started {
        answers.advise("attune pool list".to_owned());
    }
    Ok(started)
}
