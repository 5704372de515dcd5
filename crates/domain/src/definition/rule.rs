//! Rules.

use super::{
    draft::{Draft, definition, in_pack},
    text,
    trigger::Trigger,
};
use crate::{
    ActionRef, FieldErrors, PackRef, RuleId, RuleRef, TriggerId, TriggerRef,
    condition::Condition,
    form,
    on_failure::OnFailure,
    parameters::{Schema, mismatches},
    policy::{Concurrency, RateLimit},
    raw::Raw,
    retry::RetryPolicy,
    rule::{CompiledRule, RuleFacts},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Runs an action when a trigger fires and a condition holds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Rule {
    pub id: RuleId,
    #[schema(value_type = String)]
    pub r#ref: RuleRef,
    #[schema(value_type = String)]
    pub pack_ref: PackRef,
    pub label: String,
    pub description: Option<String>,
    #[schema(value_type = String)]
    pub trigger_ref: TriggerRef,
    /// The inline timer of the rule, as it was written; null if the trigger is a separate definition.
    pub trigger: Option<Value>,
    #[schema(value_type = String)]
    pub action_ref: ActionRef,
    #[schema(value_type = Option<Value>)]
    pub condition: Option<Raw<Condition>>,
    pub action_params: Value,
    /// Overrides the action's.
    #[schema(value_type = Option<Value>)]
    pub retry: Option<Raw<RetryPolicy>>,
    /// How many executions may run at once, for each key; the action's limit applies as well.
    #[schema(value_type = Option<Value>)]
    pub concurrency: Option<Raw<Concurrency<RuleId>>>,
    /// How often executions may start.
    #[schema(value_type = Option<Value>)]
    pub rate_limit: Option<Raw<RateLimit>>,
    /// The action that runs when an execution of the rule fails, as the rule `<ref>.on_failure`.
    #[schema(value_type = Option<Value>)]
    pub on_failure: Option<Raw<OnFailure>>,
    /// The rule whose `on_failure` this is.
    #[schema(value_type = Option<String>)]
    pub owner_rule_ref: Option<RuleRef>,
    pub enabled: bool,
    pub managed: bool,
    #[serde(skip)]
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

form! {
    #[derive(Clone, Serialize)]
    #[schema(as = RuleForm)]
    pub struct RuleDraft {
        r#ref: String,
        pack_ref: Option<String>,
        pack: Option<i64>,
        label: Option<String>,
        description: Option<String>,
        trigger_ref: Option<String>,
        /// A trigger's id, or an inline timer of the rule: `{"type": "interval", "seconds": 10}`.
        trigger: Option<Value>,
        action_ref: Option<String>,
        action: Option<i64>,
        /// Null, an expression, or a list of operators:
        /// `{"all": [{"path": "event.payload.level", "operator": "equals", "value": 3}]}`. A clause may have
        /// `"missing": false`, `true` or `"fail"`: its result if the event has no value at its path.
        #[schema(value_type = Option<Value>)]
        condition: Option<Raw<Condition>>,
        /// Templates over `event`: `{"message": "Hello at {{ event.payload.fired_at }}"}`.
        action_params: Value = json!({}),
        /// Overrides the action's.
        #[schema(value_type = Option<Value>)]
        retry: Option<Raw<RetryPolicy>>,
        /// `{"limit": 1, "overflow": "skip"}`: how many of this rule's executions may run at once; the action's limit
        /// applies as well.
        #[schema(value_type = Option<Value>)]
        concurrency: Option<Raw<Concurrency<RuleId>>>,
        /// `{"limit": 10, "window_seconds": 60}`: how often executions may start; further ones are `throttled`.
        #[schema(value_type = Option<Value>)]
        rate_limit: Option<Raw<RateLimit>>,
        /// `{"action_ref": "core.http", "action_params": {"url": "https://…"}}`: runs when an execution of this rule has failed,
        /// timed out or was lost. `event` in its templates is that of `core.execution_finished`.
        #[schema(value_type = Option<Value>)]
        on_failure: Option<Raw<OnFailure>>,
        enabled: bool = true,
    }
}

definition!(Rule, RuleDraft, "rule");

impl Draft for RuleDraft {
    const DEPENDENT: &'static [(&'static str, &'static str)] = &[("action_params", "action_ref")];

    in_pack!();

    fn doubts(&self, _: Option<&Self>) -> FieldErrors {
        let mut errors = unknown_references(self.condition.as_ref().map(Raw::as_json), &self.action_params);
        let on_failure = self.on_failure.as_ref().and_then(|raw| raw.parse().ok());
        if let Some(OnFailure { action_params, .. }) = on_failure {
            errors.nest("on_failure", unknown_references(None, &action_params));
        }
        let concurrency = self.concurrency.as_ref().and_then(|raw| raw.parse().ok());
        errors.nest(
            "",
            concurrency.map(|right| right.unknown_references()).unwrap_or_default(),
        );
        errors
    }
}

impl RuleDraft {
    pub(super) fn of(rule: &Rule) -> Self {
        Self {
            r#ref: rule.r#ref.to_string(),
            pack_ref: Some(rule.pack_ref.to_string()),
            pack: None,
            label: Some(rule.label.clone()),
            description: rule.description.clone(),
            trigger_ref: Some(rule.trigger_ref.to_string()),
            trigger: None,
            action_ref: Some(rule.action_ref.to_string()),
            action: None,
            condition: rule.condition.clone(),
            action_params: rule.action_params.clone(),
            retry: rule.retry.clone(),
            concurrency: rule.concurrency.clone(),
            rate_limit: rule.rate_limit.clone(),
            on_failure: rule.on_failure.clone(),
            enabled: rule.enabled,
        }
    }

    pub fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.r#ref)
    }

    /// Checks everything that does not need the database, and the parameters against the schema of the action, if it is
    /// known.
    pub fn validate(&self, parameters_schema: Option<&Value>) -> Result<(), FieldErrors> {
        let (label, description) = (self.label.as_deref(), self.description.as_deref());
        let mut errors = text::common(&self.r#ref, self.pack_ref.as_deref(), label, description);
        match (&self.trigger, &self.trigger_ref) {
            (None, None) => errors.add(
                "trigger_ref",
                "is missing: write the reference of a trigger, or set trigger to an inline timer such as \
                 {\"type\": \"interval\", \"seconds\": 10}",
            ),
            (trigger, reference) => text::link("trigger", reference.as_deref(), trigger.is_some(), &mut errors),
        }
        text::link("action", self.action_ref.as_deref(), self.action.is_some(), &mut errors);
        let condition = self.condition.as_ref().map(Raw::as_json);
        errors.collect(check_program(condition, &self.action_params, parameters_schema));
        if let Some(schema) = parameters_schema {
            errors.collect(mismatches(schema, &self.action_params));
        }
        errors.collect(self.retry.as_ref().map(Raw::parse).transpose());
        errors.collect(self.concurrency.as_ref().map(Raw::parse).transpose());
        errors.collect(self.rate_limit.as_ref().map(Raw::parse).transpose());
        errors.collect(self.on_failure.as_ref().map(Raw::parse).transpose());
        errors.into_result()
    }
}

impl RuleDraft {
    /// Literals of secret parameters, which a file must not contain. The API encrypts them.
    pub fn literal_secrets(&self, parameters_schema: Option<&Value>) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let Some(Ok(schema)) = parameters_schema.map(Schema::compile) else {
            return errors;
        };
        for path in schema.literals_in(&self.action_params) {
            errors.add(
                path.under("action_params"),
                "must not be a literal in a file, because the parameter is secret: set a secret and write `{{ secrets.pack.name }}`",
            );
        }
        errors
    }
}

impl Rule {
    /// The errors in the fields of a row that was written by SQL.
    pub fn flaws(&self) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let condition = self.condition.as_ref().map(Raw::as_json);
        errors.collect(check_program(condition, &self.action_params, None));
        errors.collect(self.retry.as_ref().map(Raw::parse).transpose());
        errors.collect(self.concurrency.as_ref().map(Raw::parse).transpose());
        errors.collect(self.rate_limit.as_ref().map(Raw::parse).transpose());
        errors.collect(self.on_failure.as_ref().map(Raw::parse).transpose());
        errors
    }
}

/// The inline timer of a rule belongs to that rule only.
pub fn check_owner(trigger: &Trigger, rule_ref: &str) -> Result<(), FieldErrors> {
    match &trigger.owner_rule_ref {
        Some(owner) if *owner != rule_ref => Err(FieldErrors::one(
            "trigger_ref",
            format!("belongs to the rule {owner} and is deleted with it"),
        )),
        _ => Ok(()),
    }
}

/// The condition and the parameters of a rule, or of a dry run.
pub fn check_program(
    condition: Option<&Value>,
    action_params: &Value,
    parameters_schema: Option<&Value>,
) -> Result<(), FieldErrors> {
    let compiled = compile(condition, action_params, parameters_schema);
    compiled.problems().cloned().unwrap_or_default().into_result()
}

/// Names in a condition and in parameters that no event can have.
pub fn unknown_references(condition: Option<&Value>, action_params: &Value) -> FieldErrors {
    compile(condition, action_params, None).unknown_references()
}

fn compile(condition: Option<&Value>, action_params: &Value, parameters_schema: Option<&Value>) -> CompiledRule {
    CompiledRule::compile(RuleFacts {
        id: RuleId(0),
        r#ref: String::new(),
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        enabled: true,
        trigger_id: TriggerId(0),
        action_ref: String::new(),
        condition: condition.cloned().map(Raw::from),
        action_params: action_params.clone(),
        schema: Arc::new(Schema::compile(parameters_schema.unwrap_or(&Value::Null))),
    })
}
