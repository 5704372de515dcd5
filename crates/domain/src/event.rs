//! An event, in the form that rules are evaluated on.
//!
//! Built once per event and shared by all rules of its trigger, whose conditions and templates read the JSON directly.

use crate::{EventId, TriggerId, spelled::closest_match};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// The names under `event`.
pub const FIELDS: [&str; 5] = ["id", "trigger", "payload", "received_at", "scheduled_at"];

/// The names under `rule`.
const RULE_FIELDS: [&str; 1] = ["ref"];

/// Why no event can have these names: `event.paylod.host`. Any name may exist under `event.payload`.
pub(crate) fn unknown_field_hint(path: &[String]) -> Option<String> {
    let (root, field) = (path.first()?.as_str(), path.get(1)?);
    let known: &[&str] = match root {
        "event" => &FIELDS,
        "rule" => &RULE_FIELDS,
        _ => return None,
    };
    if known.contains(&field.as_str()) {
        return None;
    }
    let meant = match (closest_match(field, known), root) {
        (Some(meant), _) => format!("{root}.{meant}"),
        (None, "event") => format!("event.payload.{field}"),
        (None, _) => format!("{root}.{}", known.join(" or ")),
    };
    let known = known.join(", ");
    Some(format!(
        "names {root}.{field}, which no {root} has: did you mean {meant}? Under {root} there is {known}"
    ))
}

/// Everything about an event that a rule may use.
#[derive(Debug)]
pub struct EventFacts {
    pub id: EventId,
    pub trigger_id: TriggerId,
    pub received_at: DateTime<Utc>,
    value: Value,
}

impl EventFacts {
    pub fn new(
        id: EventId,
        trigger_id: TriggerId,
        trigger_ref: &str,
        payload: Value,
        received_at: DateTime<Utc>,
        scheduled_at: Option<DateTime<Utc>>,
    ) -> Self {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let mut value = json!({
            "id": id.to_string(),
            "trigger": trigger_ref,
            "received_at": text(received_at),
            "scheduled_at": scheduled_at.map(text),
        });
        value["payload"] = payload;
        Self {
            id,
            trigger_id,
            received_at,
            value,
        }
    }

    /// `event` as JSON: `id`, `trigger` (its ref), `payload`, `received_at`, `scheduled_at` (null if it was not scheduled).
    pub fn as_json(&self) -> &Value {
        &self.value
    }

    /// The context of the templates and conditions of a rule.
    pub fn for_rule<'a>(&'a self, rule_ref: &'a str) -> Context<'a> {
        Context {
            event: Some(self),
            rule_ref,
            parameters: None,
        }
    }
}

/// An event and the rule that evaluates it; for keys of policies also the parameters, the only input of an action.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    event: Option<&'a EventFacts>,
    rule_ref: &'a str,
    parameters: Option<&'a Value>,
}

impl<'a> Context<'a> {
    /// The context of the key of an action's policy.
    pub fn of_action(parameters: &'a Value) -> Self {
        Self {
            event: None,
            rule_ref: "",
            parameters: Some(parameters),
        }
    }

    /// The same with the parameters from the rule.
    #[must_use]
    pub fn with(self, parameters: &'a Value) -> Self {
        Self {
            parameters: Some(parameters),
            ..self
        }
    }

    pub fn event(&self) -> &'a Value {
        self.event.map_or(&Value::Null, |event| &event.value)
    }

    pub fn parameters(&self) -> &'a Value {
        self.parameters.unwrap_or(&Value::Null)
    }

    pub fn rule_ref(&self) -> &'a str {
        self.rule_ref
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An event with this payload, received at noon.
    pub fn event(payload: Value) -> EventFacts {
        let noon = DateTime::from_timestamp(1_800_000_000, 0).expect("a valid instant");
        EventFacts::new(
            EventId::of_timer(TriggerId(1), noon),
            TriggerId(1),
            "core.timer_10s",
            payload,
            noon,
            Some(noon),
        )
    }

    pub const RULE: &str = "core.hello";
}
