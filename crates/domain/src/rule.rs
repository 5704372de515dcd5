//! A compiled rule and its decision about an event.
//!
//! ```text
//! CompiledRule::compile(facts) → decide(&rule, &event) → Skip(why) | Enforce { parameters } | Fail { reason }
//! ```
//!
//! Compiling never fails: a definition that cannot be compiled (edited by SQL, or its action's schema is broken) gives a rule
//! whose every decision is `Fail` with the reason, because a rule that cannot be evaluated must leave a row. Code that saves
//! a definition checks [`CompiledRule::problems`] first.

use crate::{
    FieldErrors, RuleId, TriggerId,
    condition::{Clause, Condition, Verdict},
    event::{Context, EventFacts},
    json,
    parameters::Schema,
    raw::Raw,
    secret::{self, Seal},
    template::Template,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use utoipa::ToSchema;

const REASON_LENGTH_MAX: usize = 2_000;

/// The compiled schema of an action, or its errors; shared by all rules of the action.
pub type ActionSchema = Arc<Result<Schema, FieldErrors>>;

/// A rule as stored in the database.
#[derive(Debug, Clone)]
pub struct RuleFacts {
    pub id: RuleId,
    pub r#ref: String,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub enabled: bool,
    pub trigger_id: TriggerId,
    pub action_ref: String,
    pub condition: Option<Raw<Condition>>,
    pub action_params: Value,
    pub schema: ActionSchema,
}

/// A rule that is ready to decide. Compile it once per version.
#[derive(Debug)]
pub struct CompiledRule {
    pub id: RuleId,
    pub r#ref: String,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub enabled: bool,
    pub trigger_id: TriggerId,
    pub action_ref: String,
    schema: ActionSchema,
    program: Result<Program, FieldErrors>,
}

#[derive(Debug)]
struct Program {
    condition: Condition,
    template: Template,
}

/// The decision of a rule about an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Nothing happens and nothing is recorded. `explain` shows the reason.
    Skip { why: Why },
    /// The action runs with these complete and checked parameters. Secrets in them are markers, or sealed.
    Enforce { parameters: Value },
    /// A failed enforcement with this reason.
    Fail { reason: String },
}

/// Why a rule does not apply to an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Why {
    Disabled,
    /// The rule is younger than the event.
    CreatedLater,
    Condition {
        clause: Box<Clause>,
    },
}

impl CompiledRule {
    pub fn compile(facts: RuleFacts) -> Self {
        let program = Program::compile(
            facts.condition.as_ref().map_or(&Value::Null, Raw::as_json),
            &facts.action_params,
        );
        Self {
            id: facts.id,
            r#ref: facts.r#ref,
            version: facts.version,
            created_at: facts.created_at,
            enabled: facts.enabled,
            trigger_id: facts.trigger_id,
            action_ref: facts.action_ref,
            schema: facts.schema,
            program,
        }
    }

    /// The errors of the definition itself, field by field (`condition.all[0].path`, `action_params.message`).
    pub fn problems(&self) -> Option<&FieldErrors> {
        self.program
            .as_ref()
            .err()
            .or_else(|| self.schema.as_ref().as_ref().err())
    }

    /// Names in the definition that can never exist: typos. An existing rule continues to work, because `is defined` and
    /// `default` may guard them.
    pub fn unknown_references(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        if let Ok(program) = &self.program {
            errors.nest("", program.condition.unknown_references());
            errors.nest("", program.template.unknown_references());
        }
        errors
    }

    fn program(&self) -> Result<&Program, String> {
        self.program
            .as_ref()
            .map_err(|e| format!("the rule cannot be read: {e}"))
    }
}

impl Program {
    fn compile(condition: &Value, action_params: &Value) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::new();
        let condition = Condition::compile(condition).map_err(|e| errors.nest("", e)).ok();
        let template = match action_params {
            Value::Object(_) => Template::compile(action_params),
            Value::Null => Template::compile(&Value::Object(Map::new())),
            other => {
                let message = format!("must be an object of named values, not {}", json::kind(other));
                Err(FieldErrors::one("action_params", message))
            }
        };
        let template = template.map_err(|e| errors.nest("", e)).ok();
        match (condition, template) {
            (Some(condition), Some(template)) => Ok(Self { condition, template }),
            _ => Err(errors),
        }
    }
}

/// Decides what the rule does with the event. `seal` encrypts the values of secret parameters that are not markers.
pub fn decide(rule: &CompiledRule, event: &EventFacts, seal: &mut Seal<'_>) -> Decision {
    if !rule.enabled {
        return Decision::Skip { why: Why::Disabled };
    }
    if rule.created_at > event.received_at {
        return Decision::Skip { why: Why::CreatedLater };
    }
    evaluate_sealing(rule, event, seal)
}

/// What the rule would do with the event if it were enabled and old enough: a dry run, with masked secret parameters.
pub fn evaluate(rule: &CompiledRule, event: &EventFacts) -> Decision {
    evaluate_sealing(rule, event, &mut secret::mask)
}

fn evaluate_sealing(rule: &CompiledRule, event: &EventFacts, seal: &mut Seal<'_>) -> Decision {
    try_evaluate(rule, event, seal).unwrap_or_else(|reason| Decision::Fail {
        reason: bounded(&reason),
    })
}

/// The parameters that the rule would pass to its action for this event, regardless of its condition, or the reason of the
/// failure.
pub fn parameters(rule: &CompiledRule, event: &EventFacts) -> Result<Value, String> {
    let rendered = rule
        .program()
        .and_then(|program| render(rule, program, &event.for_rule(&rule.r#ref), &mut secret::mask));
    rendered.map_err(|reason| bounded(&reason))
}

fn bounded(reason: &str) -> String {
    reason
        .replace('\0', "\u{fffd}")
        .chars()
        .take(REASON_LENGTH_MAX)
        .collect()
}

fn try_evaluate(rule: &CompiledRule, event: &EventFacts, seal: &mut Seal<'_>) -> Result<Decision, String> {
    let program = rule.program()?;
    let context = event.for_rule(&rule.r#ref);
    if let Verdict::Fails(clause) = program.condition.evaluate(&context).map_err(|e| e.to_string())? {
        return Ok(Decision::Skip {
            why: Why::Condition { clause },
        });
    }
    render(rule, program, &context, seal).map(|parameters| Decision::Enforce { parameters })
}

fn render(rule: &CompiledRule, program: &Program, context: &Context<'_>, seal: &mut Seal<'_>) -> Result<Value, String> {
    let schema = rule
        .schema
        .as_ref()
        .as_ref()
        .map_err(|e| format!("the schema of {} cannot be read: {e}", rule.action_ref))?;
    let rendered = program.template.render_parameters(context).map_err(|e| e.to_string())?;
    let parameters = schema.complete(rendered).map_err(|e| e.to_string())?;
    let parameters = parameters.seal(seal)?.into_stored();
    // An expression may create a value that the database cannot store: then only this rule fails, not the whole batch.
    json::check_json(&parameters).map_err(|errors| errors.under("parameters").to_string())?;
    Ok(parameters)
}

#[cfg(test)]
mod tests;
