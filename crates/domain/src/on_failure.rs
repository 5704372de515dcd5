//! `on_failure` of a rule: the action that runs when an execution of the rule has failed.
//!
//! The database makes it a rule of its own over `core.execution_finished` (`migrations/0028_system_events.sql`).

use crate::{ActionRef, FieldErrors, json, parameters::mismatches, template::Template};
use serde_json::{Map, Value};

const NAMES: [&str; 2] = ["action_ref", "action_params"];

/// `{"action_ref": "core.http", "action_params": {"url": "https://…"}}`.
#[derive(Debug)]
pub struct OnFailure {
    pub action_ref: ActionRef,
    pub action_params: Value,
}

impl OnFailure {
    pub fn parse(value: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let fields = crate::policy::fields("on_failure", value, &NAMES, &mut errors);
        let action_ref = match fields.get("action_ref") {
            None if value.is_object() => {
                errors.add("on_failure.action_ref", "is missing");
                None
            }
            None => None,
            Some(Value::String(text)) => text
                .parse::<ActionRef>()
                .map_err(|error| errors.add("on_failure.action_ref", error.to_string()))
                .ok(),
            Some(other) => {
                let found = json::kind(other);
                errors.add(
                    "on_failure.action_ref",
                    format!("must be the ref of an action, not {found}"),
                );
                None
            }
        };
        let action_params = match fields.get("action_params") {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(params) => params.clone(),
        };
        if action_params.is_object() {
            let compiled = Template::compile(&action_params).map_err(|bad| bad.under("on_failure"));
            errors.collect(compiled);
        } else {
            let found = json::kind(&action_params);
            errors.add(
                "on_failure.action_params",
                format!("must be an object of named values, not {found}"),
            );
        }
        match action_ref {
            Some(action_ref) if errors.is_empty() => Ok(Self {
                action_ref,
                action_params,
            }),
            _ => Err(errors),
        }
    }

    /// Checks the parameters against the schema of the action.
    pub fn check(&self, parameters_schema: &Value) -> Result<(), FieldErrors> {
        mismatches(parameters_schema, &self.action_params).map_err(|errors| errors.under("on_failure"))
    }

    /// The ref of the rule that the database makes of it.
    pub fn own_ref(rule_ref: &str) -> String {
        format!("{rule_ref}.on_failure")
    }
}
