//! A dry run of a rule, saved or not, on a stored event or on a sample.

use crate::{
    answer::One,
    api::Api,
    definitions::links::Link,
    problem::Problem,
    request::{Draft, form},
};
use attune_common::store::{action, event, rule};
use attune_domain::{
    EventId, FieldErrors, RuleId, TriggerId,
    definition::{Action, Rule, check_program, unknown_references},
    event::EventFacts,
    occurrence::Event,
    parameters::Schema,
    raw::Raw,
    reference::Key,
    rule::{CompiledRule, Decision, RuleFacts, evaluate, parameters},
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;
use uuid::Uuid;

form! {
    pub struct TestForm {
        /// A saved rule. The other fields of the body replace its own.
        rule_ref: Option<String>,
        condition: Option<Value>,
        action_params: Option<Value>,
        /// The action whose parameters are validated.
        action_ref: Option<String>,
        /// A stored event. Either this or `payload`.
        event_id: Option<Uuid>,
        /// The payload of a sample event.
        payload: Option<Value>,
    }
}

fn facts(event: &Event, trigger_id: TriggerId) -> EventFacts {
    EventFacts::new(
        event.id,
        trigger_id,
        &event.trigger_ref,
        event.payload.clone(),
        event.received_at,
        event.scheduled_at,
    )
}

/// What a rule would do with an event.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRun {
    #[serde(flatten)]
    decision: Decision,
    /// If the rule skips the event: the parameters that its action would get otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
    /// If the rule skips the event: why computing the parameters would fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Writes nothing and starts nothing.
pub async fn test(State(api): State<Api>, body: Draft<TestForm>) -> Result<One<DryRun>, Problem> {
    let Draft { form, mut errors, .. } = body;
    let saved = saved(&api, &mut errors, &form).await?;
    let action = acting(&api, &mut errors, &form, saved.as_ref()).await?;
    let facts = sample(&api, &mut errors, &form, saved.as_ref()).await?;
    // A saved rule is evaluated as the executor would; the fields of the body are validated as if they were saved.
    let given = form.condition.is_some() || form.action_params.is_some();
    let condition = form
        .condition
        .or_else(|| Some(saved.as_ref()?.condition.as_ref()?.as_json().clone()));
    let own = saved.as_ref().map(|rule| rule.action_params.clone());
    let action_params = form.action_params.or(own).unwrap_or_else(|| json!({}));
    let schema = action.as_ref().map(|action| &action.parameters_schema);
    if given {
        errors.collect(check_program(condition.as_ref(), &action_params, schema));
        errors.nest("", unknown_references(condition.as_ref(), &action_params));
    }
    let facts = facts
        .filter(|_| errors.is_empty())
        .ok_or_else(|| Problem::invalid(errors))?;
    let rule = CompiledRule::compile(RuleFacts {
        id: RuleId(0),
        r#ref: form.rule_ref.unwrap_or_else(|| "sample.rule".to_owned()),
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        enabled: true,
        trigger_id: TriggerId(0),
        action_ref: action
            .as_ref()
            .map(|action| action.r#ref.to_string())
            .unwrap_or_default(),
        condition: condition.map(Raw::from),
        action_params,
        schema: Arc::new(Schema::compile(schema.unwrap_or(&Value::Null))),
    });
    let decision = evaluate(&rule, &facts);
    let (parameters, reason) = match &decision {
        Decision::Skip { .. } => {
            parameters(&rule, &facts).map_or_else(|reason| (None, Some(reason)), |is| (Some(is), None))
        }
        _ => (None, None),
    };
    Ok(One::new(DryRun {
        decision,
        parameters,
        reason,
    }))
}

async fn saved(api: &Api, errors: &mut FieldErrors, form: &TestForm) -> Result<Option<Rule>, Problem> {
    let Some(reference) = &form.rule_ref else {
        return Ok(None);
    };
    let link = Link {
        noun: "rule",
        reference: Some(reference),
        id: None,
    };
    let found = rule::get(&api.pool, &Key::Ref(reference.clone())).await?;
    link.check(errors, found.as_ref().map(|rule| rule.r#ref.as_str()));
    Ok(found)
}

async fn acting(
    api: &Api,
    errors: &mut FieldErrors,
    form: &TestForm,
    saved: Option<&Rule>,
) -> Result<Option<Action>, Problem> {
    let Some(reference) = form
        .action_ref
        .as_deref()
        .or(saved.map(|rule| rule.action_ref.as_str()))
    else {
        return Ok(None);
    };
    let link = Link {
        noun: "action",
        reference: Some(reference),
        id: None,
    };
    let found = action::get(&api.pool, &Key::Ref(reference.to_owned())).await?;
    link.check(errors, found.as_ref().map(|action| action.r#ref.as_str()));
    Ok(found)
}

async fn sample(
    api: &Api,
    errors: &mut FieldErrors,
    form: &TestForm,
    saved: Option<&Rule>,
) -> Result<Option<EventFacts>, Problem> {
    let now: DateTime<Utc> = attune_common::clock::now();
    match (form.event_id, &form.payload) {
        (Some(id), None) => {
            let found = event::get(&api.pool, EventId(id)).await?;
            if found.is_none() {
                errors.add("event_id", format!("event {id} not found"));
            }
            Ok(found.map(|event| facts(&event, TriggerId(0))))
        }
        (None, Some(payload)) => {
            let trigger = saved.map_or("sample.trigger", |rule| rule.trigger_ref.as_str());
            let id = EventId::random(now, rand::random());
            Ok(Some(EventFacts::new(
                id,
                TriggerId(0),
                trigger,
                payload.clone(),
                now,
                None,
            )))
        }
        _ => {
            errors.add("event_id", "give either the id of a stored event, or a payload");
            Ok(None)
        }
    }
}
